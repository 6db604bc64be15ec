"""Leave out of a context what belongs to a request at its edges: cues, options, questions."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from . import patterns
from .lines import (
    announces,
    is_complete_question,
    is_complete_request,
    is_question,
    only_asks,
    reference_direction,
    sentences,
)
from .spans import ContextSpan, rest_of
from .words import mentions_question, n_words

_WINDOW = 4000  # characters at either end of a text
_CHOOSING = re.compile(
    r"\b(?:which|choose|pick|select|options?|likely|correct|letter|[A-D] or [A-D]|next)\b|[?？]",
    re.I,
)
# A last line that only prompts for the answer: "Tag =", "→", "The answer is".
_CUE = re.compile(r"\W{1,8}|[QA][.:]?|(?:\S+ ){0,2}\S*[=:→>]|[^.!?:\n]{3,80} (?:is|are|was|be)")
_BULLET = re.compile(r"[-*•+][ \t]")
_ITEM = re.compile(r"\(?([A-H1-9])(?:[.):]|(?=[ \t]))[ \t]*\S")
_INLINE_ITEMS = re.compile(r"[ \t]\(?(?:A|a|1)[.):] (?=[^\n]{0,400}?[ \t]\(?(?:B|b|2)[.):] )")


def trim_requests(text: str, spans: Sequence[ContextSpan]) -> list[ContextSpan]:
    """Return the spans without what belongs to a request at their edges.

    These are a cue for the answer (a last line such as "Tag ="), options to choose from, and
    questions. The list is empty when a span holds a request besides.
    """
    rest = rest_of(text, spans)
    choosing = _CHOOSING.search(rest[-_WINDOW:]) is not None
    lines = rest[-_WINDOW:].splitlines()
    # Questions are part of a text that is to be worked on, or that a question refers to.
    worked_on = any(map(_works_on_text, lines))
    settled = worked_on or any(map(_asks_about_text, lines))
    trimmed: list[ContextSpan] = []
    for span in spans:
        start, end = _trim(text, span, choosing=choosing, settled=settled)
        if n_words(text, start, end) < 3 or (not worked_on and _asks_inside(text[start:end])):
            return []
        outer_start = span.outer_start if start == span.start else start
        outer_end = span.outer_end if end == span.end else end
        trimmed.append(
            replace(span, start=start, end=end, outer_start=outer_start, outer_end=outer_end)
        )
    return trimmed


def _works_on_text(line: str) -> bool:
    """Return whether a line is a complete task on a text."""
    return is_complete_request(line) and patterns.WORKS_ON_TEXT.search(line) is not None


def _asks_about_text(line: str) -> bool:
    return is_question(line) and not mentions_question(line) and bool(reference_direction(line))


def _trim(text: str, span: ContextSpan, *, choosing: bool, settled: bool) -> tuple[int, int]:
    """Return a span without cues, options and questions at its edges; empty if they are unclear."""
    start = span.start
    lines = _without_last(text[start : span.end].splitlines(keepends=True), _is_cue)
    n_lines = len(lines)
    if choosing:
        del lines[len(lines) - _count_options(lines[::-1]) :]
        n_first = _count_options(lines)
        start += sum(map(len, lines[:n_first]))
        del lines[:n_first]
    if not settled:
        lines = _without_last(lines, is_question)
    body = "".join(lines).rstrip()
    line = body.rpartition("\n")[2]
    parts = [line[a:b] for a, b in sentences(line, 0, len(line))]
    if len(parts) > 1 and is_question(parts[-1]) and not settled:
        # Without a question word, or with options, the sentence before belongs to it.
        if len(lines) < n_lines or not is_complete_question(parts[-1]):
            return start, start
        body = body[: len(body) - len(parts[-1])].rstrip()
    if choosing and _INLINE_ITEMS.search(body):
        return start, start
    return start + len(body) - len(body.lstrip()), start + len(body)


def _is_cue(line: str) -> bool:
    return _CUE.fullmatch(line.strip()) is not None


def _without_last(lines: list[str], goes: Callable[[str], bool]) -> list[str]:
    """Return lines without the last ones that are blank or that `goes` selects; one remains."""
    n = len(lines)
    while n > 1 and (not lines[n - 1].strip() or goes(lines[n - 1])):
        n -= 1
    return lines[:n]


def _count_options(lines: Sequence[str]) -> int:
    """Return how many of the first lines are options to choose from, blank lines included.

    There are two to six. Bullets are options only beside another text.
    """
    count, items = 0, list[str]()
    for line in map(str.strip, lines):
        item = _ITEM.match(line)
        mark = item[1] if item else "-" if _BULLET.match(line) else ""
        if line and (not mark or (items and (mark == "-") != (items[0] == "-"))):
            break
        count += 1
        items += [mark] if line else []
    if "-" in items:
        counted = count < len(lines)
    else:
        counted = len({*items}) == len(items) and ({"A", "B"} <= {*items} or {"1", "2"} <= {*items})
    return count if counted and 1 < len(items) <= 6 else 0


def _asks_inside(body: str) -> bool:
    """Return whether one of a few lines is a request, and no line names its speaker."""
    lines = [line.strip() for line in body[:_WINDOW].splitlines() if line.strip()]
    if not 1 < len(lines) <= 12 or any(patterns.SPEAKER.match(line) for line in lines):
        return False
    return any(len(line) <= 120 and (announces(line) or only_asks(line)) for line in lines)
