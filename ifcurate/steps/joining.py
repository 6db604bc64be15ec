"""The decision on each example in memory, found by the example's id."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from ifcurate.errors import RunError
from ifcurate.phrases import count
from ifcurate.records import Example

#: What `UniqueNames` adds to an id that repeats.
_SUFFIXES: Final = re.compile(r"(~\d+)+$")
#: Sources of examples in memory. Their row numbers are their places in a list.
_IN_MEMORY: Final = ("", "rows")
_Place = tuple[str, str, int]  # id, source, row


def join_decisions(examples: Sequence[Example], decided: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the row of `decide_rows` of each example, in the order of the examples.

    The id decides, so the examples may be in another order than those that were scored, or
    only some of them. Rows whose ids repeat are distinguished by their places, which are certain
    for rows of files, and for rows in memory only when all are given as they were scored.

    Raises `RunError` for examples that were not scored, and for rows with repeated ids and
    different labels that cannot be distinguished.
    """
    rows = {(r["id"], r["source"], r["row"]): r for r in decided.iter_rows(named=True)}
    _refuse_unscored(examples, {id for id, _, _ in rows})
    families: dict[str, list[dict[str, Any]]] = {}
    for row in rows.values():
        families.setdefault(_root(row["id"]), []).append(row)
    unchanged = {_place(example) for example in examples} == set(rows)
    decisions = []
    for example in examples:
        family = families[_root(example.id)]
        if len({row["keep"] for row in family}) == 1:
            decisions.append(next(row for row in family if row["id"] == example.id))
            continue
        own = rows.get(_place(example))
        if own is None or not (unchanged or example.source not in _IN_MEMORY):
            raise RunError(
                f"example {example.id!r}: its id is that of {count(len(family), 'row')} with "
                "different labels; give all examples as they were scored, or score them again "
                "with an id for each"
            )
        decisions.append(own)
    return decisions


def _root(id: str) -> str:
    return _SUFFIXES.sub("", id)


def _place(example: Example) -> _Place:
    return example.id, example.source, example.row_number


def _refuse_unscored(examples: Sequence[Example], scored: set[str]) -> None:
    missing = [example for example in examples if example.id not in scored]
    if missing:
        first = missing[0]
        where = f" ({first.source} row {first.row_number})" if first.source else ""
        others = f", nor {count(len(missing) - 1, 'other')}" if len(missing) > 1 else ""
        raise RunError(
            f"example {first.id!r}{where}: not in the split{others}; score and split all examples "
            "first"
        )
