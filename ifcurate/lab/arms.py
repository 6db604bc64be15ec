"""The arms of the laboratory: the rows and the weights that are trained. Curation reads the mixture
and its scores, not the truth. An arm's name describes it completely: ``rows`` or
``rows+update@rate``, where ``rows`` is ``unfiltered``, ``random`` (as many rows as ``filtered``
keeps), ``filtered`` (the default rule), ``filtered:RULE`` or ``filtered:RULE:STATISTIC``,
``counterfactual`` (``filtered`` and altered copies of those dropped rows that `ifcurate augment`
can alter), or ``augmented`` (``unfiltered`` with the same copies). ``update`` is ``full``, ``qk``,
``lora`` or ``lora-qk``.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from ifcurate.errors import RunError
from ifcurate.lab.examiner import Examiner, load_base, train
from ifcurate.lab.plan import Laboratory, LabPlan
from ifcurate.options.finetune import FinetuneOptions, Update
from ifcurate.records import Example
from ifcurate.storage.files import write_json

_ROWS = ("unfiltered", "random", "filtered", "counterfactual", "augmented")


@dataclass(frozen=True, slots=True)
class Arm:
    """Which rows, which weights, and at which rate."""

    rows: str
    update: Update = "full"
    rate: float | None = None  # None for the plan's

    @classmethod
    def parse(cls, name: str) -> Arm:
        """From a name such as "filtered:gain+qk@1e-3". Raises `RunError`."""
        rows, _, rest = name.partition("+")
        update, _, rate = rest.partition("@")
        if rows.split(":")[0] not in _ROWS or update not in ("", *get_args(Update)):
            raise RunError(
                f"arm {name!r}: unknown; rows are {', '.join(_ROWS)}; updates are "
                f"{', '.join(get_args(Update))}; write ROWS or ROWS+UPDATE@RATE"
            )
        return cls(rows, update or "full", float(rate) if rate else None)  # type: ignore[arg-type]

    @property
    def name(self) -> str:
        """The name that `parse` reads."""
        if self.update == "full" and self.rate is None:
            return self.rows
        return f"{self.rows}+{self.update}" + (f"@{self.rate:g}" if self.rate else "")

    def settings(self, plan: LabPlan) -> FinetuneOptions:
        """Return the plan's training with this arm's weights and rate."""
        changes = {"update": self.update, "rate": self.rate or plan.training.rate}
        return plan.training.model_copy(update={**changes, "seed": plan.seed, "lora_rank": 32})


def choose_rows(lab: Laboratory, plan: LabPlan, rows: str) -> tuple[list[Example], dict[str, Any]]:
    """Return the rows of an arm, and their counts."""
    examples = lab.read_mixture()
    kind, _, rule = rows.partition(":")
    if kind == "unfiltered":
        return examples, {"rows": len(examples)}
    if kind == "augmented":
        copies = _alter(examples, plan.seed)
        return [*examples, *copies], {"rows": len(examples) + len(copies), "altered": len(copies)}
    kept, dropped, cut = _filter(lab, examples, rule)
    if kind == "random":
        kept = random.Random(f"lab random {plan.seed}").sample(examples, len(kept))  # noqa: S311
        return kept, {"rows": len(kept)}
    if kind == "counterfactual":
        copies = _alter(dropped, plan.seed)
        return [*kept, *copies], {"rows": len(kept) + len(copies), "altered": len(copies)}
    return kept, {"rows": len(kept), **cut}


def _filter(
    lab: Laboratory, examples: Sequence[Example], rule: str
) -> tuple[list[Example], list[Example], dict[str, Any]]:
    from ifcurate.split.rules import split_scores
    from ifcurate.steps.kept_rows import filter_examples
    from ifcurate.storage.files import read_table
    from ifcurate.storage.tables import SCORES

    name, _, statistic = (rule or "gain").partition(":")
    options: dict[str, Any] = {"rule": name}
    if statistic:
        options["statistic"] = statistic
    split = split_scores(read_table(lab.scores, SCORES), **options)
    result = filter_examples(examples, split, drop="non-context-critical")
    cuts = [str(cut.threshold) for cut in split.cuts]
    return (
        result.kept,
        [example for example, _ in result.dropped],
        {"rule": rule or "gain", "cuts": cuts, "labels": split.counts()},
    )


def _alter(examples: Sequence[Example], seed: int) -> list[Example]:
    from ifcurate.counterfactual.augment import augment_counterfactual

    return augment_counterfactual(examples, seed=seed).examples


def run_arm(lab: Laboratory, plan: LabPlan, arm: Arm) -> dict[str, Any]:
    """Train one arm from the nudged base and write its trajectory.

    A finished arm is read instead.
    """
    path = lab.arm(arm.name)
    if path.exists():
        saved: dict[str, Any] = lab.read_json(path)
        return saved
    started = time.perf_counter()
    rows, about = choose_rows(lab, plan, arm.rows)
    loaded = load_base(str(lab.base))
    examiner = Examiner(loaded, lab.read_exam())
    points: list[dict[str, Any]] = [{"step": 0, **lab.read_json(lab.folder / "start.json")}]

    def look(step: int, model: Any) -> bool:
        if step in plan.evaluated_steps:
            points.append({"step": step, **examiner.ask(model)})
        return False

    train(loaded, rows, arm.settings(plan), lab.folder, look)
    result = {
        "arm": arm.name,
        "mixture": plan.name,
        "seed": plan.seed,
        "about": about,
        "seconds": round(time.perf_counter() - started, 1),
        "points": points,
    }
    write_json(path, result)
    return result
