"""The change of a split when a cut moves, and the rows nearest to each cut."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from ifcurate.split.cuts import Bound, Cut, CutRule, GroupCut, apportion, share_of
from ifcurate.split.labels import TIE_ORDER, bound_table, is_above, label_rows
from ifcurate.split.parts import Parts, Ranks, is_usable, number
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
#: Numbers of rows: [rule][group][step] with a cut moved, and [group] with none moved.
_Counts = tuple[list[list[list[int]]], list[int]]


def find_nearest(scores: pl.LazyFrame, parts: Parts, table: pl.DataFrame) -> pl.DataFrame:
    """Return the rows nearest to their cut, by ascending value; `table` is of `cut_table`.

    Only rows within the reach of a cut are labelled again, if they are enough.
    """
    within = pl.any_horizontal(
        (number(rule) - pl.col(f"threshold_{i}")).abs() <= pl.col(f"reach_{i}")
        for i, rule in enumerate(parts.rules)
    )
    rows = label_rows(scores, parts, table).filter(within & pl.col("distance").is_not_null())
    # Numbers are read first, so that texts are read only for a few rows.
    numbers = rows.select("place", "distance", "value", *_CELL).collect(engine="streaming")
    limits = numbers.group_by(_CELL).agg(
        pl.len().alias("n"), pl.col("distance").bottom_k(MOST_NEAR).max().alias("limit")
    )
    if not _is_enough(limits, parts, table):
        everywhere = [pl.lit(math.inf).alias(f"reach_{i}") for i in range(len(parts.rules))]
        return find_nearest(scores, parts, table.with_columns(everywhere))
    near = numbers.join(limits, on=_CELL).filter(pl.col("distance") <= pl.col("limit"))
    order = [pl.col("distance"), *TIE_ORDER.values()]
    shown = list(dict.fromkeys([*NEAREST, *_CELL, "distance", *TIE_ORDER]))
    nearest = []
    for cell, rows_near in near.partition_by(_CELL, as_dict=True).items():
        if rows_near.height > CROWD:  # polars keeps only the first few while it reads
            in_cell = pl.all_horizontal(pl.col(n) == v for n, v in zip(_CELL, cell, strict=True))
            limit = rows_near["limit"][0]
            crowd = rows.filter(in_cell & (pl.col("distance") <= limit)).select(shown)
            nearest.append(crowd.sort(order).head(MOST_NEAR).collect(engine="streaming"))
    few = near.filter(pl.len().over(_CELL) <= CROWD)
    # Filtering by value lets polars skip the other columns of rows that do not match.
    values = few["value"].implode()
    same = [pl.col(name).cast(pl.Float64).is_in(values) for name in few["statistic"].unique()]
    is_near = pl.col("place").is_in(few["place"].implode()) & pl.any_horizontal(False, *same)
    nearest.append(rows.filter(is_near).select(shown).collect(engine="streaming"))
    kept = pl.concat(nearest).sort(order).group_by(*_CELL, maintain_order=True).head(MOST_NEAR)
    kept = kept.sort("group", "statistic", "value", *TIE_ORDER.values())
    return kept.select(pl.col(name).cast(kind) for name, kind in NEAREST.items())


def _is_enough(limits: pl.DataFrame, parts: Parts, table: pl.DataFrame) -> bool:
    """Return whether the nearest rows of every group, statistic and label are within reach."""
    groups = parts.frame.select("group_number", "part").unique()
    of_parts = groups.join(table.with_row_index("part"), on="part")
    for i, rule in enumerate(parts.rules):
        reach = pl.col(f"reach_{i}").min().alias("reach")
        finite = of_parts.group_by("group_number").agg(reach).filter(pl.col("reach") < math.inf)
        of_rule = limits.filter(pl.col("statistic") == rule.statistic)
        full = of_rule.filter(pl.col("n") >= MOST_NEAR).join(finite, on="group_number")
        if full.filter(pl.col("limit") <= pl.col("reach")).height < 2 * finite.height:
            return False
    return True


def measure_sensitivity(
    scores: pl.LazyFrame,
    parts: Parts,
    table: pl.DataFrame,
    ranks: Ranks,
    cuts: Sequence[Sequence[GroupCut]],
) -> pl.DataFrame:
    """Return the number of context-critical rows when one cut moves and the others stay.

    `table` comes from `labels.cut_table`; `cuts` are [group][rule]. With one rule, the counts
    follow from the ranks without reading the rows.
    """
    sizes = [sum(bins.sizes) for bins in parts.bins]
    steps = [
        [_steps(rule, cut[i].cuts[0], ranked) for cut, ranked in zip(cuts, of_groups, strict=True)]
        for i, (rule, of_groups) in enumerate(zip(parts.rules, ranks.groups, strict=True))
    ]
    if len(parts.rules) == 1:
        counts, made = _count_ranks(sizes, steps[0], cuts)
    else:
        counts, made = _count_rows(scores, parts, table, ranks, steps)
    counted = [
        (name, rule.parameter, at, count, n - count, count - made[g])
        for g, (name, n) in enumerate(zip(parts.names, sizes, strict=True))
        for i, rule in enumerate(parts.rules)
        for (at, _), count in zip(steps[i][g], counts[i][g], strict=True)
    ]
    return pl.DataFrame(counted, schema=SENSITIVITY, orient="row")


def _steps(rule: CutRule, cut: Cut, ranked: FloatArray) -> _Steps:
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


def _count_ranks(
    sizes: Sequence[int], steps: Sequence[_Steps], cuts: Sequence[Sequence[GroupCut]]
) -> _Counts:
    """Return the counts of `_count_rows` for one rule, which need no rows."""
    counts = [[n - below for _, below in group] for n, group in zip(sizes, steps, strict=True)]
    return [counts], [n - cut[0].cuts[0].n_below for n, cut in zip(sizes, cuts, strict=True)]


def _count_rows(
    scores: pl.LazyFrame,
    parts: Parts,
    table: pl.DataFrame,
    ranks: Ranks,
    steps: Sequence[Sequence[_Steps]],
) -> _Counts:
    """Return the context-critical rows with each cut moved to each step, and with none moved."""
    moved = _moved_bounds(parts, ranks, steps)
    whole = pl.concat([table, bound_table(scores, parts, moved)], how="horizontal")
    unmoved = [str(i) for i in range(len(parts.rules))]
    tests = [*enumerate(unmoved), *((i, name) for name, (i, _) in moved.items())]
    bits = {name: 1 << k for k, (_, name) in enumerate(tests)}
    # A number for each row says which tests it passes, because few such numbers differ.
    passed = pl.sum_horizontal(
        pl.when(is_above(number(parts.rules[i]), name, whole))
        .then(pl.lit(bits[name], pl.UInt32))
        .otherwise(pl.lit(0, pl.UInt32))
        for i, name in tests
    )
    rows = parts.attach(scores.filter(is_usable(parts.rules)), whole)
    cells = rows.select("group", passed.alias("passed")).group_by("group", "passed").len()
    row_counts = cells.collect(engine="streaming")

    def count(*names: str) -> dict[str, int]:
        """Return the rows of each group that pass these tests."""
        needed = sum(bits[name] for name in names)
        passing = row_counts.filter((pl.col("passed") & needed) == needed)
        return dict(passing.group_by("group").agg(pl.col("len").sum()).iter_rows())

    of_step = {name: count(name, *unmoved[:i], *unmoved[i + 1 :]) for name, (i, _) in moved.items()}
    counts = [
        [
            [of_step[f"{i}_{step}"].get(name, 0) for step in range(len(of_group))]
            for name, of_group in zip(parts.names, steps[i], strict=True)
        ]
        for i in range(len(parts.rules))
    ]
    made = count(*unmoved)
    return counts, [made.get(name, 0) for name in parts.names]


def _moved_bounds(
    parts: Parts, ranks: Ranks, steps: Sequence[Sequence[_Steps]]
) -> dict[str, tuple[int, list[Bound]]]:
    """Return the bounds of each rule at each of its steps, for `bound_table`."""
    return {
        f"{i}_{step}": (i, _bounds(parts, ranks.parts[i], steps[i], step))
        for i in range(len(parts.rules))
        for step in range(max((len(of_group) for of_group in steps[i]), default=0))
    }


def _bounds(
    parts: Parts, ranked: Sequence[FloatArray], steps: Sequence[_Steps], step: int
) -> list[Bound]:
    """Return the bound of each part at this step of its group."""
    bounds: list[Bound] = []
    for of_group, bins in zip(steps, parts.bins, strict=True):
        n_below = of_group[step][1] if step < len(of_group) else 0
        for share in apportion(n_below, bins.sizes) if sum(bins.sizes) else [0]:
            bounds.append(Bound.at(ranked[len(bounds)], share))
    return bounds
