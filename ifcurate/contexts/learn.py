"""Templates learned from the rows of one source.

Rows of one source mostly share a template: fixed words with slots between them. Rows that
begin or end alike, or share a line, are grouped. Their fixed parts are what all rows have
once and in the same order (`induce_parts`, longest first, as in Ratcliff and Obershelp's
matching). `choose_slots` decides which slots are context.

The same rows in the same order give the same templates.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

from . import patterns
from .learned_template import LearnedTemplate, are_distinct, match_template
from .slots import choose_slots

LOOKED_AT = 2400  # rows of a source from which templates are learned
_NEAR = 120  # words at either end of a row in which words of a template are sought
_LEAST_ROWS = 6  # the least number that shares a template
_MOST_ROWS = 120  # most rows from which the parts of a template are learned
_LONGEST = 8000  # characters; longer rows are not used
_CJK = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_CJK}]|(?:(?![{_CJK}])\w)+|[^\w\s]|\s+")
_WORD = re.compile(r"\w")
_SINGLE = frozenset([":", "?", "：", "？", "؟"])  # marks that divide by themselves
_STOPS = frozenset([".", "。", "।"])
_END_MARKER = re.compile(r"(?:\s*<[|/][\w|]{1,20}>)+\s*\Z")


def learn_templates(
    texts: Sequence[str], *, responses: Sequence[str] | None = None
) -> tuple[LearnedTemplate, ...]:
    """Learn the templates that these prompts share, sorted by most fixed text first.

    `responses` are the responses to the prompts, in the same order. They distinguish a context
    from the answers that a prompt offers. Raises `ValueError` when their number differs.
    """
    rows = [text.rstrip() for text in texts]
    said = [_END_MARKER.sub("", response) for response in responses or ()]
    known = dict(zip(rows, said, strict=True)) if responses is not None else {}
    rows = [text for text in rows if 0 < len(text) <= _LONGEST]
    words = {
        text: [token for token in _TOKEN.findall(text) if not token.isspace()] for text in rows
    }
    if whole := _learn_whole(rows, known):
        return (whole,)
    left = list(rows)
    templates: list[LearnedTemplate] = []
    for keys in (_edges(5), _grams, _edges(3, 2)):
        left = _take_groups(left, words, keys, templates, known)
        if len(left) < _LEAST_ROWS:
            break
    return tuple(sorted(templates, key=lambda template: (-template.n_fixed, template.parts)))


def _learn_whole(rows: list[str], known: Mapping[str, str]) -> LearnedTemplate | None:
    """Learn the template of all rows; None unless it has a context and all rows fit.

    Groups of rows with a common key may share words of a slot that has few values.
    """
    template = _learn_group(rows, known)
    if template is None or not template.contexts or not template.n_fixed:
        return None
    return template if all(match_template(text, template) is not None for text in rows) else None


_Keys = Callable[[str, list[str]], Iterable[object]]


def _edges(*sizes: int) -> _Keys:
    """Return a function that gives the first and the last words of a row."""

    def keys(text: str, words: list[str]) -> Iterable[object]:
        for size in sizes:
            if len(words) >= size:
                yield ("first", *words[:size])
                yield ("last", *words[-size:])

    return keys


def _grams(text: str, words: list[str]) -> Iterable[object]:
    """Return the runs of five words near the start and the end."""
    near = [words] if len(words) <= 2 * _NEAR else [words[:_NEAR], words[-_NEAR:]]
    return {tuple(part[i : i + 5]) for part in near for i in range(len(part) - 4)}


def _take_groups(
    rows: list[str],
    words: dict[str, list[str]],
    keys: _Keys,
    templates: list[LearnedTemplate],
    known: Mapping[str, str],
) -> list[str]:
    """Learn a template from each group of rows with a common key, and return the other rows."""
    of_row = {text: set(keys(text, words[text])) for text in rows}
    refused: set[object] = set()
    tried: set[tuple[str, ...]] = set()  # groups that several keys share
    while len(rows) >= _LEAST_ROWS:
        key = _most_shared(of_row[text] - refused for text in rows)
        if key is None:
            break
        refused.add(key)
        group = [text for text in rows if key in of_row[text]]
        if tuple(group) in tried:
            continue
        tried.add(tuple(group))
        for template in _learn_all(group, words, known):
            templates.append(template)
            rows = [text for text in rows if match_template(text, template) is None]
    return rows


def _most_shared(keys_of_rows: Iterable[set[object]]) -> object:
    """Return the key that most rows have; None when too few rows share one."""
    counts = Counter(itertools.chain.from_iterable(keys_of_rows))
    n = max(counts.values(), default=0)
    if n < _LEAST_ROWS:
        return None
    return max((key for key, of_key in counts.items() if of_key == n), key=str)


def _divide(group: list[str], words: dict[str, list[str]]) -> list[list[str]]:
    """Divide a group by the ends or starts of its rows, when that covers nearly all rows."""
    for side in (0, 1):
        for size in (12, 8, 4):
            parts: dict[object, list[str]] = {}
            for text in group:
                key = list(_edges(size)(text, words[text]))
                parts.setdefault(key[1 - side] if key else None, []).append(text)
            large = [part for key, part in parts.items() if key and len(part) >= _LEAST_ROWS]
            if len(large) > 1 and sum(map(len, large)) >= 0.8 * len(group):
                return large
    return [group]


def _learn_all(
    group: list[str], words: dict[str, list[str]], known: Mapping[str, str]
) -> list[LearnedTemplate]:
    """Learn the template of a group of rows, or several when the group mixes several."""
    learned = [_learn_group(part, known) for part in _divide(group, words)]
    return [template for template in learned if template is not None]


def _learn_group(group: list[str], known: Mapping[str, str]) -> LearnedTemplate | None:
    """Learn the template of a group of rows; None if they share none."""
    distinct = list(dict.fromkeys(group))[:_MOST_ROWS]
    parts = induce_parts(distinct) if len(distinct) >= _LEAST_ROWS else None
    if not parts or not are_distinct(parts):
        return None
    return choose_slots(parts, distinct, len(group), known)


def induce_parts(texts: Sequence[str]) -> tuple[str, ...] | None:
    """Return the fixed parts: what all texts have, once and in the same order.

    The result is None when they share nothing that could be part of a template.
    """
    first = _whole_words(_shared_start(texts), texts)
    rest = [text[len(first) :] for text in texts]
    backwards = [text[::-1] for text in rest]
    last = _whole_words(_shared_start(backwards), backwards)[::-1]
    last = "" if last.strip() in _STOPS else last  # it ends the sentence of the slot
    middle = [text[: len(text) - len(last)] for text in rest]
    inner = _inner_parts(middle, 0)
    if not inner and len("".join((first + last).split())) < 2:
        return None
    return (first, *map(_without_stop, (*inner, last)))


def _shared_start(texts: Sequence[str]) -> str:
    """Return the characters with which all texts begin."""
    low, high = min(texts), max(texts)
    n = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return low[:n]


def _without_stop(part: str) -> str:
    """Return a fixed part without the stop at its start, which ends the sentence of the slot.

    Other rows may end it with another mark.
    """
    rest = part[1:]
    more = _WORD.search(rest) or "\n" in rest or rest[:1] in tuple('"”’»“')
    return rest if part[:1] in _STOPS and more else part


def _whole_words(shared: str, texts: Sequence[str]) -> str:
    """Return a shared start without a last word that continues differently."""
    n = len(shared)
    if n and any(_joins(shared[n - 1], text[n : n + 1]) for text in texts):
        while n and _WORD.match(shared[n - 1]):
            n -= 1
    return shared[:n]


def _joins(before: str, after: str) -> bool:
    unspaced = re.match(f"[{_CJK}]", before)
    return bool(_WORD.match(before) and after and _WORD.match(after) and not unspaced)


def _inner_parts(segments: list[str], depth: int) -> list[str]:
    """Return fixed parts inside the segments: the longest, and those on either side of it."""
    if depth > 8 or any(not segment for segment in segments):
        return []
    best = _longest_shared(segments)
    if not best:
        return []
    pairs = [segment.split(best, 1) for segment in segments]
    left = _inner_parts([a for a, _ in pairs], depth + 1)
    right = _inner_parts([b for _, b in pairs], depth + 1)
    return [*left, best, *right]


def _longest_shared(segments: list[str]) -> str:
    """Return the longest run of tokens that is in every segment, and in nearly all only once."""
    ordered = sorted(segments, key=len)
    shortest, others = ordered[0], ordered[1:]
    places = [0, *(match.end() for match in _TOKEN.finditer(shortest))]
    best, best_size = "", 0.0
    end = 0
    for i, (start, _) in enumerate(pairwise(places)):
        end = max(end, i + 1)
        while end < len(places) and all(shortest[start : places[end]] in text for text in others):
            end += 1
        run = shortest[start : places[end - 1]]
        size = len("".join(run.split())) or (0.5 if "\n" in run else 0)
        if size > best_size and _is_fixed(run, segments):
            best, best_size = run, size
    return best


def _is_fixed(run: str, segments: list[str]) -> bool:
    """Return whether a run may be part of a template: it is more than a word, and occurs once."""
    words = re.findall(r"\w+", run)
    marks = sum(not ch.isspace() and not _WORD.match(ch) for ch in run)
    strong = len(words) >= 2 or "\n" in run or (words and marks) or marks >= 2
    strong = strong or run.strip() in _SINGLE
    unspaced = len(re.findall(f"[{_CJK}]", run)) >= 3
    if not (strong or unspaced):
        return False
    once = sum(segment.count(run) == 1 for segment in segments)
    return once >= 0.9 * len(segments) and not _may_be_chance(run, segments)


def _may_be_chance(run: str, segments: list[str]) -> bool:
    """Return whether long texts may share a run by chance, such as "at the" or ".."."""
    if patterns.BLANK.search(run) and "\n" not in run:
        return True
    if any(ch in run for ch in '\n:：?？"“”„«»|=<>#[]{}→') or len("".join(run.split())) >= 8:
        return False
    return min(len(segment.split(None, 40)) for segment in segments) > 40
