"""The rows that can be cut, in groups and length bins, and their numbers in order.

A SCORES table is read in frames, as often as needed: once to count, once to
sort the numbers that are cut (`ifcurate.split.sorting`). No row is held.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from ifcurate.split.cuts import CutRule, IntArray, LengthBins
from ifcurate.split.sorting import FloatArray, Numbers, Ranked, Scratch

__all__ = ["TIE_KEYS", "Frames", "Grouping", "Ranks", "Rows", "rank_values", "read_rows"]

#: Frames of a SCORES table with these columns, in the table's order, anew at each call.
Frames = Callable[[Sequence[str]], Iterator[pl.DataFrame]]

TIE_KEYS: Final = ("key", "id", "source", "row", "turn")


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a frame whose numbers are all finite."""

    frame: pl.DataFrame
    places: IntArray  # shape (n,); each row's number in the whole table
    groups: IntArray  # shape (n,)
    parts: IntArray  # shape (n,); a part is a length bin of a group, or all of it
    values: tuple[FloatArray, ...]  # one per rule, each of shape (n,)

    def tie_keys(self, at: IntArray) -> pl.Series:
        """Texts that sort as these rows' key, id, source, row and turn; no two are equal."""
        some = self.frame[at].select(TIE_KEYS)
        parts = [_text(name) for name in TIE_KEYS[:3]] + [_number(name) for name in TIE_KEYS[3:]]
        place = pl.Series(self.places[at]).cast(pl.String).str.zfill(20)
        return some.select(pl.concat_str(*parts, pl.lit(place)).alias("tie"))["tie"]


def _text(name: str) -> pl.Expr:
    # Ends below every character, and no text is the start of another: they sort as texts do.
    escaped = pl.col(name).str.replace_all("\0", "\0\2", literal=True) + "\0\1"
    return pl.when(pl.col(name).is_null()).then(pl.lit("\0\0")).otherwise(escaped)


def _number(name: str) -> pl.Expr:
    value = pl.col(name).cast(pl.Int64)
    negative = value - pl.lit(-(2**63), dtype=pl.Int64)
    text = pl.when(value < 0).then(negative).otherwise(value).cast(pl.String).str.zfill(19)
    sign = pl.when(value < 0).then(pl.lit("1")).otherwise(pl.lit("2"))
    return pl.when(value.is_null()).then(pl.lit("0")).otherwise(sign + text)


@dataclass(frozen=True, slots=True)
class Grouping:
    """Which groups there are, and the length bins of each."""

    names: tuple[str, ...]  # "all", or the sources, upwards
    bins: tuple[LengthBins, ...]  # one per group
    per_source: bool
    controlled: bool

    @classmethod
    def count(cls, frames: Frames, rules: Sequence[CutRule], *, per_source: bool) -> Grouping:
        """Read the table once: rows by group and, under a length control, by length."""
        controlled = any(rule.length_bins > 1 for rule in rules)
        wanted = [*["source"] * per_source, *["n_response_tokens"] * controlled]
        found: defaultdict[str, Counter[int]] = defaultdict(Counter)
        for frame in frames(_columns(rules, wanted)):
            usable = frame.filter(is_usable(rules)).with_columns(
                (pl.col("source").fill_null("") if per_source else pl.lit("all")).alias("group"),
                (pl.col("n_response_tokens").fill_null(0) if controlled else pl.lit(0))
                .cast(pl.Int64)
                .alias("length"),
            )
            for group, length, n in usable.group_by("group", "length").len().iter_rows():
                found[group][length] += n
        names = tuple(sorted(found)) if per_source else ("all",)
        bins = []
        for name in names:
            counts = found[name]
            if not (controlled and counts):
                bins.append(LengthBins.whole(counts.total()))
                continue
            lengths = np.array(sorted(counts), dtype=np.int64)
            sizes = np.array([counts[int(length)] for length in lengths], dtype=np.int64)
            bins.append(LengthBins.create(lengths, sizes, rules[0]))
        return cls(names, tuple(bins), per_source, controlled)

    @property
    def first_parts(self) -> IntArray:
        """The number of each group's first part, and that of all parts."""
        return np.cumsum([0, *(len(b.sizes) for b in self.bins)], dtype=np.int64)

    def codes(self, frame: pl.DataFrame) -> tuple[IntArray, IntArray]:
        """Group and part of each row of a frame of usable rows."""
        groups = np.zeros(len(frame), dtype=np.int64)
        if not len(frame):
            return groups, groups
        if self.per_source:
            source = frame["source"].fill_null("")
            numbers = pl.int_range(len(self.names), eager=True)
            names = pl.Series(self.names, dtype=pl.String)
            groups = source.replace_strict(names, numbers, return_dtype=pl.Int64).to_numpy()
        if not self.controlled:
            return groups, groups
        lengths = frame["n_response_tokens"].fill_null(0).cast(pl.Int64).to_numpy()
        parts = self.first_parts[groups]
        for group in np.unique(groups):
            here = groups == group
            parts[here] += self.bins[group].codes(lengths[here])
        return groups, parts


def is_usable(rules: Sequence[CutRule]) -> pl.Expr:
    """Whether a row was scored and its numbers are finite."""
    values = [pl.col(rule.statistic).cast(pl.Float64) for rule in rules]
    finite = [value.is_not_null() & value.is_finite() for value in values]
    return pl.all_horizontal((pl.col("status") == "scored"), *finite).fill_null(False)


def _columns(rules: Sequence[CutRule], more: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(["status", *(rule.statistic for rule in rules), *more]))


def read_rows(
    frame: pl.DataFrame, first: int, rules: Sequence[CutRule], grouping: Grouping
) -> Rows:
    """The usable rows of a frame, whose own first row is the table's `first`."""
    usable = frame.select(is_usable(rules))[:, 0]
    kept = frame.filter(usable)
    groups, parts = grouping.codes(kept)
    # -0.0 becomes 0.0: they are equal, and must stand together.
    values = tuple(kept[r.statistic].cast(pl.Float64).to_numpy() + 0.0 for r in rules)
    places = np.flatnonzero(usable.to_numpy()) + first
    return Rows(kept, places, groups, parts, values)


@dataclass(frozen=True, slots=True)
class Ranks:
    """The numbers of each rule in order: by group, and by part."""

    groups: tuple[tuple[Ranked, ...], ...]  # (n_rules, n_groups)
    parts: tuple[tuple[Ranked, ...], ...]  # (n_rules, n_parts)


def rank_values(
    frames: Frames, rules: Sequence[CutRule], grouping: Grouping, scratch: Scratch
) -> Ranks:
    """Read the table once more and sort its numbers. Raises `DataError` for want of room."""
    sizes = np.array([sum(b.sizes) for b in grouping.bins], dtype=np.int64)
    part_sizes = np.array([size for b in grouping.bins for size in b.sizes], dtype=np.int64)
    whole = [_Regions(scratch.numbers(), sizes) for _ in rules]
    parts = whole
    if grouping.controlled:
        parts = [_Regions(scratch.numbers(), part_sizes) for _ in rules]
    columns = _columns(
        rules, [*["source"] * grouping.per_source, *["n_response_tokens"] * grouping.controlled]
    )
    for frame in frames(columns):
        rows = read_rows(frame, 0, rules, grouping)
        for values, by_group, by_part in zip(rows.values, whole, parts, strict=True):
            by_group.add(rows.groups, values)
            if by_part is not by_group:
                by_part.add(rows.parts, values)
    ranked = tuple(regions.sort() for regions in whole)
    return Ranks(
        ranked, tuple(regions.sort() for regions in parts) if grouping.controlled else ranked
    )


class _Regions:
    """One stretch of numbers for each code, filled as they come."""

    def __init__(self, numbers: Numbers, sizes: IntArray) -> None:
        self._numbers = numbers
        self._ends = np.cumsum(sizes)
        self._next = self._ends - sizes

    def add(self, codes: IntArray, values: FloatArray) -> None:
        if not len(codes):
            return
        order = np.argsort(codes, kind="stable")
        found, firsts = np.unique(codes[order], return_index=True)
        for code, some in zip(found, np.split(values[order], firsts[1:]), strict=True):
            self._numbers.write(int(self._next[code]), some)
            self._next[code] += len(some)

    def sort(self) -> tuple[Ranked, ...]:
        start, found = 0, []
        for end in self._ends.tolist():
            self._numbers.sort(start, end)
            found.append(Ranked(self._numbers, start, end))
            start = end
        return tuple(found)
