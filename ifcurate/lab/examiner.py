"""The nudged model in memory, and an examiner that asks it the evaluation's questions."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ifcurate.engines.base import Prompt
from ifcurate.evaluation.answers import Outcome, name_answers
from ifcurate.evaluation.models import LocalModel, open_local
from ifcurate.evaluation.suites import Question, to_example
from ifcurate.finetuning.train import StepHook, train_rows
from ifcurate.lab.plan import TEMPLATE
from ifcurate.options.evaluate import EvaluateOptions
from ifcurate.options.finetune import FinetuneOptions
from ifcurate.records import Example


def load_base(model: str) -> LocalModel:
    """Return a model in float32 that answers the evaluation's questions."""
    return open_local(
        model,
        EvaluateOptions(template=TEMPLATE, dtype="float32", device="cpu", batch_size=120),
    )


def write_prompts(loaded: LocalModel, examples: Sequence[Example]) -> list[Prompt]:
    """Return the examples as ids, in the laboratory's template."""
    from ifcurate.prompts.pairs import build_prompts
    from ifcurate.prompts.templates import load_template

    template = load_template(TEMPLATE, loaded.tokenizer)
    return build_prompts(examples, template, loaded.tokenizer)


def train(
    loaded: LocalModel,
    examples: Sequence[Example],
    options: FinetuneOptions,
    folder: Path,
    on_step: StepHook | None = None,
) -> None:
    """Train the model in place on the examples, in the laboratory's template."""
    rows = write_prompts(loaded, examples)
    out = folder / "trainer"
    train_rows(loaded.model, loaded.hf_tokenizer, rows, options, out, on_step=on_step)


class Examiner:
    """Asks a model every question of the evaluation and returns its accuracies."""

    def __init__(self, loaded: LocalModel, questions: Sequence[Question]) -> None:
        self._loaded = loaded
        self._questions = questions
        self._prompts = [
            prompt.ids[: prompt.response_start]
            for prompt in write_prompts(loaded, [to_example(q, response="x") for q in questions])
        ]

    def ask(self, model: Any) -> dict[str, Any]:
        """Accuracies, and the outcome of every conflict as one letter (c, m, b or n)."""
        loaded = copy.copy(self._loaded)
        loaded.model = model
        answers = loaded.continue_greedily(self._prompts, max_new_tokens=32)
        outcomes: dict[str, list[Outcome]] = {}
        for question, answer in zip(self._questions, answers, strict=True):
            named = name_answers(answer, question.context_answers, question.memory_answers)
            outcomes.setdefault(question.suite, []).append(named.outcome)
        share = {
            name: sum(o in ("context", "both") for o in own) / len(own)
            for name, own in outcomes.items()
        }
        conflicts = outcomes["conflict"]
        memory = sum(o in ("memory", "both") for o in conflicts) / len(conflicts)
        return {
            "conflict": share["conflict"],
            "parametric": memory,
            "recall": share["recall"],
            "reading": share["reading"],
            "standard": (share["recall"] + share["reading"]) / 2,
            "outcomes": "".join(o[0] for o in conflicts),
        }
