"""The numbers that the rules cut, in memory: all rows of a table, or one group for each source.

A table of scores is a lazy frame with its row numbers in the column `place`. A group with
length control has a part for each bin of response length, otherwise one part. Each part has a
cut of its own. The numbers take 20 bytes for each row, and 16 more for a second rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from ifcurate.split.cuts import CutRule, GroupCut, IntArray, LengthBins, cut_group
from ifcurate.split.two_groups import FloatArray

BoolArray = npt.NDArray[np.bool_]
Places = npt.NDArray[np.uint32]

#: The order of rows that tie at a cut. A missing text counts as empty, a missing number as least.
#: The key is a hash of the row's tokens, so the order is as good as random.
TIE_ORDER: Final[dict[str, pl.Expr]] = {
    **{name: pl.col(name).fill_null("") for name in ("key", "id", "source")},
    **{name: pl.col(name).cast(pl.Int64).fill_null(-(2**63)) for name in ("row", "turn", "place")},
}
#: The first 8 bytes of a key, as a number in the same order.
_KEY_START: Final = (
    TIE_ORDER["key"]
    .str.pad_end(8, "\0")
    .cast(pl.Binary)
    .bin.slice(0, 8)
    .bin.reinterpret(dtype=pl.UInt64, endianness="big")
)


def number(rule: CutRule) -> pl.Expr:
    """Return the number that a rule cuts; -0.0 becomes 0.0 (the optimiser would drop `+ 0.0`)."""
    value = pl.col(rule.statistic).cast(pl.Float64)
    return pl.when(value == 0).then(0.0).otherwise(value)


def is_usable(rules: Sequence[CutRule]) -> pl.Expr:
    """Return whether a row was scored and its numbers are finite."""
    finite = [number(rule).is_finite().fill_null(False) for rule in rules]
    return pl.all_horizontal((pl.col("status") == "scored").fill_null(False), *finite)


def group_of(*, per_source: bool) -> pl.Expr:
    """Return the name of a row's group."""
    return (pl.col("source").fill_null("") if per_source else pl.lit("all")).alias("group")


@dataclass(frozen=True, slots=True)
class TieOrder:
    """The order of rows that tie at a cut. The arrays have a number for each row of the table.

    The start of a key decides nearly always. Rows whose starts are equal at a cut are read.
    """

    starts: npt.NDArray[np.uint64]
    later: Places  # the order of the rows that were read, else 0

    @classmethod
    def read(cls, scores: pl.LazyFrame, ties: Iterable[tuple[Places, int]]) -> TieOrder:
        """Return the order for these ties: places of rows, and how many of them are below."""
        tied = [(places, n_below) for places, n_below in ties if n_below]
        if not tied:
            return cls(np.zeros(0, np.uint64), np.zeros(0, np.uint32))
        starts = scores.select(_KEY_START).collect(engine="streaming").to_series().to_numpy()
        order = cls(starts, np.zeros(len(starts), np.uint32))
        equal = [places[order._find_equal(places, n_below)[0]] for places, n_below in tied]
        chosen = pl.Series(np.unique(np.concatenate(equal))).implode()
        rows = scores.filter(pl.col("place").is_in(chosen)).select(*TIE_ORDER.values())
        in_order = rows.sort(*TIE_ORDER).select("place").collect(engine="streaming")
        order.later[in_order["place"].to_numpy()] = np.arange(len(in_order))
        return order

    def is_above(self, places: Places, n_below: int) -> BoolArray:
        """Return which of the tied rows are above a cut with `n_below` of them below it."""
        equal, n_equal_below = self._find_equal(places, n_below)
        starts = self.starts[places]
        above: BoolArray = starts > starts[equal[0]]
        above[equal[np.argsort(self.later[places[equal]])][n_equal_below:]] = True
        return above

    def _find_equal(self, places: Places, n_below: int) -> tuple[IntArray, int]:
        """Return the rows with the start of the last row below, and how many of them are below."""
        starts = self.starts[places]
        last = np.partition(starts, n_below - 1)[n_below - 1]
        return np.flatnonzero(starts == last), n_below - int((starts < last).sum())


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that are cut together. The arrays have the shape (n_rows,)."""

    places: Places  # of the rows in the table
    values: tuple[FloatArray, ...]  # for each rule
    ranked: tuple[FloatArray, ...]  # the same values in ascending order

    @classmethod
    def create(cls, places: Places, values: Sequence[FloatArray]) -> Part:
        """Return the part of these rows."""
        return cls(places, tuple(values), tuple(np.sort(of_rule) for of_rule in values))

    def find_ties(self, rule: int, n_below: int) -> tuple[IntArray, int]:
        """Return the rows that a cut divides although they tie, and how many of them are below.

        The cut has `n_below` rows below it.
        """
        ranked = self.ranked[rule]
        if not 0 < n_below < len(ranked) or ranked[n_below - 1] != ranked[n_below]:
            return np.zeros(0, np.int64), 0
        first = int(np.searchsorted(ranked, ranked[n_below]))
        return np.flatnonzero(self.values[rule] == ranked[n_below]), n_below - first

    def is_above(self, rule: int, n_below: int, order: TieOrder) -> BoolArray:
        """Return which rows are above a cut with `n_below` rows below it."""
        values = self.values[rule]
        if n_below == 0:
            return np.ones(len(values), dtype=np.bool_)
        above: BoolArray = values > self.ranked[rule][n_below - 1]
        ties, n_ties_below = self.find_ties(rule, n_below)
        if n_ties_below:
            above[ties] = order.is_above(self.places[ties], n_ties_below)
        return above


@dataclass(frozen=True, slots=True)
class Group:
    """The usable rows of all sources or of one, with the parts that are cut separately."""

    name: str
    ranked: tuple[FloatArray, ...]  # all values of each rule in ascending order
    bins: LengthBins
    parts: tuple[Part, ...]  # one for each bin of response length
    cuts: tuple[GroupCut, ...]  # one for each rule

    def __len__(self) -> int:
        return len(self.ranked[0])

    def find_above(self, order: TieOrder) -> list[list[BoolArray]]:
        """Return which rows are above the cuts: [part][rule]."""
        return [
            [part.is_above(i, cut.below[b], order) for i, cut in enumerate(self.cuts)]
            for b, part in enumerate(self.parts)
        ]


def read_groups(scores: pl.LazyFrame, rules: Sequence[CutRule], *, per_source: bool) -> list[Group]:
    """Return the groups of a table with their cuts, by name.

    Without a usable row there is one empty group.
    """
    controlled = rules[0].length_bins > 1
    length = [pl.col("n_response_tokens").fill_null(0).cast(pl.Int64)] * controlled
    numbers = [number(rule).alias(f"value_{i}") for i, rule in enumerate(rules)]
    rows = scores.filter(is_usable(rules)).select(
        group_of(per_source=per_source), pl.col("place").cast(pl.UInt32), *numbers, *length
    )
    table = rows.group_by("group").agg(pl.all()).sort("group").collect(engine="streaming")
    if table.is_empty() and not per_source:
        nothing = [pl.Series(name, [[]], dtype=table.schema[name]) for name in table.columns[1:]]
        table = pl.DataFrame([pl.Series("group", ["all"]), *nothing])
    return [_as_group(row, rules) for row in table.iter_slices(1)]


def _as_group(row: pl.DataFrame, rules: Sequence[CutRule]) -> Group:
    """Return the group of a row of lists: places, the values of each rule, and lengths."""
    lists = {name: row[name].item().to_numpy() for name in row.columns[1:]}
    places, values = lists["place"], [lists[f"value_{i}"] for i in range(len(rules))]
    whole = Part.create(places, values)
    bins, parts = LengthBins.whole(len(places)), [whole]
    if "n_response_tokens" in lists and len(places):
        bins = LengthBins.create(*np.unique_counts(lists["n_response_tokens"]), rules[0])
        codes = bins.codes(lists["n_response_tokens"])
        chosen = [codes == code for code in range(len(bins.sizes))]
        parts = [Part.create(places[c], [v[c] for v in values]) for c in chosen]
    name = row["group"].item()
    cuts = (
        cut_group(name, whole.ranked[i], bins, [part.ranked[i] for part in parts], rule)
        for i, rule in enumerate(rules)
    )
    return Group(name, whole.ranked, bins, tuple(parts), tuple(cuts))
