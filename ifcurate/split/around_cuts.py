"""The change of a split when a cut moves, and the rows nearest to each cut."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from ifcurate.split.cuts import Cut, CutRule, apportion, share_of
from ifcurate.split.groups import TIE_ORDER, BoolArray, Group, TieOrder
from ifcurate.split.two_groups import FloatArray
from ifcurate.storage.tables import SCORES

STEPS: Final = (0.25, 0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0, 4.0)
FRACTION_STEPS: Final = (-0.2, -0.15, -0.1, -0.05, 0.0, 0.05, 0.1, 0.15, 0.2)
SENSITIVITY: Final = pl.Schema(
    {
        "group": pl.String(),
        "parameter": pl.String(),  # "fraction" or "threshold"
        "at": pl.Float64(),
        "n_context_critical": pl.Int64(),
        "n_non_context_critical": pl.Int64(),
        "change": pl.Int64(),  # change of n_context_critical from the cut that was made
    }
)
MOST_NEAR: Final = 5  # rows of each label at each cut
CROWD: Final = 1000  # rows of each label at each cut that are compared by their keys
SLICE: Final = 100_000  # rows that are compared at once
_CELL: Final = ("group", "statistic", "label")
NEAREST: Final = pl.Schema(
    {
        "group": pl.String(),
        "statistic": pl.String(),  # the number that is cut
        "label": pl.String(),
        **{name: SCORES[name] for name in ("id", "source", "row", "turn")},
        "value": pl.Float64(),
        "threshold": pl.Float64(),
        "confidence": pl.Float64(),
        "preview": pl.String(),
    }
)

#: A moved cut: its parameter, and the rows below it in each part.
MovedCut = tuple[float, list[int]]


def find_nearest(scores: pl.LazyFrame, labelled: pl.DataFrame) -> pl.DataFrame:
    """Return the rows nearest to their cut, by ascending value; `labelled` is of `label_rows`."""
    rows = labelled.with_row_index("place")
    pieces = [_crowd(piece) for piece in (rows.clear(), *rows.iter_slices(SLICE))]
    found = _crowd(pl.concat(pieces))
    # Filtering by value lets polars skip the texts of rows that do not match.
    values = found["value"].implode()
    same = [pl.col(name).cast(pl.Float64).is_in(values) for name in found["statistic"].unique()]
    is_near = pl.col("place").is_in(found["place"].implode()) & pl.any_horizontal(False, *same)
    shown = scores.filter(is_near).select(*TIE_ORDER, "preview").collect(engine="streaming")
    order = [pl.col("distance"), *TIE_ORDER.values()]
    nearest = found.join(shown, on="place").sort(order).group_by(_CELL, maintain_order=True)
    in_order = nearest.head(MOST_NEAR).sort("group", "statistic", "value", *TIE_ORDER.values())
    return in_order.select(pl.col(name).cast(kind) for name, kind in NEAREST.items())


def _crowd(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of each cell that are as near to the cut as the `MOST_NEAR` nearest."""
    distance = (pl.col("value") - pl.col("threshold")).abs().alias("distance")
    labelled = rows.filter(pl.col("label").is_not_null()).with_columns(distance)
    in_order = labelled.sort("distance", "place")
    limit = pl.col("distance").head(MOST_NEAR).last().over(_CELL)
    return in_order.filter(pl.col("distance") <= limit).group_by(_CELL).head(CROWD)


def move_cuts(group: Group, rules: Sequence[CutRule]) -> list[list[MovedCut]]:
    """Return the cuts by each rule that are tried instead, with the cut itself."""
    return [
        [
            (at, apportion(n_below, group.bins.sizes))
            for at, n_below in _steps(rule, cut.cuts[0], ranked)
        ]
        for rule, cut, ranked in zip(rules, group.cuts, group.ranked, strict=True)
    ]


def measure_sensitivity(
    groups: Sequence[Group],
    rules: Sequence[CutRule],
    moved: Sequence[Sequence[Sequence[MovedCut]]],
    above: Sequence[Sequence[Sequence[BoolArray]]],
    order: TieOrder,
) -> pl.DataFrame:
    """Return the number of context-critical rows when one cut moves and the others stay.

    `moved` comes from `move_cuts`. `above` is [group][part][rule] for the cuts that were made.
    """
    counted = []
    for group, of_rules, made in zip(groups, moved, above, strict=True):
        n_made = sum(int(np.logical_and.reduce(of_part).sum()) for of_part in made)
        for i, (rule, steps) in enumerate(zip(rules, of_rules, strict=True)):
            for at, below in steps:
                n = len(group) - sum(below)
                if len(rules) > 1:
                    n = sum(
                        int((part.is_above(i, n_below, order) & of_part[1 - i]).sum())
                        for part, n_below, of_part in zip(group.parts, below, made, strict=True)
                    )
                counted.append((group.name, rule.parameter, at, n, len(group) - n, n - n_made))
    return pl.DataFrame(counted, schema=SENSITIVITY, orient="row")


def _steps(rule: CutRule, cut: Cut, ranked: FloatArray) -> list[tuple[float, int]]:
    """Return the cuts to try, in ascending order with the cut itself, and the rows below each."""
    n = len(ranked)
    if n == 0:
        return []
    if rule.kind == "fraction":
        moved = {round(min(1.0, max(0.0, rule.fraction + d)), 12) for d in FRACTION_STEPS}
        return [(at, share_of(at, n)) for at in sorted(moved)]
    below = {at: int(np.searchsorted(ranked, at, "right")) for at in _thresholds(cut, ranked)}
    return [(at, cut.n_below if at == cut.threshold else n) for at, n in below.items()]


def _thresholds(cut: Cut, ranked: FloatArray) -> list[float]:
    """Return the thresholds to try: multiples of a positive one, or quarters of the spread."""
    middle = cut.threshold
    assert middle is not None
    if middle > 0:
        most = 1.0 if cut.unit == "a share" else math.inf
        return sorted({at for step in STEPS if (at := middle * step) <= max(middle, most)})
    low, high = np.quantile(ranked, [0.25, 0.75])
    width = float(high - low) / 4 or max(abs(middle), 1.0) / 4
    return sorted({middle + width * (i - len(STEPS) // 2) for i in range(len(STEPS))})
