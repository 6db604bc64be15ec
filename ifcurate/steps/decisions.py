"""Which labels are kept, and the verdict on each row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from ifcurate.options.filter import FilterOptions
from ifcurate.storage.tables import LABELS

__all__ = ["SCORE_COLUMNS", "Decision", "decide_rows"]

CRITICAL, NON_CRITICAL, NO_CONTEXT, NOT_SCORED = LABELS
#: Numbers of the scores that a dropped row is written with.
SCORE_COLUMNS: Final = (
    "loss_with_context",
    "loss_without_context",
    "context_gain",
    "max_token_loss_without_context",
    "max_token_gain",
    "n_response_tokens",
)


@dataclass(frozen=True, slots=True)
class Decision:
    """The labels that are kept."""

    keep_labels: frozenset[str]

    @classmethod
    def create(cls, options: FilterOptions) -> Decision:
        """The labels that the options keep.

        Rows without a context and rows that were not scored are dropped with `keep` and
        kept with `drop`; `no_context` overrides this for rows without a context.
        """
        kept = set(LABELS) - {str(options.drop)} if options.drop else {str(options.keep)}
        if options.no_context == "keep":
            kept.add(NO_CONTEXT)
        elif options.no_context == "drop":
            kept.discard(NO_CONTEXT)
        return cls(frozenset(kept))


def decide_rows(table: pl.DataFrame, decision: Decision) -> pl.DataFrame:
    """One verdict per row of the input from a SPLIT table, in its order.

    A row with several scored turns is context-critical when any of them is, else
    non-context-critical when any of them is. Columns: source, row, id, turn, label, keep,
    reason, and the numbers of the scores where the table has them.
    """
    rank = {label: i for i, label in enumerate((CRITICAL, NON_CRITICAL, NOT_SCORED, NO_CONTEXT))}
    ranked = table.with_columns(pl.col("label").replace_strict(rank).alias("_rank"))
    if len(ranked) > ranked.select(pl.struct("source", "row").n_unique()).item():
        ranked = ranked.group_by("source", "row", maintain_order=True).agg(
            pl.all().sort_by("_rank", maintain_order=True).first()
        )
    found = ("source", "row", "id", "turn", "label", "keep", "reason")
    decided = ranked.with_columns(pl.col("label").is_in(sorted(decision.keep_labels)).alias("keep"))
    return decided.select(
        *found, *(c for c in table.columns if c not in found and c in SCORE_COLUMNS)
    )
