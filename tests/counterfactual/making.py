"""Rows and examples for the tests, made by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ifcurate.counterfactual.augment import iterate_counterfactuals
from ifcurate.counterfactual.write.outcomes import Outcome, Written
from ifcurate.data.parse_rows import parse_row
from ifcurate.data.row_formats import RowLayout
from ifcurate.options.augment import TYPES, AugmentOptions
from ifcurate.records import Example

#: All types that are not experimental.
NAMED = tuple(t for t in TYPES if t not in {"YEAR", "NUMBER", "QUANTITY"})

__all__ = ["alpaca", "augment_row", "chat", "examples_of", "qca", "written"]


def alpaca(
    context: str, response: str, instruction: str = "Answer from the text."
) -> dict[str, Any]:
    """An Alpaca row."""
    return {"instruction": instruction, "input": context, "output": response}


def qca(context: str, question: str, answer: str, memory: str = "") -> dict[str, Any]:
    """A row of a conflict suite."""
    row = {"context": context, "question": question, "answer": answer}
    return {**row, "memory_answer": memory} if memory else row


def chat(*turns: tuple[str, str]) -> dict[str, Any]:
    """A ShareGPT row from (from, value)."""
    return {"conversations": [{"from": a, "value": b} for a, b in turns]}


def examples_of(row: Mapping[str, Any], number: int = 0) -> list[Example]:
    """The examples of a row, its layout told from its columns."""
    if "conversations" in row:
        layout = RowLayout("sharegpt", turns="all")
    elif "instruction" in row:
        layout = RowLayout("alpaca")
    elif "prompt" in row:
        layout = RowLayout("prompt_completion")
    else:
        layout = RowLayout("qca")
    return parse_row(row, layout, source="rows.jsonl", row_number=number)


def augment_row(row: Mapping[str, Any], *, avoid: Iterable[str] = (), **settings: Any) -> Outcome:
    """What becomes of one row."""
    options = AugmentOptions(**{"types": NAMED, **settings})
    (outcome,) = iterate_counterfactuals(examples_of(row), options, avoid=avoid)
    return outcome


def written(row: Mapping[str, Any], **settings: Any) -> Written:
    """The one counterfactual of a row that must have one."""
    outcome = augment_row(row, **settings)
    assert outcome.written, f"{outcome.stage}: {outcome.reason}"
    return outcome.written[0]


def texts_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """All strings of rows, for looking into."""
    return "\n".join(str(v) for row in rows for v in row.values())
