"""The plan of a laboratory, fixed before any training, and the folder it is in."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from ifcurate.data.sources import read_examples
from ifcurate.errors import RunError
from ifcurate.evaluation.suites import Question
from ifcurate.lab.mixtures import MIXTURES, MixtureShape
from ifcurate.options.finetune import FinetuneOptions
from ifcurate.options.lab import NudgeOptions
from ifcurate.records import Example
from ifcurate.storage.files import write_json

EARLY_STEP: Final = 20  # conflict accuracy here minus the final one is "the fall"
TEMPLATE: Final = "alpaca"  # the template of scores, training and evaluation
_TRAINING: Final = FinetuneOptions(
    model="pocket",
    template=TEMPLATE,
    rate=3e-4,
    max_steps=90,
    batch_size=32,
    warm_up=10,
    decay_fraction=0.25,
    dtype="float32",
)


@dataclass(frozen=True, slots=True)
class Nudge:
    """Training after which the bundled model, which reads passages very well, ignores them."""

    off: float  # share of rows with a known fact and a passage about other things
    recall: float  # share of rows without a passage
    steps: int
    rate: float = 3e-4
    warm_up: int = 20

    @classmethod
    def create(cls, options: NudgeOptions) -> Nudge:
        """Return the nudge of these options."""
        return cls(options.off, 1 - options.off, options.steps)

    def settings(self, seed: int) -> FinetuneOptions:
        """Return the nudge as a finetuning run."""
        changes = {"rate": self.rate, "max_steps": self.steps, "warm_up": self.warm_up}
        return _TRAINING.model_copy(update={**changes, "decay_fraction": 0.0, "seed": seed})

    def shape(self, batch_size: int) -> MixtureShape:
        """Return the nudge's rows."""
        return MixtureShape(0.0, 0.0, self.off, self.recall, 0.0, n_rows=self.steps * batch_size)


@dataclass(frozen=True, slots=True)
class LabPlan:
    """One seed of one mixture: base, rows, training and evaluation."""

    seed: int
    name: str = "m1"  # name of the mixture
    shape: MixtureShape = MIXTURES["m1"]
    nudge: Nudge = field(default_factory=lambda: Nudge.create(NudgeOptions()))
    training: FinetuneOptions = _TRAINING
    model: str | None = None  # the folder of the model that is nudged; None for the bundled one
    evaluated_steps: tuple[int, ...] = (10, 20, 45, 90)

    @classmethod
    def create(cls, mixture: str, seed: int, **changes: Any) -> LabPlan:
        """Return the plan of a named mixture; `changes` go into its shape."""
        name = mixture + "".join(f"-{key}={value:g}" for key, value in sorted(changes.items()))
        return cls(seed=seed, name=name, shape=replace(MIXTURES[mixture], **changes))


def _given(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a part of the plan without the values that it does not set."""
    return {name: value for name, value in pairs if value is not None}


@dataclass(frozen=True, slots=True)
class Laboratory:
    """The folder of one plan: base model, mixture, evaluation, scores and arms."""

    folder: Path

    @classmethod
    def open(cls, root: Path, plan: LabPlan) -> Laboratory:
        """Return the plan's folder under `root`. The plan is its first file.

        Raises `RunError` when the folder holds another plan.
        """
        lab = cls(root / f"{plan.name}-seed{plan.seed}")
        expected = json.loads(
            json.dumps(asdict(plan, dict_factory=_given), default=FinetuneOptions.model_dump)
        )
        path = lab.folder / "plan.json"
        if path.exists():
            saved = json.loads(path.read_text("utf-8"))
            if saved != expected:
                differs = [key for key in expected if saved.get(key) != expected[key]]
                raise RunError(
                    f"{path}: this folder holds another plan; found a different "
                    f"{', '.join(differs)}; choose another folder with --out"
                )
        else:
            write_json(path, expected)
        return lab

    @property
    def base(self) -> Path:
        """The folder of the nudged model."""
        return self.folder / "base"

    @property
    def mixture(self) -> Path:
        """The rows, without their truth."""
        return self.folder / "mixture.jsonl"

    @property
    def truth(self) -> Path:
        """The kind of each row, in the mixture's order. No curation step reads it."""
        return self.folder / "truth.json"

    @property
    def exam(self) -> Path:
        """The questions of the evaluation."""
        return self.folder / "exam.json"

    @property
    def scores(self) -> Path:
        """The SCORES table of the mixture under the nudged model."""
        return self.folder / "scores.parquet"

    def read_mixture(self) -> list[Example]:
        """Return the mixture's examples, read like any other file."""
        return list(read_examples(str(self.mixture)))

    def read_exam(self) -> list[Question]:
        """Return all questions of the evaluation."""
        questions = [q for own in self.read_json(self.exam).values() for q in own]
        answers = ("context_answers", "memory_answers")
        return [Question(**{**q, **{name: tuple(q[name]) for name in answers}}) for q in questions]

    def arm(self, name: str) -> Path:
        """Return the trajectory of one arm."""
        return self.folder / "arms" / f"{name.replace(':', '_')}.json"

    def read_json(self, path: Path) -> Any:
        """Return the content of one of the files above."""
        return json.loads(path.read_text("utf-8"))
