"""The labels that are kept, and the decision on each row, and on each example in memory."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, Final

import polars as pl

from ifcurate.errors import RunError
from ifcurate.options.filter import FilterOptions
from ifcurate.phrases import count
from ifcurate.records import Example
from ifcurate.storage.tables import LABELS

CRITICAL, NON_CRITICAL, NO_CONTEXT, NOT_SCORED = LABELS
#: The numbers of the scores that are written with a dropped row.
SCORE_COLUMNS: Final = (
    "loss_with_context",
    "loss_without_context",
    "context_gain",
    "max_token_loss_without_context",
    "max_token_gain",
    "n_response_tokens",
)
#: What `UniqueNames` adds to an id that repeats.
_SUFFIXES: Final = re.compile(r"(~\d+)+$")
#: Sources of examples in memory. Their row numbers are their places in a list.
_IN_MEMORY: Final = ("", "rows")


def kept_labels(options: FilterOptions) -> frozenset[str]:
    """Return the labels that the options keep.

    `keep` drops rows without a context and rows that were not scored; `drop` keeps them.
    `no_context` overrides this for rows without a context.
    """
    kept = set(LABELS) - {str(options.drop)} if options.drop else {str(options.keep)}
    if options.no_context == "keep":
        kept.add(NO_CONTEXT)
    elif options.no_context == "drop":
        kept.discard(NO_CONTEXT)
    return frozenset(kept)


def write_options(kept: Collection[str]) -> str:
    """Return the options of `ifcurate filter` that keep these labels."""
    drops = NOT_SCORED in kept
    label = next(label for label in (CRITICAL, NON_CRITICAL) if (label in kept) != drops)
    written = f"--{'drop' if drops else 'keep'} {label}"
    if (NO_CONTEXT in kept) != drops:
        written += f" --no-context {'keep' if NO_CONTEXT in kept else 'drop'}"
    return written


def decide_rows(table: pl.DataFrame, kept: Collection[str]) -> pl.DataFrame:
    """One row for each row of the data, in the order of a SPLIT table.

    A row with several scored turns is context-critical when any of them is, else
    non-context-critical when any of them is. `kept` are the labels that are kept. The columns
    are source, row, id, turn, label, keep, reason, and those numbers of the scores that the table
    has.
    """
    rank = {label: i for i, label in enumerate((CRITICAL, NON_CRITICAL, NOT_SCORED, NO_CONTEXT))}
    ranked = table.with_columns(pl.col("label").replace_strict(rank).alias("_rank"))
    if len(ranked) > ranked.select(pl.struct("source", "row").n_unique()).item():
        ranked = ranked.group_by("source", "row", maintain_order=True).agg(
            pl.all().sort_by("_rank", maintain_order=True).first()
        )
    columns = ("source", "row", "id", "turn", "label", "keep", "reason")
    decided = ranked.with_columns(pl.col("label").is_in(sorted(kept)).alias("keep"))
    return decided.select(
        *columns, *(c for c in table.columns if c not in columns and c in SCORE_COLUMNS)
    )


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


def _place(example: Example) -> tuple[str, str, int]:
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
