"""A split as a figure: the distribution of the numbers, and the cuts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from ifcurate.errors import DataError
from ifcurate.pages.figures import draw_histogram
from ifcurate.storage.tables import LABELS

if TYPE_CHECKING:
    from ifcurate.pages.shell import Figure
    from ifcurate.split.cuts import Cut


def draw_split(table: pl.DataFrame, rule: str, cuts: Sequence[Cut]) -> Figure:
    """Return a histogram of the number that decided each row, with a colour for each label.

    With several cuts (of groups, or of the two numbers of the rule `both`) it is the distance of
    that number from its own cut, so that every cut is at 0. The first and the last bar include
    the values beyond them (1% on each side). Raises `DataError` when no row was cut.
    """
    decided = table.filter(pl.col("value").is_finite())
    if decided.is_empty():
        raise DataError("split: no row has a number to plot; see split.counts()")
    places = {cut.threshold for cut in cuts if cut.threshold is not None}
    names = " or ".join(dict.fromkeys(cut.statistic for cut in cuts))
    unit = "a share" if names == "context_attention" else "nats"
    title, cut = f"{names}, {unit}", next(iter(places), None)
    if len(places) > 1:
        distance = pl.col("value") - pl.col("threshold")
        decided = decided.with_columns(value=distance).filter(pl.col("value").is_finite())
        title, cut = f"{names}: distance from the row's cut, {unit}", 0.0
    by_label = {label: decided.filter(pl.col("label") == label)["value"] for label in LABELS}
    groups = {label: values.to_numpy() for label, values in by_label.items() if len(values)}
    return draw_histogram(
        "split",
        f"Rows by {names}",
        groups,
        x_title=title,
        cut=cut,
        caption=f"{decided.height:,} rows, cut by the rule {rule}. "
        + ", ".join(f"{len(values):,} {label}" for label, values in groups.items()),
    )
