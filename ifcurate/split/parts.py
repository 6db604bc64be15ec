"""The parts of a table that have their own cuts: sources, and bins of response length.

A table of scores is a lazy frame with its row numbers in the column `place`. `Parts.find`
holds its numbers in memory, 8 bytes for each row and rule.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from ifcurate.split.cuts import CutRule, LengthBins
from ifcurate.split.two_groups import FloatArray


def number(rule: CutRule) -> pl.Expr:
    """Return the number that a rule cuts; -0.0 becomes 0.0 (the optimiser would drop `+ 0.0`)."""
    value = pl.col(rule.statistic).cast(pl.Float64)
    return pl.when(value == 0).then(0.0).otherwise(value)


def is_usable(rules: Sequence[CutRule]) -> pl.Expr:
    """Return whether a row was scored and its numbers are finite."""
    finite = [number(rule).is_finite().fill_null(False) for rule in rules]
    return pl.all_horizontal((pl.col("status") == "scored").fill_null(False), *finite)


_FRAME: Final = pl.Schema(
    {"group": pl.String(), "length": pl.Int64(), "group_number": pl.UInt32(), "part": pl.UInt32()}
)


@dataclass(frozen=True, slots=True)
class Ranks:
    """The numbers of each rule in ascending order, by group and by part."""

    groups: list[list[FloatArray]]  # [rule][group]
    parts: list[list[FloatArray]]  # [rule][part]


@dataclass(frozen=True, slots=True)
class Parts:
    """Groups (all rows, or one per source) and their length bins (one without a length control)."""

    rules: tuple[CutRule, ...]
    per_source: bool
    names: tuple[str, ...]  # names of the groups, in ascending order
    bins: tuple[LengthBins, ...]  # one per group
    frame: pl.DataFrame  # _FRAME: a row for each group and length that occur together

    @classmethod
    def find(
        cls, scores: pl.LazyFrame, rules: Sequence[CutRule], *, per_source: bool
    ) -> tuple[Parts, Ranks]:
        """Divide the usable rows of a table into parts, and sort their numbers."""
        parts = cls(tuple(rules), per_source, (), (), pl.DataFrame(schema=_FRAME))
        cells = parts._read_numbers(scores)
        names: list[str] = []
        bins: list[LengthBins] = []
        frames = [parts.frame]
        ranks = Ranks([[] for _ in rules], [[] for _ in rules])
        for (name,), group_cells in cells.group_by("group", maintain_order=True):
            lengths = group_cells["length"].to_numpy()
            sizes = group_cells["n"].to_numpy()
            n = int(sizes.sum())
            controlled = n and rules[0].length_bins > 1
            of_group = (
                LengthBins.create(lengths, sizes, rules[0]) if controlled else LengthBins.whole(n)
            )
            codes = of_group.codes(lengths)
            part = pl.Series("part", codes + len(ranks.parts[0]), dtype=pl.UInt32)
            number_ = pl.lit(len(names), pl.UInt32).alias("group_number")
            names.append(str(name))
            bins.append(of_group)
            frames.append(group_cells.select("group", "length", number_, part))
            for i in range(len(rules)):
                values = group_cells[f"value_{i}"]
                ranks.groups[i].append(_sort_values(values))
                ranks.parts[i] += (
                    [_sort_values(values.filter(codes == c)) for c in range(len(of_group.sizes))]
                    if len(of_group.sizes) > 1
                    else ranks.groups[i][-1:]
                )
        frame = pl.concat(frames)
        return cls(tuple(rules), per_source, tuple(names), tuple(bins), frame), ranks

    def _read_numbers(self, scores: pl.LazyFrame) -> pl.DataFrame:
        """For each group and length: the count of usable rows and the numbers of each rule."""
        numbers = [number(rule).alias(f"value_{i}") for i, rule in enumerate(self.rules)]
        rows = scores.filter(is_usable(self.rules)).select(self._group, self._length, *numbers)
        cells = rows.group_by("group", "length").agg(pl.len().cast(pl.Int64).alias("n"), pl.all())
        table = cells.sort("group", "length").collect(engine="streaming")
        if table.is_empty() and not self.per_source:
            none: list[list[float]] = [[] for _ in self.rules]
            table = pl.DataFrame([("all", 0, 0, *none)], schema=table.schema, orient="row")
        return table

    @property
    def _group(self) -> pl.Expr:
        return (pl.col("source").fill_null("") if self.per_source else pl.lit("all")).alias("group")

    @property
    def _length(self) -> pl.Expr:
        controlled = self.rules[0].length_bins > 1
        length = pl.col("n_response_tokens").fill_null(0) if controlled else pl.lit(0)
        return length.cast(pl.Int64).alias("length")

    @property
    def starts(self) -> list[int]:
        """The number of each group's first part, then the number of all parts."""
        return list(itertools.accumulate((len(b.sizes) for b in self.bins), initial=0))

    def attach(self, scores: pl.LazyFrame, table: pl.DataFrame) -> pl.LazyFrame:
        """Return the rows, in their order, with their group, their part and the columns of `table`.

        `table` has a row for each part, in order.
        """
        known = self.frame.join(table.with_row_index("part"), on="part", maintain_order="left")
        if not self.per_source and self.rules[0].length_bins == 1:
            constant = known.drop("length").row(0, named=True)
            return scores.with_columns(
                pl.lit(value, dtype=known.schema[name]).alias(name)
                for name, value in constant.items()
            )
        rows = scores.with_columns(self._group, self._length)
        if self.rules[0].length_bins == 1:  # a join on two columns costs more
            known = known.drop("length")
        on = [name for name in ("group", "length") if name in known.columns]
        return rows.join(known.lazy(), on=on, how="left", maintain_order="left")


def _sort_values(lists: pl.Series) -> FloatArray:
    """Return all values of a column of lists. NumPy's sort is several times as fast as polars'."""
    return np.sort(lists.explode().drop_nulls().to_numpy())
