"""The model that finds a context: the probability of every run of units, and of no context.

It is a conditional logit. The score of a run is the sum of its features times their weights,
and probabilities are the softmax over all runs of a prompt and "no context". The weights are
in `weights.json`. `tools/contexts/fit.py` fits them on marked prompts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from .lines import ASKING, LABELS, NUMBER, SIGNS, Array, read_signs
from .units import Unit, divide

_Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Candidates:
    """The units of a text and the runs `first[k]:stop[k]` of them."""

    units: list[Unit]
    signs: Array  # units x SIGNS
    words: Array  # units
    alike: _Bools  # whether a unit begins as the one before it; one more than units
    first: NDArray[np.intp]
    stop: NDArray[np.intp]

    @classmethod
    def of(cls, text: str, units: list[Unit]) -> Candidates:
        """Return all runs of the units."""
        signs, words = read_signs(text, units)
        first, stop = np.triu_indices(len(units))
        return cls(units, signs, words, _find_alike(text, units), first, stop + 1)

    @cached_property
    def gaps(self) -> NDArray[np.intp]:
        """The gap before each unit and after the last; 3 at both ends of the text."""
        return np.array([3, *(unit.gap for unit in self.units[1:]), 3])

    @cached_property
    def unit_before(self) -> NDArray[np.intp]:
        """The unit before each run; the number of units where there is none."""
        return np.where(self.first > 0, self.first - 1, len(self.units))

    @cached_property
    def asking(self) -> _Bools:
        """Whether a unit asks for something."""
        return np.asarray(self.signs[:, list(ASKING)].any(1))

    @cached_property
    def stating(self) -> _Bools:
        """Whether a unit neither asks, nor is a label or an option."""
        marked = self.signs[:, [*LABELS, NUMBER["announces"], NUMBER["option"]]].any(1)
        return np.asarray(~self.asking & ~marked)

    def asks_outside(self) -> _Bools:
        """Return whether a unit outside each run asks for something."""
        total = _sums(self.asking)
        return np.asarray(total[-1] > total[self.stop] - total[self.first])


_LETTERS = ((re.compile(r"[^\W\d_]+"), "a"), (re.compile(r"\d+"), "0"), (re.compile(r"\s+"), " "))


def _find_alike(text: str, units: list[Unit]) -> _Bools:
    """Return whether each unit begins a line in the same form as the one before it."""
    shapes = []
    for unit in units:
        shape = text[unit.start : min(unit.end, unit.start + 40)]
        for pattern, letter in _LETTERS:
            shape = pattern.sub(letter, shape)
        shapes.append(shape[:3])
    alike = [
        unit.gap == 1 and shape == last
        for unit, shape, last in zip(units[1:], shapes[1:], shapes, strict=False)
    ]
    return np.array([False, *alike, False])


def _sums(values: NDArray[np.generic]) -> Array:
    """Return the sums of the values before each position: one more than values."""
    zero = np.zeros((1, *values.shape[1:]), np.float32)
    return np.concatenate([zero, np.cumsum(values, 0, dtype=np.float32)])


def describe(c: Candidates) -> Iterator[tuple[str, Array]]:
    """Yield the groups of features: a name, and a row for each candidate."""
    first, stop, n = c.first, c.stop, len(c.units)
    count, weighed = _sums(c.signs), _sums(c.signs * c.words[:, None])
    length = _sums(c.words)
    inside, before, after = count[stop] - count[first], count[first], count[n] - count[stop]
    n_inside = length[stop] - length[first]
    n_outside = np.maximum(length[n] - n_inside, 1)
    beyond = np.concatenate([c.signs, np.zeros((1, len(SIGNS)), np.float32)])

    yield "inside", (inside > 0).astype(np.float32)
    yield "inside, share", (weighed[stop] - weighed[first]) / np.maximum(n_inside, 1)[:, None]
    yield "inside, number", np.minimum(inside, 6) / 3
    yield "before", (before > 0).astype(np.float32)
    yield "after", (after > 0).astype(np.float32)
    outside = weighed[n] - weighed[stop] + weighed[first]
    yield "outside, share", outside / n_outside[:, None]
    yield "outside, number", np.minimum(before + after, 6) / 3
    yield "unit before", beyond[c.unit_before]
    yield "unit after", beyond[stop]
    yield "first unit", c.signs[first]
    yield "last unit", c.signs[stop - 1]
    yield "gap before", np.eye(4, dtype=np.float32)[c.gaps[first]]
    yield "gap after", np.eye(4, dtype=np.float32)[c.gaps[stop]]
    yield "gaps", _compare_gaps(c.gaps, first, stop)
    yield "size", _sizes(n_inside, length[n] - n_inside, first, stop, n)
    yield "requests", _requests(c, inside, before, after, beyond)
    yield "remains", _remains(c, n_inside)


def _columns(*values: NDArray[np.generic]) -> Array:
    return np.stack(values, 1).astype(np.float32)


def _compare_gaps(gaps: NDArray[np.intp], first: NDArray[np.intp], stop: NDArray[np.intp]) -> Array:
    """Return how the widest gap inside compares with the gaps at both ends."""
    left, right = gaps[first], gaps[stop]
    least = np.minimum(left, right)
    inner = np.array(
        [gaps[i + 1 : j].max(initial=-1) for i, j in zip(first, stop, strict=True)], np.intp
    )
    return _columns(
        inner < least,
        inner <= least,
        inner > least,
        (left == 0) & (inner >= 1),
        (right == 0) & (inner >= 1),
        inner == 2,
        inner == 1,
        inner == 0,
        (left >= 1) & (right >= 1),
        (left >= 2) & (right >= 2),
        (left >= 2) | (right >= 2),
        (left == 0) & (right == 0),
        (left == 0) & (right >= 1),
        (left >= 1) & (right == 0),
    )


def _sizes(
    inside: Array, outside: Array, first: NDArray[np.intp], stop: NDArray[np.intp], n: int
) -> Array:
    """Return how many words and units are inside and outside."""
    edges = np.array([0, 3, 6, 12, 25, 60, 1e9])
    step = (inside[:, None] >= edges[:-1]) & (inside[:, None] < edges[1:])
    units = stop - first
    return np.hstack(
        [
            step.astype(np.float32),
            _columns(
                np.log1p(inside),
                inside / np.maximum(inside + outside, 1),
                np.log1p(outside),
                outside < 3,
                units == 1,
                units == 2,
                first == 0,
                stop == n,
                (first == 0) & (stop == n),
            ),
        ]
    )


def _requests(c: Candidates, inside: Array, before: Array, after: Array, beyond: Array) -> Array:
    """Return where the requests are, what they refer to, and what is divided by the ends."""
    total = _sums(c.asking)
    n = len(c.units)
    asks_before = total[c.first] > 0
    asks_after = total[n] > total[c.stop]
    n_inside = total[c.stop] - total[c.first]
    outside = before + after
    left = beyond[c.unit_before]
    first, last = c.signs[c.first], c.signs[c.stop - 1]
    on_line, ends_line = c.gaps[c.first] == 0, c.gaps[c.stop] > 0

    def has(signs: Array, sign: str) -> _Bools:
        return np.asarray(signs[:, NUMBER[sign]] > 0)

    def several(signs: Array, sign: str) -> _Bools:
        return np.asarray(signs[:, NUMBER[sign]] >= 2)

    asks_out = asks_before | asks_after
    no_question_left = has(outside, "mentions a question") & ~has(outside, "question")
    return _columns(
        ~asks_out,
        asks_before & asks_after,
        asks_before & ~asks_after,
        ~asks_before & asks_after,
        (n_inside > 0) & ~asks_out,
        (n_inside > 0) & asks_out,
        n_inside == c.stop - c.first,
        has(before, "below"),
        has(after, "above"),
        has(before, "above"),
        has(after, "below"),
        has(before, "this"),
        has(after, "this"),
        has(inside, "question") & ~has(outside, "question"),
        has(inside, "question") & has(outside, "question"),
        no_question_left,
        no_question_left & has(inside, "question"),
        has(before, "context label") & ~has(left, "context label"),
        has(left, "context label") & ~on_line,
        *(has(left, f"{kind} label") & on_line for kind in ("other", "question", "answer")),
        has(outside, "statement") & ~has(inside, "statement"),
        on_line & ~(has(first, "capital") | has(left, "complete") | has(left, "colon")),
        ~has(last, "complete") & ~ends_line,
        has(left, "colon"),
        several(inside, "speaker"),
        several(inside, "speaker") & has(outside, "speaker"),
        several(inside, "option"),
        has(inside, "option") & has(outside, "option"),
        several(outside, "option"),
        has(inside, "quoted") & (c.stop - c.first == 1),
        has(inside, "first person") & has(outside, "first person"),
        has(inside, "first person") & ~has(outside, "first person"),
        has(inside, "other label") & has(outside, "other label"),
        has(left, "opening tag") & has(beyond[c.stop], "closing tag"),
        has(left, "fence") & has(beyond[c.stop], "fence"),
        has(inside, "digit") & has(outside, "quantity"),
    )


def _remains(c: Candidates, n_inside: Array) -> Array:
    """Return how much text that states something is outside and inside, and beside the ends."""
    stated = _sums(c.stating * c.words)
    inside = stated[c.stop] - stated[c.first]
    left = stated[-1] - inside
    around = np.concatenate([c.stating, [False]])
    spoken = np.concatenate([c.signs[:, NUMBER["speaker"]], [0]]) > 0
    before = c.unit_before
    has_alike = _sums(c.alike[:-1])
    forms = [
        np.concatenate([c.signs[:, NUMBER[sign]], [0]]) > 0
        for sign in ("braces", "table", "code", "option", "bullet", "other label", "quoted")
    ]
    return _columns(
        np.log1p(left),
        left / np.maximum(c.words.sum(), 1),
        left > n_inside,
        left == 0,
        inside / np.maximum(n_inside, 1),
        inside == 0,
        inside / np.maximum(stated[-1], 1),
        *(around[before] & (c.gaps[c.first] == gap) for gap in range(3)),
        *(around[c.stop] & (c.gaps[c.stop] == gap) for gap in range(3)),
        c.alike[c.first],
        c.alike[c.stop],
        has_alike[c.stop] > has_alike[np.minimum(c.first + 1, len(c.units))],
        *(form[before] & form[c.first] for form in forms),
        *(form[c.stop - 1] & form[c.stop] for form in forms),
        spoken[before] & spoken[c.first],
        spoken[c.stop - 1] & spoken[c.stop],
    )


def describe_none(c: Candidates) -> Array:
    """Return the features of "no context": of the whole text."""
    total = c.words.sum()
    stated = (c.stating * c.words).sum()
    n = len(c.units)
    several = c.signs.sum(0)
    whole = [
        1,
        np.log1p(total),
        total < 15,
        total < 30,
        n == 1,
        n == 2,
        n <= 4,
        not c.asking.any(),
        (c.asking * c.words).sum() / max(total, 1),
        stated < 4,
        stated < 10,
        np.log1p(stated),
        (several[NUMBER["digit"]] > 0) and (several[NUMBER["quantity"]] > 0),
        sum(unit.gap == 2 for unit in c.units[1:]) == 0,
        sum(unit.gap > 0 for unit in c.units[1:]) == 0,
    ]
    return np.concatenate([np.array(whole, np.float32), several > 0, np.minimum(several, 6) / 3])


# --------------------------------------------------------------------- probabilities
@dataclass(frozen=True)
class Ranking:
    """The candidates of a text and their probabilities; `none` is that of no context."""

    candidates: Candidates
    none: float
    probabilities: Array

    def spans(self) -> tuple[Array, Array]:
        """Return where the candidates start and end, in characters."""
        c = self.candidates
        starts = np.array([unit.start for unit in c.units])
        ends = np.array([unit.end for unit in c.units])
        return starts[c.first], ends[c.stop - 1]

    def confidence(self, number: int) -> float:
        """Return the probability of a candidate, with those that are nearly the same."""
        starts, ends = self.spans()
        start, end = starts[number], ends[number]
        shared = np.minimum(ends, end) - np.maximum(starts, start)
        joined = np.maximum(ends, end) - np.minimum(starts, start)
        return float(min(1.0, self.probabilities[shared >= 0.9 * joined].sum()))


@lru_cache(maxsize=1)
def read_weights() -> dict[str, Array]:
    """Return the weights of each group of features, and of "none"."""
    text = files("ifcurate.contexts").joinpath("weights.json").read_text("utf-8")
    return {name: np.array(row, np.float32) for name, row in json.loads(text).items()}


def rank(text: str, cuts: Iterable[int] = ()) -> Ranking | None:
    """Rank the runs of units of a text; None for a text without any.

    `cuts` are positions where a unit must end.
    """
    units = divide(text, cuts)
    if not units:
        return None
    candidates = Candidates.of(text, units)
    weights = read_weights()
    scores = np.zeros(len(candidates.first), np.float32)
    for name, features in describe(candidates):
        scores += features @ weights[name]
    none = float(describe_none(candidates) @ weights["none"])
    most = max(none, float(scores.max()))
    shares = np.exp(scores - most)
    share = np.exp(none - most)
    total = shares.sum() + share
    return Ranking(candidates, float(share / total), (shares / total).astype(np.float32))


def divide_slot(text: str, slot: tuple[int, int], asks: str) -> tuple[int, int]:
    """Return a slot without the request at its start (`asks` is "first") or its end ("last")."""
    ranking = rank(text, slot) if asks else None
    if ranking is None:
        return slot
    starts, ends = ranking.spans()
    value = text[slice(*slot)]
    at_start = starts == slot[0] + len(value) - len(value.lstrip())
    at_end = ends == slot[0] + len(value.rstrip())
    inside = (starts >= slot[0]) & (ends <= slot[1])
    fits = inside & (at_start & ~at_end if asks == "last" else at_end & ~at_start)
    if not fits.any():
        return slot[0], slot[0]
    best = int(np.where(fits, ranking.probabilities, -1).argmax())
    return int(starts[best]), int(ends[best])
