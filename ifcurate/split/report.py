"""How a split changes when a cut moves, and the rows nearest to each cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from ifcurate.split.cuts import Bound, Cut, CutRule, GroupCut, apportion, share_of
from ifcurate.split.labels import TIE_ORDER, bound_table, is_above
from ifcurate.split.parts import Parts, Ranks, is_usable, number
from ifcurate.split.two_groups import FloatArray
from ifcurate.storage.tables import SCORES

__all__ = ["NEAREST", "SENSITIVITY", "find_nearest", "measure_sensitivity"]

STEPS: Final = (0.25, 0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0, 4.0)
FRACTION_STEPS: Final = (-0.2, -0.15, -0.1, -0.05, 0.0, 0.05, 0.1, 0.15, 0.2)
SENSITIVITY: Final = pl.Schema(
    {
        "group": pl.String(),
        "parameter": pl.String(),  # "fraction" or "threshold"
        "at": pl.Float64(),
        "n_context_critical": pl.Int64(),
        "n_non_context_critical": pl.Int64(),
        "change": pl.Int64(),  # of n_context_critical, against the cut that was made
    }
)
MOST_NEAR: Final = 5  # of each label, at each cut
CROWD: Final = 1000  # rows that tie for a place
_CELL: Final = ("group_number", "statistic", "label")
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

#: The other cuts of a group that are tried, each with the number of rows below it.
_Steps = list[tuple[float, int]]


def find_nearest(labelled: pl.LazyFrame) -> pl.DataFrame:
    """The rows nearest to their cut, by ascending value; `labelled` comes from `label_rows`."""
    rows = labelled.filter(pl.col("distance").is_not_null())
    # Numbers are read first, so that texts are read for few rows only.
    numbers = rows.select("place", "distance", "value", *_CELL).collect(engine="streaming")
    limits = numbers.group_by(_CELL).agg(
        pl.col("distance").bottom_k(MOST_NEAR).max().alias("limit")
    )
    near = (
        numbers.filter(pl.col("distance") <= pl.lit(limits["limit"].max(), pl.Float64))
        .join(limits, on=_CELL)
        .filter(pl.col("distance") <= pl.col("limit"))
    )
    order = [pl.col("distance"), *TIE_ORDER.values()]
    nearest = []
    for cell, rows_near in near.partition_by(_CELL, as_dict=True).items():
        if rows_near.height > CROWD:  # polars keeps only the first few while it reads
            in_cell = pl.all_horizontal(pl.col(n) == v for n, v in zip(_CELL, cell, strict=True))
            limit = rows_near["limit"][0]
            crowd = rows.filter(in_cell & (pl.col("distance") <= limit)).sort(order).head(MOST_NEAR)
            nearest.append(crowd.collect(engine="streaming"))
    crowded = pl.len().over(_CELL) > CROWD
    few = near.filter(~crowded)
    # Filtering by value lets polars skip the other columns of rows that do not match.
    values = few["value"].implode()
    same = [pl.col(name).cast(pl.Float64).is_in(values) for name in few["statistic"].unique()]
    is_near = pl.col("place").is_in(few["place"].implode()) & pl.any_horizontal(False, *same)
    nearest.append(rows.filter(is_near).collect(engine="streaming"))
    kept = pl.concat(nearest).sort(order).group_by(*_CELL, maintain_order=True).head(MOST_NEAR)
    shown = kept.sort("group", "statistic", "value", *TIE_ORDER.values())
    return shown.select(pl.col(name).cast(kind) for name, kind in NEAREST.items())


def measure_sensitivity(
    scores: pl.LazyFrame,
    parts: Parts,
    table: pl.DataFrame,
    ranks: Ranks,
    cuts: Sequence[Sequence[GroupCut]],
) -> pl.DataFrame:
    """How many rows are context-critical when one cut moves and the others stay.

    `table` comes from `labels.cut_table`; `cuts` are [group][rule]. With one rule, the counts
    follow from the ranks without reading the rows.
    """
    sizes = [sum(bins.sizes) for bins in parts.bins]
    steps = [
        [
            _steps(rule, cuts[g][i].cuts[0], ranks.groups[i][g]) if n else []
            for g, n in enumerate(sizes)
        ]
        for i, rule in enumerate(parts.rules)
    ]
    if len(parts.rules) == 1:
        counts = [[[n - below for _, below in steps[0][g]] for g, n in enumerate(sizes)]]
        made = [n - cuts[g][0].cuts[0].n_below if n else 0 for g, n in enumerate(sizes)]
    else:
        counts, made = _count_rows(scores, parts, table, ranks, steps)
    counted = []
    for g, (name, n) in enumerate(zip(parts.names, sizes, strict=True)):
        for i, rule in enumerate(parts.rules):
            parameter = "fraction" if rule.kind == "fraction" else "threshold"
            for (at, _), count in zip(steps[i][g], counts[i][g], strict=True):
                counted.append((name, parameter, at, count, n - count, count - made[g]))
    return pl.DataFrame(counted, schema=SENSITIVITY, orient="row")


def _steps(rule: CutRule, cut: Cut, ranked: FloatArray) -> _Steps:
    """The cuts to try, in ascending order with the cut itself, and the rows below each."""
    n = len(ranked)
    if rule.kind == "fraction":
        moved = {round(min(1.0, max(0.0, rule.fraction + d)), 12) for d in FRACTION_STEPS}
        return [(at, share_of(at, n)) for at in sorted(moved)]
    middle = cut.threshold
    assert middle is not None
    if middle > 0:
        moved = {middle * step for step in STEPS}
    else:
        low, high = np.quantile(ranked, [0.25, 0.75])
        width = float(high - low) / 4 or max(abs(middle), 1.0) / 4
        moved = {middle + width * (i - len(STEPS) // 2) for i in range(len(STEPS))}
    below = {at: int(np.searchsorted(ranked, at, "right")) for at in sorted(moved)}
    return [(at, cut.n_below if at == middle else n) for at, n in below.items()]


def _count_rows(
    scores: pl.LazyFrame,
    parts: Parts,
    table: pl.DataFrame,
    ranks: Ranks,
    steps: Sequence[Sequence[_Steps]],
) -> tuple[list[list[list[int]]], list[int]]:
    """The number of context-critical rows with each cut moved to each step, and with none moved.

    The counts are [rule][group][step] and [group].
    """
    moved = {
        f"{i}_{step}": (i, _bounds(parts, ranks.parts[i], steps[i], step))
        for i in range(len(parts.rules))
        for step in range(max((len(of_group) for of_group in steps[i]), default=0))
    }
    whole = pl.concat([table, bound_table(scores, parts, moved)], how="horizontal")
    values = [number(rule) for rule in parts.rules]
    above = [is_above(value, str(i), whole) for i, value in enumerate(values)]
    counted = {"made": pl.all_horizontal(above).sum()}
    for name, (i, _) in moved.items():
        others = [test for j, test in enumerate(above) if j != i]
        counted[name] = pl.all_horizontal(is_above(values[i], name, whole), *others).sum()
    rows = parts.attach(scores.filter(is_usable(parts.rules)), whole)
    table = rows.group_by("group").agg(**counted).collect(engine="streaming")
    by_group = {row["group"]: row for row in table.iter_rows(named=True)}
    counts = [
        [
            [by_group[name][f"{i}_{step}"] for step in range(len(of_group))]
            for name, of_group in zip(parts.names, steps[i], strict=True)
        ]
        for i in range(len(parts.rules))
    ]
    return counts, [by_group[name]["made"] if name in by_group else 0 for name in parts.names]


def _bounds(
    parts: Parts, ranked: Sequence[FloatArray], steps: Sequence[_Steps], step: int
) -> list[Bound]:
    """The bound of each part at this step of its group."""
    bounds: list[Bound] = []
    for of_group, bins in zip(steps, parts.bins, strict=True):
        n_below = of_group[step][1] if step < len(of_group) else 0
        for share in apportion(n_below, bins.sizes) if sum(bins.sizes) else [0]:
            bounds.append(Bound.at(ranked[len(bounds)], share))
    return bounds
