"""The model that finds a context: the probability of every run of units, and of no context.

It is a small neural network. Each unit becomes a vector of its signs, its size and place, and
its words. Two layers add what its neighbours and the whole text are like. The score of a run
comes from the units at its ends, those beside them, and the means inside and outside. The
score of "no context" comes from all units. Several networks are averaged, and probabilities
are the softmax over all runs and "no context".

The weights are in `weights.npz`. `tools/contexts/fit.py` fits them on marked prompts.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .lines import ASKING, HEAD, Array, read_signs
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
    def asking(self) -> _Bools:
        """Whether a unit asks for something."""
        return np.asarray(self.signs[:, list(ASKING)].any(1))

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


# ------------------------------------------------------------------------------- units
N_WORDS: Final = 2048  # rows of the tables of words; a word's row is a hash of it
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+|[^\w\s]")


def describe_units(c: Candidates) -> Array:
    """Return the signs of the units, their sizes, their places and the gaps beside them."""
    n = len(c.units)
    gaps = np.array([3, *(unit.gap for unit in c.units[1:]), 3])
    place = np.arange(n)
    columns = [
        np.log1p(c.words),
        c.words / max(c.words.sum(), 1),
        place == 0,
        place == n - 1,
        (place + 0.5) / n,
        *(side == gap for gap in range(4) for side in (gaps[:-1], gaps[1:])),
        c.alike[:-1],
        c.alike[1:],
    ]
    return np.hstack([c.signs, np.stack(columns, 1).astype(np.float32)])


def read_words(text: str, unit: Unit) -> tuple[list[int], list[int]]:
    """Return the rows of the words of a unit, and those of the words at its ends."""
    body = text[unit.start : min(unit.end, unit.start + HEAD)].lower()
    words = ["0" if word.isdigit() else word for word in _WORD.findall(body)]
    ends = [f"f{i} {word}" for i, word in enumerate(words[:3])]
    ends.append("f01 " + " ".join(words[:2]))
    ends += [f"l{i} {word}" for i, word in enumerate(reversed(words[-3:]))]
    return [_row(f"w {word}") for word in words[:60]], [_row(end) for end in ends]


@lru_cache(maxsize=1 << 16)
def _row(word: str) -> int:
    return zlib.crc32(word.encode("utf-8", "replace")) % N_WORDS


# ----------------------------------------------------------------------------- network
Weights = dict[str, Array]


@lru_cache(maxsize=1)
def read_weights() -> Weights:
    """Return the weights: those of a network with an axis for the networks, and of slots."""
    with files("ifcurate.contexts").joinpath("weights.npz").open("rb") as stream:
        return {k: v.astype(np.float32) for k, v in np.load(stream, allow_pickle=False).items()}


def _score(text: str, c: Candidates, weights: Weights) -> tuple[float, Array]:
    """Return the score of "no context" and those of the runs: the means of all networks."""
    described = describe_units(c)
    of_words = []  # of each unit: networks x numbers
    for unit in c.units:
        words, ends = read_words(text, unit)
        of_all, at_ends = weights["words"][:, words].mean(1), weights["ends"][:, ends].sum(1)
        of_words.append(np.hstack([of_all, at_ends]))
    scores = []
    for k, of_units in enumerate(np.stack(of_words, 1)):
        w = {name: values[k] for name, values in weights.items() if name != "slots"}
        scores.append(_score_runs(np.hstack([described, of_units]), c, w))
    mean = np.stack(scores).mean(0)
    return float(mean[0]), mean[1:].astype(np.float32)


def _score_runs(inputs: Array, c: Candidates, w: Weights) -> Array:
    """Return the scores of one network: of "no context", then of the runs."""
    first, stop, n = c.first, c.stop, len(c.units)
    h = np.zeros((n + 2, w["input"].shape[1]), np.float32)  # a row of zeros at both ends
    h[1:-1] = np.maximum(inputs @ w["input"] + w["input bias"], 0)
    for layer, bias in zip(w["layers"], w["layer biases"], strict=True):
        whole = np.broadcast_to(h.sum(0) / n, (n, h.shape[1]))
        near = np.hstack([h[:-2], h[1:-1], h[2:], whole])
        h[1:-1] += np.maximum(near @ layer + bias, 0)
    before, begins, ends, after, within, without = (h @ role for role in w["run"])
    inside, outside = _sums(within[1:-1]), _sums(without[1:-1])
    n_inside = (stop - first)[:, None].astype(np.float32)
    hidden = before[first] + begins[first + 1] + ends[stop] + after[stop + 1] + w["run bias"]
    hidden += (inside[stop] - inside[first]) / n_inside
    hidden += (outside[n] - outside[stop] + outside[first]) / np.maximum(n - n_inside, 1)
    runs = np.maximum(hidden, 0, out=hidden) @ w["run score"]
    whole = np.concatenate([h.sum(0) / n, h.max(0)])
    none = np.maximum(whole @ w["none"] + w["none bias"], 0) @ w["none score"] + w["none base"]
    return np.concatenate([[none], runs])


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


def rank(text: str, cuts: Iterable[int] = ()) -> Ranking | None:
    """Rank the runs of units of a text; None for a text without any.

    `cuts` are positions where a unit must end.
    """
    units = divide(text, cuts)
    if not units:
        return None
    candidates = Candidates.of(text, units)
    none, scores = _score(text, candidates, read_weights())
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
