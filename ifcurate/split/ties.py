"""Which of the rows that tie at a cut are below it: the first by key, id, source, row and turn.

Any number of rows may tie. Where they are more than fit in memory, the one in
the wanted place is closed in on: some of them, taken at even distances, divide
the rest, which are counted; only the stretch with the wanted place is looked at
again (selection by sampling). Each round reads the table twice.

Reference: Floyd and Rivest 1975.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl

from ifcurate.split.cuts import BoolArray, Bound, IntArray
from ifcurate.split.groups import Rows
from ifcurate.split.sorting import FloatArray

__all__ = ["Side", "Tie", "find_sides", "resolve_ties"]

HELD: Final = 250_000  # tied rows in memory at a time
PIVOTS: Final = 256

ReadRows = Callable[[], Iterator[Rows]]


@dataclass(frozen=True, slots=True)
class Tie:
    """Rows of one part that tie at a value of one rule, on both sides of a cut."""

    rule: int
    part: int
    value: float
    n: int


@dataclass(frozen=True, slots=True)
class Side:
    """One cut of all parts by one rule."""

    rule: int
    values: FloatArray  # shape (n_parts,); at most this is below
    last: Mapping[int, str]  # part -> of the rows that tie there, the last one below

    def above(self, rows: Rows) -> BoolArray:
        """Which rows are above."""
        here = self.values[rows.parts]
        above: BoolArray = rows.values[self.rule] > here
        if self.last:
            tied = rows.values[self.rule] == here
            tied &= np.isin(rows.parts, list(self.last))
            at = np.flatnonzero(tied)
            if len(at):
                limits = pl.Series([self.last[part] for part in rows.parts[at].tolist()])
                above[at] = (rows.tie_keys(at) > limits).to_numpy()
        return above


def find_sides(
    read: ReadRows, wanted: Sequence[tuple[int, Sequence[Bound]]], parts: int
) -> list[Side]:
    """Cuts as rows can be compared with; for each a rule and a bound of every part."""
    ties: dict[Tie, set[int]] = {}
    for rule, bounds in wanted:
        for part, bound in enumerate(bounds):
            if bound.n_ties:
                tie = Tie(rule, part, bound.value, bound.n_ties)
                ties.setdefault(tie, set()).add(bound.n_below)
    last = resolve_ties(read, ties) if ties else {}
    sides = []
    for rule, bounds in wanted:
        values = np.array([bound.value for bound in bounds], dtype=np.float64).reshape(parts)
        mine = {
            part: last[Tie(rule, part, bound.value, bound.n_ties), bound.n_below]
            for part, bound in enumerate(bounds)
            if bound.n_ties
        }
        sides.append(Side(rule, values, mine))
    return sides


@dataclass(slots=True)
class _Stretch:
    """Tied rows between two of them, `low` < row <= `high`, and the places wanted among them."""

    tie: Tie
    n: int
    places: dict[int, int]  # place asked for, from 1 -> place in the stretch
    low: str | None = None
    high: str | None = None
    found: list[pl.Series] = field(default_factory=list)

    def keep(self, keys: pl.Series) -> None:
        # Anew: a few texts would keep those of the whole frame in memory.
        self.found.append(pl.Series(keys.to_list(), dtype=pl.String))


def resolve_ties(
    read: ReadRows, wanted: Mapping[Tie, set[int]], *, held: int = HELD
) -> dict[tuple[Tie, int], str]:
    """The tie key of the rows in these places, from 1, among the rows of each tie."""
    open_ = [_Stretch(tie, tie.n, {place: place for place in places})
             for tie, places in wanted.items()]  # fmt: skip
    few = max(1, held // PIVOTS)
    while sum(s.n for s in open_) > held and any(s.n > few for s in open_):
        open_ = [part for s in _divide(read, open_, few) for part in s]
    answers: dict[tuple[Tie, int], str] = {}
    while open_:
        until = itertools.accumulate(s.n for s in open_)
        some = max(1, sum(n <= held for n in until))
        now, open_ = open_[:some], open_[some:]
        for stretch, keys in _tied(read, now):
            stretch.keep(keys)
        for stretch in now:
            keys = pl.concat(stretch.found).sort()
            for asked, place in stretch.places.items():
                answers[stretch.tie, asked] = keys[place - 1]
            stretch.found.clear()
    return answers


def _divide(read: ReadRows, stretches: list[_Stretch], few: int) -> Iterator[list[_Stretch]]:
    """Each in smaller ones, of which those with a wanted place are kept."""
    large = [s for s in stretches if s.n > few]
    seen = {id(s): 0 for s in large}
    for stretch, keys in _tied(read, large):
        step = -(-stretch.n // PIVOTS)
        first = -seen[id(stretch)] % step
        seen[id(stretch)] += len(keys)
        stretch.keep(keys.gather_every(step, first))
    pivots = {id(s): pl.concat(s.found).sort() for s in large}
    counts = {name: np.zeros(len(keys) + 1, dtype=np.int64) for name, keys in pivots.items()}
    for stretch, keys in _tied(read, large):
        at = pivots[id(stretch)].search_sorted(keys, side="left").to_numpy()
        counts[id(stretch)] += np.bincount(at, minlength=len(counts[id(stretch)]))
    for stretch in stretches:
        if id(stretch) not in pivots:
            yield [stretch]
            continue
        keys = pivots[id(stretch)]
        edges = [stretch.low, *keys.to_list(), stretch.high]
        sizes = counts[id(stretch)]
        until = np.cumsum(sizes)
        smaller: dict[int, _Stretch] = {}
        for asked, place in stretch.places.items():
            i = int(np.searchsorted(until, place))
            part = smaller.setdefault(
                i, _Stretch(stretch.tie, int(sizes[i]), {}, edges[i], edges[i + 1])
            )
            part.places[asked] = place - int(until[i] - sizes[i])
        yield list(smaller.values())


def _tied(read: ReadRows, stretches: list[_Stretch]) -> Iterator[tuple[_Stretch, pl.Series]]:
    """Read the table: the tie keys of the rows in each stretch, a frame's at a time."""
    names = ("part", "value", "stretch", "low", "high")
    by_rule: dict[int, pl.DataFrame] = {}
    for rule in sorted({s.tie.rule for s in stretches}):
        mine = [(s.tie.part, s.tie.value, i, s.low, s.high)
                for i, s in enumerate(stretches) if s.tie.rule == rule]  # fmt: skip
        types = (pl.Int64, pl.Float64, pl.Int64, pl.String, pl.String)
        schema = dict(zip(names, types, strict=True))
        by_rule[rule] = pl.DataFrame(mine, schema=schema, orient="row")
    for rows in read():
        for rule, asked in by_rule.items():
            found = _matching(rows, rule, asked)
            for (i,), some in found.group_by("stretch", maintain_order=True):
                yield stretches[i], some["key"]


def _matching(rows: Rows, rule: int, mine: pl.DataFrame) -> pl.DataFrame:
    at: IntArray = np.flatnonzero(np.isin(rows.values[rule], mine["value"].to_numpy()))
    tied = pl.DataFrame({"part": rows.parts[at], "value": rows.values[rule][at], "at": at})
    # Only what ties in its own part is made a text of.
    tied = tied.join(mine.select("part", "value").unique(), on=["part", "value"], how="semi")
    tied = tied.sort("at")
    tied = tied.with_columns(rows.tie_keys(tied["at"].to_numpy()).alias("key"))
    joined = tied.join(mine, on=["part", "value"], how="inner", maintain_order="left")
    inside = (pl.col("key") > pl.col("low")).fill_null(True)
    inside &= (pl.col("key") <= pl.col("high")).fill_null(True)
    return joined.filter(inside)
