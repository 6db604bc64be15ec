"""S1, the model's own word on a counterfactual: with the new context, the new answer.

Of the answer's tokens alone, in nats, c' the new context and y', y the new and
the original answer:

    drop = nll(y' | q) - nll(y' | q, c')  >=  threshold
    nll(y' | q, c') < nll(y | q, c')      the new answer is preferred with the context
    nll(y | q) < nll(y' | q)              the original one without it

Where the answer is inside a longer response, the response before it is given:
its loss is taken off both sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ifcurate.records import Example

from .outcomes import Written
from .rows import edited_example

__all__ = ["ModelCheck", "PairScorer", "check_with_model"]


class PairScorer(Protocol):
    """`ifcurate.scoring.scorer.Scorer`, as far as it is used here."""

    def score(self, examples: Sequence[Example]) -> tuple[Any, Any]:
        """The SCORES table of the examples, in their order, and the token table."""


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """The numbers of one counterfactual, in nats over the answer's tokens."""

    new_with_context: float
    new_without_context: float
    original_with_context: float  # with the new context
    original_without_context: float
    threshold: float

    @property
    def drop(self) -> float:
        """By how much the new context makes the new answer likelier."""
        return self.new_without_context - self.new_with_context

    @property
    def reason(self) -> str:
        """Why it fails, "" when it passes."""
        if self.drop < self.threshold:
            return f"the context helps by {self.drop:.3g} nats, under {self.threshold:g}"
        if self.new_with_context >= self.original_with_context:
            return "with the new context the original answer is preferred"
        if self.original_without_context >= self.new_without_context:
            return "without the context the new answer is preferred already"
        return ""

    def columns(self) -> dict[str, float]:
        """The columns of a written row."""
        return {
            "ifcurate_nll_new_with_context": self.new_with_context,
            "ifcurate_nll_new_without_context": self.new_without_context,
            "ifcurate_nll_original_with_context": self.original_with_context,
            "ifcurate_nll_original_without_context": self.original_without_context,
            "ifcurate_drop": self.drop,
        }


def check_with_model(
    written: Iterable[Written], scorer: PairScorer, *, threshold: float, chunk: int = 64
) -> Iterator[tuple[Written, ModelCheck | None, str]]:
    """Each counterfactual with its numbers and, where it fails or cannot be scored, the reason."""
    batch: list[Written] = []
    for item in written:
        batch.append(item)
        if len(batch) == chunk:
            yield from _check_batch(batch, scorer, threshold)
            batch = []
    if batch:
        yield from _check_batch(batch, scorer, threshold)


def _check_batch(
    batch: Sequence[Written], scorer: PairScorer, threshold: float
) -> Iterator[tuple[Written, ModelCheck | None, str]]:
    asked: list[Example] = []
    for item in batch:
        asked += _four(item)
    table, _ = scorer.score(asked)
    rows = table.select("status", "reason", "nll_with_context", "nll_without_context").rows()
    for number, item in enumerate(batch):
        new, original, before = rows[3 * number : 3 * number + 3]
        failed = next((r for s, r, *_ in (new, original) if s != "scored"), None)
        if failed is not None or "scored" not in (new[0], original[0]):
            yield item, None, f"not scored: {failed}"
            continue
        with_, without = (before[2], before[3]) if before[0] == "scored" else (0.0, 0.0)
        check = ModelCheck(
            new[2] - with_, new[3] - without, original[2] - with_, original[3] - without, threshold
        )
        yield item, check, check.reason


def _four(item: Written) -> list[Example]:
    """The new context with the new answer, with the original one, and with what stands before."""
    made, example = item.made, item.original
    edit = min(
        (e for e in made.edits if e.path == item.view.response_path), key=lambda e: e.new_start
    )
    text = made.texts[item.view.response_path]
    before = text[: edit.new_start]
    base = edited_example(example, item.view, made)
    return [
        replace(base, response=before + edit.new),
        replace(base, response=before + edit.old),
        replace(base, response=before.rstrip()),
    ]
