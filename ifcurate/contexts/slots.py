"""Choose the slots of a template that are context.

The model reads some rows, with units that end where slots end. What it says of the same slots
in these rows, what the slots and the fixed words are like, and how the responses relate to the
slots decide together. The weights of `describe_options` were fitted on marked templates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import patterns
from .asking import asks
from .learned_template import Asks, LearnedTemplate, match_template
from .lines import (
    Array,
    is_ended,
    is_open,
    is_question,
    is_request,
    names_text,
    reference_direction,
)
from .model import Ranking, rank, read_weights
from .quotes import OPENING_MARKS
from .spans import Span
from .words import count_words

READ = 16  # rows of a template that the model reads
_LEAST = 0.005  # a probability below it counts as this: one row decides nothing
_FIRST = re.compile(r"\w")
_LAST = re.compile(r"\w(?=\W*\Z)")
_WORDS = re.compile(r"\w{3,}")
_DIVIDES = re.compile(r"[\n:：?？؟\"“”„«»]")


class Option(NamedTuple):
    """The first and the last slot of a context, and the place of a request in it."""

    first: int
    last: int
    asks: Asks = ""


NONE = Option(-1, -1)  # the rows have no context
APART = Option(-2, -2)  # the rows are read one by one


@dataclass(frozen=True)
class Row:
    """A row of a template: its slots, its response, and its runs by their outer letters."""

    text: str
    slots: Sequence[Span]
    response: str
    ranking: Ranking
    first: NDArray[np.intp]  # of each run
    last: NDArray[np.intp]

    def probability(self, option: Option) -> float | None:
        """Return the probability of an option; None where its slots are empty."""
        if option == NONE:
            return self.ranking.none
        if option == APART:
            return max(self.ranking.none, float(self.ranking.probabilities.max()))
        edges = letters(self.text, self.slots[option.first][0], self.slots[option.last][1])
        if edges is None:
            return None
        starts, ends = self.first == edges[0], self.last == edges[1]
        if option.asks == "last":
            ends = (self.last < edges[1]) & (self.last > edges[0])
        elif option.asks == "first":
            starts = (self.first > edges[0]) & (self.first < edges[1])
        return float(self.ranking.probabilities[starts & ends].sum())

    def value(self, first: int, last: int) -> str:
        """Return the text from one slot to another."""
        return self.text[self.slots[first][0] : self.slots[last][1]].strip()


def letters(text: str, start: int, end: int) -> Span | None:
    """Return the places of the first and the last letter or digit of `start:end`."""
    first = _FIRST.search(text, start, end)
    last = _LAST.search(text[start:end])
    return (first.start(), start + last.start()) if first and last else None


def choose_slots(
    parts: tuple[str, ...], rows: Sequence[str], n_rows: int, responses: Mapping[str, str]
) -> LearnedTemplate | None:
    """Return the template of these rows with its context slots, or without any.

    The result is None when the rows do not fit, or are better read one by one.
    """
    read = read_rows(parts, rows, responses)
    if not read:
        return None
    options = list_options(len(parts) - 1)
    scores = describe_options(parts, read, options) @ read_weights()["slots"]
    shares = np.exp(scores - scores.max())
    best = int(scores.argmax())
    first, last, asks_where = options[best]
    if options[best] == APART or (first >= 0 and _is_cut(parts)):
        return None
    agreement = np.mean([_agrees(row, options[best]) for row in read])
    # Rows that are read one by one may give the same context, and so may a part of the slots.
    same = np.array([(o.first, o.last) == (first, last) for o in options])
    confidence = float(shares[same].sum() / shares[[o != APART for o in options]].sum())
    parts, numbers = _merge(parts, first, last) if first >= 0 else (parts, ())
    return LearnedTemplate(
        parts, numbers, n_rows, round(float(agreement), 3), round(confidence, 3), asks_where
    )


_TAIL = re.compile(r"[^\W\dA-Z_]\w*(?: \w+){0,2} ?[?？.]")


def _is_cut(parts: tuple[str, ...]) -> bool:
    """Return whether the only fixed words are the end of a sentence: "⟨…⟩ born?"."""
    tail = parts[-1].strip()
    if "".join(parts[:-1]).strip() or parts[-1].startswith("\n"):
        return False
    return _TAIL.fullmatch(tail) is not None and not patterns.QUESTION_START.match(tail)


def _merge(
    parts: tuple[str, ...], first: int, last: int
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the parts without those inside a context, and the slots of the context.

    Texts that a program wrote share words: " sold its trams to ". Words that divide two texts
    stay: a line break, a colon, a quotation mark, or a request.
    """
    inner = [part for part in parts[first + 1 : last + 1] if _DIVIDES.search(part) or asks(part)]
    merged = (*parts[: first + 1], *inner, *parts[last + 1 :])
    return merged, tuple(range(first, first + len(inner) + 1))


def read_rows(
    parts: tuple[str, ...], rows: Sequence[str], responses: Mapping[str, str]
) -> list[Row]:
    """Return at most `READ` rows, one of every n; none if too few fit the parts."""
    blank = LearnedTemplate(parts, (), 0, 0.0, 0.0)
    fitting = [(row, slots) for row in rows if (slots := match_template(row, blank)) is not None]
    if len(fitting) < 0.9 * len(rows):
        return []
    step = max(1, len(fitting) // READ)
    return [_read(row, slots, responses.get(row, "")) for row, slots in fitting[::step][:READ]]


def _read(text: str, slots: Sequence[Span], response: str) -> Row:
    """Rank the runs of a row whose units end where its slots end."""
    cuts = [cut for start, end in slots for cut in _widen(text, start, end)]
    ranking = rank(text, cuts)
    assert ranking is not None
    units = ranking.candidates.units
    edges = [letters(text, unit.start, unit.end) or (unit.start, unit.end - 1) for unit in units]
    first, last = (np.array(column) for column in zip(*edges, strict=True))
    c = ranking.candidates
    return Row(text, slots, response, ranking, first[c.first], last[c.stop - 1])


def _widen(text: str, start: int, end: int) -> Span:
    """Return a slot with the quotation marks around it, and the mark that ends its sentence."""
    left = len(text[:start].rstrip(OPENING_MARKS + "("))
    right = end
    while right < len(text) and text[right] in "\"”»«“'’`」』)?？؟.。!":
        right += 1
    return left, right


def list_options(n: int) -> list[Option]:
    """Return all options of `n` slots: runs of slots, and slots that hold a request too."""
    runs = [Option(a, b) for a in range(n) for b in range(a, min(n, a + 12))]
    divided = [Option(k, k, where) for k in range(n) for where in _WHERE]
    return [NONE, APART, *runs, *divided]


_WHERE: tuple[Asks, Asks] = ("first", "last")


def describe_options(
    parts: tuple[str, ...], rows: Sequence[Row], options: Sequence[Option]
) -> Array:
    """Return the features of the options (options x features)."""
    n = len(parts) - 1
    about = [_describe_slot(parts, rows, k) for k in range(n)]
    fixed = "\n".join(parts)
    whole = [
        asks(fixed),
        names_text(fixed),
        any(map(reference_direction, fixed.splitlines())),
        n == 1,
        n >= 4,
        _few_kinds(rows),
        max(slot.words for slot in about) >= 8,
        max(slot.stating for slot in about) >= 0.5,
        any(slot.asking >= 0.8 for slot in about),
        sum(len(part.split()) for part in parts) < 4,
        not parts[0].strip(),
        not parts[-1].strip(),
        not parts[0].strip() and n == 1,
        is_open(parts[-1]),
        max(slot.words for slot in about) >= 15,
        max(slot.repeated for slot in about) >= 0.3,
        max(slot.holds for slot in about) >= 0.3,
        max(slot.answers for slot in about) >= 0.1,
    ]
    features = [
        [*_of_rows(rows, option), *_of_kind(option, whole), *_of_option(parts, about, option)]
        for option in options
    ]
    return np.array(features, np.float32)


class _Slot(NamedTuple):
    """What the values of a slot are like; shares are of rows."""

    words: float  # the median
    stating: float  # share of complete statements
    asking: float
    answers: float  # share that are the response
    holds: float  # share that hold a short response
    repeated: float  # share of the response's words that it has, the median
    filled: float


def _describe_slot(parts: tuple[str, ...], rows: Sequence[Row], k: int) -> _Slot:
    values = [row.value(k, k) for row in rows]
    # A question mark may be a fixed part.
    mark = parts[k + 1][:1] if parts[k + 1][:1] in tuple("?？؟") else ""
    asking = [is_question(value[-400:] + mark) or is_request(value[-400:]) for value in values]
    pairs = [(value.lower(), row.response.strip(" .\n").lower()) for value, row in
             zip(values, rows, strict=True)]  # fmt: skip
    n = len(rows)
    return _Slot(
        median(map(count_words, values)),
        sum(is_ended(v) and not a for v, a in zip(values, asking, strict=True)) / n,
        sum(asking) / n,
        sum(bool(said) and value.strip(" .") == said for value, said in pairs) / n,
        sum(bool(said) and said in value for value, said in pairs) / n,
        median(_repeated(value, said) for value, said in pairs),
        sum(map(bool, values)) / n,
    )


def _repeated(value: str, response: str) -> float:
    words = set(_WORDS.findall(response))
    return len(words & set(_WORDS.findall(value))) / len(words) if words else 0.0


def _few_kinds(rows: Sequence[Row]) -> bool:
    """Return whether the responses are of few short kinds."""
    kinds = {row.response.strip().lower() for row in rows}
    return "" not in kinds and len(kinds) <= 0.4 * len(rows) and max(map(count_words, kinds)) <= 5


def _of_rows(rows: Sequence[Row], option: Option) -> list[float]:
    """Return what the model says of an option in single rows."""
    known = [p for row in rows if (p := row.probability(option)) is not None]
    if not known:
        known = [0.0]
    logs = np.log(np.maximum(known, _LEAST))
    agrees = float(np.mean([_agrees(row, option) for row in rows]))
    return [float(logs.mean()), float(np.mean(known)), agrees, len(known) / len(rows)]


def _agrees(row: Row, option: Option) -> bool:
    """Return whether the row alone gives the same context."""
    p = row.probability(option)
    most = max(row.ranking.none, float(row.ranking.probabilities.max()))
    return p is not None and p >= most


def _of_kind(option: Option, whole: Sequence[bool]) -> list[float]:
    """Return the kind of an option, and the properties of the template for "none" and "apart"."""
    none, apart = option == NONE, option == APART
    return [
        none,
        apart,
        bool(option.asks),
        option.last > option.first,
        *(none and value for value in whole),
        *(apart and value for value in whole),
    ]


def _of_option(parts: tuple[str, ...], slots: Sequence[_Slot], option: Option) -> list[float]:
    """Return the properties of the slots of an option, and of those beside them."""
    if option.first < 0:
        return [0.0] * 33
    a, b, _ = option
    inside, others = slots[a : b + 1], [*slots[:a], *slots[b + 1 :]]
    before, after = parts[a], parts[b + 1]
    words = sum(slot.words for slot in inside)
    beside = max((slot.words for slot in others if slot.asking < 0.8), default=0)
    outside = "\n".join([*parts[: a + 1], *parts[b + 1 :]])
    tail = before.rstrip(" \"“«'`(")
    head = after.lstrip(" \"”»'`)")
    return [
        np.log1p(words),
        words < 3,
        words < 6,
        words >= 8,
        words >= 15,
        words >= 1.5 * beside,
        beside >= 6,
        max(slot.stating for slot in inside),
        max(slot.asking for slot in inside),
        max(slot.asking for slot in inside) >= 0.8,
        max(slot.answers for slot in inside),
        max(slot.answers for slot in inside) >= 0.1,
        max(slot.holds for slot in inside),
        max(slot.repeated for slot in inside),
        min(slot.filled for slot in inside),
        max((slot.stating for slot in others), default=0),
        max((slot.asking for slot in others), default=0),
        max((slot.answers for slot in others), default=0),
        max((slot.repeated for slot in others), default=0),
        asks(outside),
        names_text(before),
        bool(reference_direction(before[-200:])),
        not tail,
        tail.endswith((":", "：")),
        before.endswith("\n"),
        before.rstrip(" ")[-1:] in tuple(OPENING_MARKS),
        is_ended(tail) if tail else False,
        bool(tail) and tail[-1].isalnum() and not before.endswith("\n"),
        not head,
        after.startswith("\n"),
        head[:1].islower(),
        head[:1] in tuple(",;"),
        any(asks(part) for part in parts[a + 1 : b + 1]),
    ]
