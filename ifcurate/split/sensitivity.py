"""How firm a cut is: how many rows stay context-critical when it moves and the others stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from ifcurate.split.cuts import (
    BoolArray,
    Bound,
    Cut,
    CutRule,
    GroupCut,
    IntArray,
    apportion,
    share_of,
)
from ifcurate.split.groups import Grouping, Ranks, Rows
from ifcurate.split.sorting import Ranked
from ifcurate.split.ties import ReadRows, Side, find_sides

__all__ = ["SENSITIVITY", "Sensitivity"]

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


class Sensitivity:
    """Counts for each step of each cut; under one rule they follow from the ranks alone."""

    def __init__(
        self,
        rules: Sequence[CutRule],
        grouping: Grouping,
        ranks: Ranks,
        cuts: Sequence[Sequence[GroupCut]],
    ) -> None:
        """`cuts` are one per group of one per rule."""
        self._rules = rules
        self._grouping = grouping
        self._sizes = [sum(bins.sizes) for bins in grouping.bins]
        # (n_rules, n_groups): where else to cut, and how many rows would be below
        self._steps = [
            [
                _steps(rule, cuts[g][i].cuts[0], ranks.groups[i][g]) if n else []
                for g, n in enumerate(self._sizes)
            ]
            for i, rule in enumerate(rules)
        ]
        self._sides: list[list[Side]] = [[] for _ in rules]
        self._kept = [np.zeros(0, dtype=np.int64) for _ in rules]

    def prepare(self, ranks: Ranks, read: ReadRows) -> None:
        """Under several rules: what the rows have to be compared with. May read the table."""
        if len(self._rules) == 1:
            return
        n_parts = int(self._grouping.first_parts[-1])
        most = [max((len(s) for s in steps), default=0) for steps in self._steps]
        wanted = [
            (i, self._bounds(steps, ranks.parts[i], step))
            for i, steps in enumerate(self._steps)
            for step in range(most[i])
        ]
        sides = find_sides(read, wanted, n_parts)
        self._sides = [[s for s in sides if s.rule == i] for i in range(len(self._rules))]
        n_groups = len(self._grouping.names)
        self._kept = [np.zeros((n, n_groups), dtype=np.int64) for n in most]

    def _bounds(
        self, steps: list[list[tuple[float, int]]], parts: Sequence[Ranked], step: int
    ) -> list[Bound]:
        bounds: list[Bound] = []
        for group, bins in zip(steps, self._grouping.bins, strict=True):
            n_below = group[step][1] if step < len(group) else 0
            for share in apportion(n_below, bins.sizes) if sum(bins.sizes) else [0]:
                bounds.append(Bound.at(parts[len(bounds)], share))
        return bounds

    def add(self, rows: Rows, above: Sequence[BoolArray]) -> None:
        """Count a frame's rows; `above` says of each rule which of them are above its cut."""
        for i, sides in enumerate(self._sides):
            others = np.ones(len(rows.groups), dtype=np.bool_)
            for j, mine in enumerate(above):
                if j != i:
                    others &= mine
            for step, side in enumerate(sides):
                groups = rows.groups[others & side.above(rows)]
                self._kept[i][step] += np.bincount(groups, minlength=len(self._sizes))

    def table(self, kept: IntArray) -> pl.DataFrame:
        """The SENSITIVITY table; `kept` is how many rows of each group are context-critical."""
        found = []
        for g, (name, n) in enumerate(zip(self._grouping.names, self._sizes, strict=True)):
            for i, rule in enumerate(self._rules):
                parameter = "fraction" if rule.kind == "fraction" else "threshold"
                for step, (at, n_below) in enumerate(self._steps[i][g]):
                    count = int(self._kept[i][step][g]) if self._sides[i] else n - n_below
                    found.append((name, parameter, at, count, n - count, count - int(kept[g])))
        return pl.DataFrame(found, schema=SENSITIVITY, orient="row")


def _steps(rule: CutRule, cut: Cut, ranked: Ranked) -> list[tuple[float, int]]:
    """Where else to cut, and how many rows would be below: upwards, the cut itself included."""
    n = len(ranked)
    if rule.kind == "fraction":
        moved = {round(min(1.0, max(0.0, rule.fraction + d)), 12) for d in FRACTION_STEPS}
        return [(at, share_of(at, n)) for at in sorted(moved)]
    middle = cut.threshold
    assert middle is not None
    if middle > 0:
        moved = {middle * step for step in STEPS}
    else:
        width = (ranked.quantile(0.75) - ranked.quantile(0.25)) / 4 or max(abs(middle), 1.0) / 4
        moved = {middle + width * (i - len(STEPS) // 2) for i in range(len(STEPS))}
    return [(at, cut.n_below if at == middle else ranked.count_to(at)) for at in sorted(moved)]
