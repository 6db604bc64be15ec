"""The labels that are kept, and the decision on each row."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import polars as pl

from ifcurate.options.filter import FilterOptions
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
