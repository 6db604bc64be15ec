"""The nudged model in memory, and an examiner that asks it the evaluation's questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ifcurate.engines.base import Prompt
from ifcurate.evaluation.answers import Outcome, name_answers
from ifcurate.evaluation.models import generate_greedily
from ifcurate.evaluation.suites import Question, to_example
from ifcurate.lab.plan import TEMPLATE
from ifcurate.records import Example


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model of transformers, its tokenizer, and the template that all rows are written in."""

    model: Any
    tokenizer: Any

    def prompts(self, examples: Sequence[Example]) -> list[Prompt]:
        """The examples as ids."""
        from ifcurate.engines.hf.tokenizer import HFTokenizer
        from ifcurate.prompts.pairs import build_prompts
        from ifcurate.prompts.templates import load_template

        wrapped = HFTokenizer(self.tokenizer)
        return build_prompts(examples, load_template(TEMPLATE, wrapped), wrapped)


def load_base(folder: Path) -> LoadedModel:
    """The model of a folder in float32."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from ifcurate.engines.hf.quiet import quiet

    with quiet():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        return LoadedModel(model, AutoTokenizer.from_pretrained(folder))


class Examiner:
    """Asks a model every question of the evaluation and returns its accuracies."""

    def __init__(self, loaded: LoadedModel, questions: Sequence[Question]) -> None:
        self._loaded = loaded
        self._questions = questions
        self._prompts = [
            prompt.ids[: prompt.response_start]
            for prompt in loaded.prompts([to_example(q, response="x") for q in questions])
        ]

    def ask(self, model: Any) -> dict[str, Any]:
        """Accuracies, and the outcome of every conflict as one letter (c, m, b or n)."""
        answers = generate_greedily(
            model, self._loaded.tokenizer, self._prompts, max_new_tokens=32, batch_size=120
        )
        outcomes: dict[str, list[Outcome]] = {}
        for question, answer in zip(self._questions, answers, strict=True):
            named = name_answers(answer, question.context_answers, question.memory_answers)
            outcomes.setdefault(question.suite, []).append(named.outcome)
        share = {name: sum(o in ("context", "both") for o in own) / len(own)
                 for name, own in outcomes.items()}  # fmt: skip
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
