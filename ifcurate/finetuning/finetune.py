"""Finetune a model on a mixture, with a checkpoint every N steps for the trajectory.

transformers and `ifcurate evaluate` load OUT/checkpoint-N and OUT/final as models,
with adapters merged. A checkpoint's folder appears only when it is complete.
OUT/finetune.json records the model, the data, the options and the measures.
"""

from __future__ import annotations

import copy
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ifcurate.engines.base import Prompt
from ifcurate.errors import DataError, ModelError, RunError
from ifcurate.finetuning.train import train_rows
from ifcurate.options.base import takes_options
from ifcurate.options.finetune import FinetuneOptions
from ifcurate.options.score import LoadOptions
from ifcurate.phrases import missing_package
from ifcurate.records import Example
from ifcurate.storage.files import refuse_unwritable, write_json

Say = Callable[[str], None]


@dataclass(slots=True)
class FinetuneResult:
    """The record of a run."""

    folder: Path
    trainable: list[str]
    n_trainable: int
    n_rows: int
    skipped: dict[str, int]  # reason -> rows
    steps: int = 0
    points: list[dict[str, Any]] = field(default_factory=list)  # measures by checkpoint
    stopped: str = ""  # why the run ended early

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "rows": self.n_rows,
            "skipped": self.skipped,
            "steps": self.steps,
            "stopped": self.stopped,
            "trainable_numbers": self.n_trainable,
            "trainable": self.trainable,
            "points": self.points,
        }


@takes_options(FinetuneOptions)
def finetune(
    data: str | Path,
    out: str | Path,
    *,
    options: FinetuneOptions,
    say: Say = lambda _: None,
) -> FinetuneResult:
    """Train on every row of `data` that has a response, with the prompts of scoring.

    Raises `DataError` for rows and for an `out` that cannot be made, `ModelError` for a model
    whose weights cannot be chosen, `RunError` where `out` holds another run.
    """
    folder = Path(out)
    if (folder / "finetune.json").exists():
        raise RunError(f"{folder}: holds a finetuning run already; choose another --out")
    for name in ("trainer", "final"):  # folders that this run writes; the first is removed
        if (folder / name).exists():
            raise RunError(
                f"{folder / name}: exists already and would be replaced, or is of a run that was "
                "stopped; choose another --out, or move it away"
            )
    refuse_unwritable(folder)
    model, tokenizer, name = _load(options.model)
    rows, template, skipped = read_rows(data, model, tokenizer, options)
    result = FinetuneResult(folder, [], 0, len(rows), skipped)

    def started(names: list[str], n: int) -> None:
        result.trainable, result.n_trainable = names, n
        say(f"{n:,} trainable numbers in {len(names)} tensors: {_summary(names)}")

    watcher = _Watcher(result, tokenizer, options, name, say)
    trainer = train_rows(
        model,
        tokenizer,
        rows,
        options,
        folder / "trainer",
        on_step=watcher.step,
        on_start=started,
    )
    result.steps = int(trainer.state.global_step)
    _save(trainer.model, tokenizer, folder / "final")
    shutil.rmtree(folder / "trainer", ignore_errors=True)
    asked = {
        "model": name,
        "data": str(data),
        "template": template,
        "options": options.model_dump(),
    }
    write_json(folder / "finetune.json", {**asked, **result.as_dict()})
    return result


def _load(model: str) -> tuple[Any, Any, str]:
    """Return the model in float32, its tokenizer and its name."""
    from ifcurate.engines.hf.loading import load_causal_model

    try:
        import peft  # noqa: F401
        import trl  # noqa: F401
    except ImportError as error:
        raise ModelError(missing_package("finetune", "train", error)) from error
    source, loaded, tokenizer = load_causal_model(model, LoadOptions(dtype="float32"))
    return loaded, tokenizer, source.name


def read_rows(
    data: str | Path, model: Any, tokenizer: Any, options: FinetuneOptions
) -> tuple[list[Prompt], str, dict[str, int]]:
    """Return the rows to train on, the template's name, and the rows left out by reason."""
    from ifcurate.data.turns import excludes_path
    from ifcurate.engines.hf.tokenizer import HFTokenizer
    from ifcurate.prompts.pairs import build_prompts
    from ifcurate.prompts.templates import load_template
    from ifcurate.prompts.text_flags import has_text

    wrapped = HFTokenizer(tokenizer)
    template = load_template(options.template, wrapped)
    examples, n_bad = _read_examples(data)
    prompts = build_prompts(examples, template, wrapped)
    limit = int(getattr(model.config.get_text_config(), "max_position_embeddings", 1 << 30))
    too_long = f"longer than {limit} tokens"
    kept, skipped = [], {"cannot be read": n_bad, "no response": 0, "weight 0": 0, too_long: 0}
    for example, prompt in zip(examples, prompts, strict=True):
        if not has_text(example.response):
            skipped["no response"] += 1
        elif excludes_path(example.row, example.response_path):
            skipped["weight 0"] += 1
        elif len(prompt.ids) > limit:
            skipped[too_long] += 1
        else:
            kept.append(prompt)
    left_out = {reason: n for reason, n in skipped.items() if n}
    if not kept:
        reasons = ", ".join(f"{n} {reason}" for reason, n in left_out.items()) or "no row"
        raise DataError(
            f"{data}: no row to train on; found {len(examples)} rows, left out: {reasons}; "
            "give rows with a response to train on"
        )
    return kept, template.name, left_out


def _read_examples(data: str | Path) -> tuple[list[Example], int]:
    """Return all examples, and the number of rows that cannot be read.

    Rows of a mixture are read as their data was, so that they get the prompts that were scored.
    """
    from ifcurate.data.sources import read_examples
    from ifcurate.mixing.components import open_component
    from ifcurate.mixing.mixture import MANIFEST, read_mixture
    from ifcurate.mixing.texts import read_example

    if (Path(data) / MANIFEST).is_file():
        frames = read_mixture(data).frames()
        return [read_example(row) for frame in frames for row in frame.iter_rows(named=True)], 0
    of_step = any((Path(data) / name).is_file() for name in ("filter.json", "augment.json"))
    given = open_component("rows", str(data)).examples if of_step else read_examples(str(data))
    rows = list(given.read())
    return [example for row in rows for example in row.examples], sum(bool(r.bad) for r in rows)


def _summary(names: list[str]) -> str:
    """Return the kinds of tensors, without layer numbers."""
    kinds = Counter(".".join(p for p in name.split(".") if not p.isdigit()) for name in names)
    return ", ".join(f"{kind} x{n}" if n > 1 else kind for kind, n in kinds.items())


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Save a model folder with adapters merged. It gets its name when it is complete.

    Raises `DataError` when it cannot be written.
    """
    from safetensors import SafetensorError

    if hasattr(model, "merge_and_unload"):
        model = copy.deepcopy(model).merge_and_unload()
    from ifcurate.engines.hf.quiet import quiet

    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with quiet():
            model.save_pretrained(partial)
            tokenizer.save_pretrained(partial)
        partial.replace(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise DataError(
            f"{folder}: cannot be written: {error}; free some space, or choose another --out"
        ) from error


@dataclass(slots=True)
class _Watcher:
    """Saves and evaluates every N steps, and stops the run after its peak."""

    result: FinetuneResult
    tokenizer: Any
    options: FinetuneOptions
    name: str
    say: Say
    best: float = -1.0
    below: int = 0

    def step(self, step: int, model: Any) -> bool:
        """Return whether the run stops after this step."""
        every = self.options.save_every
        if not every or step % every:
            return False
        if step:
            _save(model, self.tokenizer, self.result.folder / f"checkpoint-{step}")
        if not self.options.evaluate_suite:
            return False
        accuracy = self._evaluate(step, model)
        self.below = 0 if accuracy >= self.best else self.below + 1
        self.best = max(self.best, accuracy)
        if self.options.stop_after and self.below >= self.options.stop_after:
            self.result.stopped = f"past its peak of {self.best:.3f} for {self.below} checkpoints"
            self.say(f"stopped at step {step}: {self.result.stopped}")
            return True
        return False

    def _evaluate(self, step: int, model: Any) -> float:
        from ifcurate.evaluation.evaluate import ask_suite
        from ifcurate.evaluation.models import LocalModel
        from ifcurate.evaluation.suites import load_suite
        from ifcurate.options.evaluate import EvaluateOptions

        evaluation = EvaluateOptions.create(
            template=self.options.template, knowledge=False, logprobs=False
        )
        opened = LocalModel(
            model,
            self.tokenizer,
            name=f"{self.name} step {step}",
            revision=f"step-{step}",
            batch_size=evaluation.batch_size,
        )
        folder = self.result.folder / "evaluations" / f"checkpoint-{step}"
        suites = {}
        for name in self.options.evaluate_suite:
            suite = load_suite(name, limit=self.options.evaluate_limit)
            measures = ask_suite(opened, suite, folder, evaluation)["all"]
            suites[suite.name] = measures
        values = [float(m["counterfactual"]["value"]) for m in suites.values()]
        accuracy = sum(values) / len(values)
        self.result.points.append({"step": step, "counterfactual": accuracy, "suites": suites})
        self.say(f"step {step}: counterfactual accuracy {accuracy:.3f}")
        return accuracy
