"""Where one number is cut in two: by a share of the rows, at a threshold, or found from the data.

A cut `t` sorts values into those above it (`value > t`) and the others. Cut by
a share, the `round(share * n)` lowest are below and `t` is the middle between
the last of them and the next; rows that tie at `t` are told apart by key and
id, so that the count is exact and does not depend on the order of the rows.

The chance that a value is above is 1/2 at the cut and

    1 / (1 + exp(-pi / sqrt(3) * (value - t) / s)),   s^2 = h^2 + e^2

away from it: h is the smallest distance that n rows resolve (Silverman's
kernel bandwidth, 0.9 * spread * n^(-1/5)) and e the standard error of the cut.
For a cut that was found, it is the posterior of the two groups instead
(`ifcurate.two_groups`).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from ifcurate.two_groups import TwoGroups, find_two_groups

__all__ = [
    "BoolArray",
    "Cut",
    "CutRule",
    "FloatArray",
    "IntArray",
    "Verdict",
    "apportion",
    "cut_values",
    "length_bins",
    "share_of",
    "sort_values",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

TIE_KEYS: Final = ("key", "id", "source", "row", "turn")
Z95: Final = 1.959964


@dataclass(frozen=True, slots=True)
class CutRule:
    """How one statistic is to be cut."""

    statistic: str
    kind: Literal["fraction", "threshold", "auto"]
    fraction: float  # of the rows, below the cut; for "auto" what it falls back to
    threshold: float | None  # for "auto" what it falls back to, before the fraction
    length_bins: int = 1  # more than one: the same share in each bin of response length
    min_bin: int = 30  # rows; smaller bins are merged with their neighbour
    n_bootstrap: int = 200
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Cut:
    """One cut of one group: where, how sure, and what lies on either side."""

    group: str  # "all", or a source
    statistic: str
    length_bin: str  # "" for the whole group, else "4-9 tokens"
    how: str  # what made it a cut, in words
    threshold: float | None  # None when the group has no scored row
    low: float | None  # 95% interval of the threshold; None when it was given, not found
    high: float | None
    n_above: int
    n_below: int
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, for a manifest."""
        return {**asdict(self), "notes": list(self.notes)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a cut says of each value of a group, in the order given."""

    above: BoolArray  # shape (n,)
    threshold: FloatArray  # shape (n,); differs between the bins of a length control
    chance: FloatArray  # shape (n,); of being above; 0.5 at the cut
    cuts: tuple[Cut, ...]  # the group's own, then its length bins'

    @classmethod
    def empty(cls, n: int) -> Verdict:
        """Room for the verdicts of several groups, to be filled in."""
        return cls(np.zeros(n, dtype=np.bool_), np.zeros(n), np.zeros(n), ())


def sort_values(values: FloatArray, identity: pl.DataFrame) -> IntArray:
    """Indices that sort the values upwards, ties by key, id, source, row and turn."""
    order = np.argsort(values, kind="stable").astype(np.int64)
    tied = np.zeros(len(values), dtype=np.bool_)
    equal = np.diff(values[order]) == 0
    tied[1:] |= equal
    tied[:-1] |= equal
    if tied.any():
        rows = order[tied]
        frame = identity[rows].select(TIE_KEYS)
        frame = frame.with_columns(ifcurate_value=values[rows], ifcurate_index=rows)
        order[tied] = frame.sort(["ifcurate_value", *TIE_KEYS])["ifcurate_index"].to_numpy()
    return order


def share_of(fraction: float, n: int) -> int:
    """How many of n rows a fraction is, halves rounded up."""
    return min(n, math.floor(fraction * n + 0.5))


def cut_values(
    group: str, values: FloatArray, order: IntArray, lengths: IntArray, rule: CutRule
) -> Verdict:
    """Cut the finite values of one group.

    `order` sorts them upwards (see `sort_values`); `lengths` are response
    tokens, read only when the rule has length bins.
    """
    n = len(values)
    if n == 0:
        empty = Cut(
            group, rule.statistic, "", "nothing to cut", None, None, None, 0, 0, ("no scored row",)
        )
        return replace(Verdict.empty(0), cuts=(empty,))
    ranked = values[order]
    groups = None
    if rule.kind == "auto":
        cut, groups = _cut_auto(group, ranked, rule)
    elif rule.kind == "threshold":
        assert rule.threshold is not None
        cut = _cut_at(group, ranked, rule, rule.threshold)
    else:
        cut = _cut_share(group, ranked, rule, share_of(rule.fraction, n))
    assert cut.threshold is not None
    above = np.ones(n, dtype=np.bool_)
    above[order[: cut.n_below]] = False
    thresholds = np.full(n, cut.threshold)
    cuts = [cut]
    if rule.length_bins > 1:
        bins = length_bins(order, lengths, rule)
        sizes = [len(members) for _, members in bins]
        for (name, members), n_below in zip(bins, apportion(cut.n_below, sizes), strict=True):
            part = _cut_share(group, values[members], rule, n_below, name)
            assert part.threshold is not None
            above[members] = np.arange(len(members)) >= n_below
            thresholds[members] = part.threshold
            cuts.append(part)
    if groups is None:
        chance = _chance(values, thresholds, cut)
    else:
        chance = groups.chance(values + (cut.threshold - thresholds))
    return Verdict(above, thresholds, chance, tuple(cuts))


def _cut_auto(group: str, ranked: FloatArray, rule: CutRule) -> tuple[Cut, TwoGroups | None]:
    """The cut between two groups; where there are none, what the rule falls back to."""
    found = find_two_groups(
        ranked,
        centred=rule.statistic == "context_gain",
        n_bootstrap=rule.n_bootstrap,
        seed=rule.seed,
    )
    if not found.why_not:
        cut = _cut_at(group, ranked, rule, found.threshold)
        how = "the cut between two groups"
        return replace(cut, how=how, low=found.low, high=found.high), found
    if rule.threshold is not None:
        cut = _cut_at(group, ranked, rule, rule.threshold)
        instead = f"the fixed threshold {rule.threshold:.6g}"
    else:
        cut = _cut_share(group, ranked, rule, share_of(rule.fraction, len(ranked)))
        instead = f"the lowest {100 * rule.fraction:.4g}%"
    note = f"no two groups: {found.why_not}; {instead} is used instead"
    how = f"no two groups, so {instead}"
    return replace(cut, how=how, notes=(note, *cut.notes)), None


def _cut_at(group: str, ranked: FloatArray, rule: CutRule, threshold: float) -> Cut:
    n_below = int(np.searchsorted(ranked, threshold, side="right"))
    n_above = len(ranked) - n_below
    notes = () if n_below and n_above else (f"all {len(ranked)} rows on one side of the cut",)
    how = "a fixed threshold"
    return Cut(group, rule.statistic, "", how, threshold, None, None, n_above, n_below, notes)


def _cut_share(group: str, ranked: FloatArray, rule: CutRule, n_below: int, name: str = "") -> Cut:
    n = len(ranked)
    low = high = None
    notes = []
    if n_below == 0:
        threshold = float(np.nextafter(ranked[0], -math.inf))
        notes.append("the fraction comes to no row: nothing is below the cut")
    elif n_below == n:
        threshold = float(ranked[-1])
        notes.append("the fraction comes to all rows: nothing is above the cut")
    else:
        last, first = float(ranked[n_below - 1]), float(ranked[n_below])
        threshold = last + (first - last) / 2
        if threshold >= first:
            threshold = last
        if last == first:
            ties = int(np.sum(ranked == threshold))
            notes.append(f"{ties} rows tie at the cut, told apart by key and id")
        # Distribution-free: which order statistics hold the quantile (binomial).
        reach = Z95 * math.sqrt(n_below * (n - n_below) / n)
        low = float(ranked[max(0, math.floor(n_below - reach))])
        high = float(ranked[min(n - 1, math.ceil(n_below + reach))])
    how = f"the lowest {100 * rule.fraction:.4g}%" if rule.kind == "fraction" else "the same share"
    if name:
        how += f" among {name}"
    sides = (n - n_below, n_below)
    return Cut(group, rule.statistic, name, how, threshold, low, high, *sides, tuple(notes))


def length_bins(order: IntArray, lengths: IntArray, rule: CutRule) -> list[tuple[str, IntArray]]:
    """The bins of a length control: name and members, sorted by value as `order` is.

    Edges are quantiles of the lengths; one bin of all when the rule has no more.
    """
    if rule.length_bins < 2:
        return [("", order)]
    shares = np.linspace(0, 1, rule.length_bins + 1)[1:-1]
    edges = np.unique(np.quantile(lengths, shares, method="lower"))
    codes = np.searchsorted(edges, lengths, side="left")  # an edge belongs to the bin below it
    counts = np.bincount(codes, minlength=len(edges) + 1)
    merged = np.zeros(len(counts), dtype=np.int64)
    current, held = 0, 0
    for i, count in enumerate(counts):
        merged[i] = current
        held += int(count)
        if held >= rule.min_bin and counts[i + 1 :].sum() >= rule.min_bin:
            current, held = current + 1, 0
    codes = merged[codes]
    bins = []
    for code in range(current + 1):
        members = order[codes[order] == code]
        inside = lengths[members]
        bins.append((f"{inside.min()}-{inside.max()} tokens", members))
    return bins


def apportion(n_below: int, sizes: list[int]) -> list[int]:
    """Share `n_below` out over bins in proportion to their sizes, the sum kept exactly."""
    n = sum(sizes)
    until = [0]
    seen = 0
    for size in sizes:
        seen += size
        until.append((2 * n_below * seen + n) // (2 * n))
    return [b - a for a, b in itertools.pairwise(until)]


def _chance(values: FloatArray, thresholds: FloatArray, cut: Cut) -> FloatArray:
    n = len(values)
    quarter, three_quarters = np.quantile(values, [0.25, 0.75])
    spreads = [s for s in (float(np.std(values)), (three_quarters - quarter) / 1.349) if s > 0]
    resolved = 0.9 * min(spreads) * n**-0.2 if spreads else 0.0
    error = (cut.high - cut.low) / (2 * Z95) if cut.low is not None and cut.high is not None else 0
    scale = max(math.hypot(resolved, error), np.finfo(np.float64).tiny)
    with np.errstate(over="ignore"):
        z = math.pi / math.sqrt(3) * (values - thresholds) / scale
    chance: FloatArray = 1 / (1 + np.exp(-np.clip(z, -500, 500)))
    return chance
