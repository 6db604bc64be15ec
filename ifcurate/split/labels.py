"""From cuts to what a person reads: labels with reasons, how firm the cut is, what lies near it.

The table is read three times: to count, to sort its numbers, to label its rows
frame by frame. (A fourth time and more where rows tie at a cut.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import polars as pl

from ifcurate.split.cuts import BoolArray, Cut, CutRule, GroupCut, IntArray, cut_group
from ifcurate.split.groups import (
    TIE_KEYS,
    Frames,
    Grouping,
    Rows,
    rank_values,
    read_rows,
)
from ifcurate.split.nearest import Nearest
from ifcurate.split.sensitivity import Sensitivity
from ifcurate.split.sorting import FloatArray, Scratch
from ifcurate.split.ties import find_sides
from ifcurate.storage.tables import LABELS

__all__ = ["Labeller"]

CRITICAL, NON_CRITICAL = LABELS[:2]
_DECIDED: Final = ("label", "value", "threshold", "confidence", "reason")


class Labeller:
    """Cuts, and the labels that they give to one frame after the other."""

    def __init__(
        self,
        frames: Frames,
        rules: Sequence[CutRule],
        *,
        per_source: bool,
        scratch: Scratch,
    ) -> None:
        """Find the cuts. A row must be above the cut of every rule. Raises `DataError`."""
        self._rules = rules
        self._grouping = grouping = Grouping.count(frames, rules, per_source=per_source)
        ranks = rank_values(frames, rules, grouping, scratch)
        starts = grouping.first_parts.tolist()
        self._cuts: list[list[GroupCut]] = []
        for g, name in enumerate(grouping.names):
            mine = slice(starts[g], starts[g + 1])
            self._cuts.append(
                [
                    cut_group(
                        name, ranks.groups[i][g], grouping.bins[g], ranks.parts[i][mine], rule
                    )
                    for i, rule in enumerate(rules)
                ]
            )
        self.cuts: tuple[Cut, ...] = tuple(
            cut for group in self._cuts for found in group for cut in found.cuts
        )
        self._thresholds = [
            np.array([t for group in self._cuts for t in group[i].thresholds])
            for i in range(len(rules))
        ]

        def read() -> Iterator[Rows]:
            first = 0
            for frame in frames(self._needs(TIE_KEYS)):
                yield read_rows(frame, first, rules, grouping)
                first += frame.height

        bounds = [
            (i, [b for group in self._cuts for b in group[i].bounds]) for i in range(len(rules))
        ]
        self._sides = find_sides(read, bounds, starts[-1])
        self._sensitivity = Sensitivity(rules, grouping, ranks, self._cuts)
        self._sensitivity.prepare(ranks, read)
        self._nearest = Nearest([rule.statistic for rule in rules])
        self._kept = np.zeros(len(grouping.names), dtype=np.int64)
        self._first = 0

    def _needs(self, more: Sequence[str]) -> list[str]:
        lengths = ["n_response_tokens"] * self._grouping.controlled
        statistics = [rule.statistic for rule in self._rules]
        return list(dict.fromkeys(["status", *statistics, *lengths, *more]))

    def label(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The usable rows of the table's next frame, and for each its label and what decided.

        Columns: label, value, threshold, confidence, reason.
        """
        rows = read_rows(frame, self._first, self._rules, self._grouping)
        self._first += frame.height
        above = [side.above(rows) for side in self._sides]
        self._sensitivity.add(rows, above)
        decided = self._decide(rows, above)
        critical = np.logical_and.reduce(above)
        self._kept += np.bincount(rows.groups[critical], minlength=len(self._kept))
        self._nearest.add(rows.frame.select(*TIE_KEYS, "preview").hstack(decided.drop("reason")))
        return decided.select(_DECIDED)

    def sensitivity(self) -> pl.DataFrame:
        """How many rows are kept with the cuts moved, when all rows have been labelled."""
        return self._sensitivity.table(self._kept)

    def nearest(self) -> pl.DataFrame:
        """The rows on either side of the cuts, of those that have been labelled."""
        return self._nearest.table()

    def _decide(self, rows: Rows, above: Sequence[BoolArray]) -> pl.DataFrame:
        """Label, deciding number, confidence and reason of each usable row.

        With several rules the one with the lowest chance decides: its value and
        threshold are given, and its chance is the row's.
        """
        thresholds = np.stack([t[rows.parts] for t in self._thresholds])  # (n_rules, n)
        chances = np.stack([self._chances(rows, i) for i in range(len(self._rules))])
        # A row that fails has its number from a rule that it fails, ties at a cut included.
        weighed = chances - np.where(np.stack(above), 0.0, 1.0)
        deciding = weighed.argmin(axis=0)[None]
        data = {
            "critical": np.logical_and.reduce(above),
            "value": np.take_along_axis(np.stack(rows.values), deciding, 0)[0],
            "threshold": np.take_along_axis(thresholds, deciding, 0)[0],
            "chance": np.take_along_axis(chances, deciding, 0)[0],
        }
        for i, numbers in enumerate(rows.values):
            data |= {f"value_{i}": numbers, f"cut_{i}": thresholds[i], f"above_{i}": above[i]}
        names = list(self._grouping.names)
        hows = _hows(names, rows.groups, self._rules, self.cuts)
        statistics = pl.Series([rule.statistic for rule in self._rules], dtype=pl.String)
        label = pl.when("critical").then(pl.lit(CRITICAL)).otherwise(pl.lit(NON_CRITICAL))
        sure = pl.when("critical").then(pl.col("chance")).otherwise(1 - pl.col("chance"))
        return (
            pl.DataFrame(data)
            .with_columns(hows)
            .select(
                pl.Series("group", names, dtype=pl.String).gather(rows.groups),
                statistics.gather(deciding[0]).alias("statistic"),
                label.alias("label"),
                "value",
                "threshold",
                sure.clip(0.5, 1.0).alias("confidence"),
                _reason(self._rules).alias("reason"),
            )
        )

    def _chances(self, rows: Rows, i: int) -> FloatArray:
        """Of each row the chance to be above by one rule."""
        thresholds = self._thresholds[i][rows.parts]
        if len(self._cuts) == 1:
            return self._cuts[0][i].chance(rows.values[i], thresholds)
        chances = np.zeros(len(thresholds))
        for group in np.unique(rows.groups):
            here = rows.groups == group
            cut = self._cuts[group][i]
            chances[here] = cut.chance(rows.values[i][here], thresholds[here])
        return chances


def _hows(
    names: list[str], codes: IntArray, rules: Sequence[CutRule], cuts: Sequence[Cut]
) -> list[pl.Series]:
    hows = []
    for i, rule in enumerate(rules):
        said = {c.group: c.how for c in cuts if c.statistic == rule.statistic and not c.length_bin}
        suffix = ", by length" if rule.length_bins > 1 else ""
        phrases = pl.Series(f"how_{i}", [said[n] + suffix for n in names], dtype=pl.String)
        hows.append(phrases.gather(codes))
    return hows


def _reason(rules: Sequence[CutRule]) -> pl.Expr:
    said = []
    for i, rule in enumerate(rules):
        value, cut, above = pl.col(f"value_{i}"), pl.col(f"cut_{i}"), pl.col(f"above_{i}")
        relation = (
            pl.when(value == cut)
            .then(pl.when(above).then(pl.lit("ties with")).otherwise(pl.lit("is not above")))
            .when(above)
            .then(pl.lit("is above"))
            .otherwise(pl.lit("is not above"))
        )
        number, limit = (x.round_sig_figs(6).cast(pl.String) for x in (value, cut))
        said.append(
            pl.format(
                "{} {} {} {} ({})", pl.lit(rule.statistic), number, relation, limit, f"how_{i}"
            )
        )
    if len(rules) == 1:
        return said[0]
    hard, helped = pl.col("above_0"), pl.col("above_1")
    verdict = (
        pl.when(hard & helped)
        .then(pl.lit("hard without the context and helped by it"))
        .when(hard)
        .then(pl.lit("hard, but not helped by the context"))
        .when(helped)
        .then(pl.lit("known without the context"))
        .otherwise(pl.lit("known without the context, and not helped by it"))
    )
    return pl.format("{}: {}; {}", verdict, said[0], said[1])
