"""Contexts that are marked: by labels, headings, tags, rulers or numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice, pairwise

from . import patterns
from .lines import (
    closing_request_start,
    label_before,
)
from .spans import ContextSpan, Mark, make_spans
from .words import NOT_ASKED, classify_label

MAX_LINES = 20000  # lines that look like labels, known or not
MAX_MARKS = 2000  # a text with more label lines is a data file, not a prompt
CONTEXT_KINDS = ("label", "heading")


def find_marks(text: str) -> list[Mark]:
    """Find all lines that announce something, in order."""
    marks: list[Mark] = []
    for start, content, name, heading in sorted(_label_lines(text)):
        kind, noun = classify_label(name.strip())
        inner = kind == "context" and marks and marks[-1].kind == "heading" and not heading
        if not kind or inner or (marks and marks[-1].start == start):
            continue
        rule = {"context": "heading" if heading else "label", "phrase": "label"}.get(kind, kind)
        marks.append(Mark(start, content, rule, noun))
        if len(marks) >= MAX_MARKS:
            break
    letters = [mark for mark in marks if mark.noun in ("q", "a")]
    if len({mark.noun for mark in letters}) < len(letters):  # the speakers of a dialogue
        marks = [mark for mark in marks if mark not in letters]
    marks += _empty_label_at_end(text, marks)
    return _join_compared(text, marks)


_PAIRS = (("sentence", "sentence"), ("statement", "statement"))
_FIRST, _SECOND = (
    re.compile(rf"\W*(?:{word} \w+|\w+ \W?{number})\b", re.I)
    for word, number in (("first", "[1A]"), ("second", "[2B]"))
)


def _join_compared(text: str, marks: list[Mark]) -> list[Mark]:
    """Return the marks; of two numbered sentences the first is a text."""
    for i, (first, second) in enumerate(pairwise(marks)):
        if (
            (first.noun, second.noun) in _PAIRS
            and _FIRST.match(text, first.start)
            and _SECOND.match(text, second.start)
        ):
            marks[i] = replace(first, kind="label")
            break
    return marks


def _label_lines(text: str) -> Iterator[tuple[int, int, str, bool]]:
    """Yield where each line starts, where its text starts, its label, and if it is a heading."""
    for match in islice(patterns.LABEL_LINE.finditer(text), MAX_LINES):
        heading = (match["deco"] or "").startswith("#")
        yield match.start(), match.end(), match["name"], heading
    for match in islice(patterns.HEADING_LINE.finditer(text), MAX_LINES):
        yield match.start(), match.end(), match["name"], True


def _empty_label_at_end(text: str, marks: list[Mark]) -> list[Mark]:
    """Return an empty label at the very end, which marks the answer regardless of its name."""
    end = len(text.rstrip())
    start = text.rfind("\n", max(0, end - 100), end) + 1
    match = patterns.LABEL_LINE.match(text, start, end) if start else None
    if match is None or match.end() < end or (marks and marks[-1].start >= start):
        return []
    return [Mark(start, match.end(), "ask", "")]


def after_examples(text: str, marks: list[Mark]) -> list[Mark]:
    """Drop the worked examples of a few-shot prompt: only the marks of the last case remain."""
    contexts = [i for i, m in enumerate(marks) if m.kind in CONTEXT_KINDS]
    limits = [*(mark.start for mark in marks[1:]), len(text)]
    filled = [i for i, m in enumerate(marks) if _is_answered(text, m, limits[i])]
    same = [i for i in contexts if marks[i].noun == marks[contexts[0]].noun]
    between = [i for i in filled if same[0] < i < same[-1]] if same else []
    if not between or contexts[0] > filled[0]:
        return marks
    return [] if filled[-1] > same[-1] else marks[between[-1] :]


def _is_answered(text: str, mark: Mark, limit: int) -> bool:
    """Return whether a mark is the label of an answer, with the answer before `limit`."""
    return mark.kind == "answer" and bool(text[mark.content : limit].strip(" *\r\n\t\"'"))


def find_labelled(text: str, marks: list[Mark]) -> list[ContextSpan]:
    """Find texts under a label or a heading."""
    marks = after_examples(text, marks)
    spans: list[ContextSpan] = []
    asked = False
    limits = [*(mark.start for mark in marks[1:]), len(text)]
    for mark, limit in zip(marks, limits, strict=False):
        if mark.kind not in CONTEXT_KINDS:
            asked = asked or mark.noun not in NOT_ASKED
            continue
        end = closing_request_start(text, mark.content, limit, strict=asked)
        end = _other_field(text, mark.content, end)
        least = 25 if mark.noun in ("note", "notes") else 2
        spans += make_spans(
            text, mark.content, end, mark.kind, cut_start=mark.start, at_least=least
        )
    return spans


def _other_field(text: str, start: int, end: int) -> int:
    """Return where the last line begins if it alone has a label, which is unknown; else `end`."""
    labels = list(islice(patterns.LABEL_LINE.finditer(text, start + 1, end), 2))
    line = text.rfind("\n", start, len(text[start:end].rstrip()) + start) + 1
    return line if len(labels) == 1 and labels[0].start() == line > start else end


def find_numbered(text: str, marks: list[Mark]) -> list[ContextSpan]:
    """Find passages numbered from one, and take them together with their numbers."""
    counted = _count_from_one(patterns.NUMBERED_LINE.finditer(text))
    if len(counted) < 2:
        return []
    first, last = counted[0], counted[-1]
    behind = (m.start for m in marks if m.start > last.start() and m.kind in ("ask", "answer"))
    asked = bool(text[: first.start()].strip())
    end = closing_request_start(text, last.end(), next(behind, len(text)), strict=asked)
    label_start = label_before(text, max(0, first.start() - 300), first.start())
    return make_spans(text, first.start(), end, "numbered", cut_start=label_start, at_least=12)


def _count_from_one(lines: Iterable[re.Match[str]]) -> list[re.Match[str]]:
    """Return the numbered lines that count 1, 2, 3, ..., without the others."""
    counted: list[re.Match[str]] = []
    for match in lines:
        if int(match["a"] or match["b"]) == len(counted) + 1:
            counted.append(match)
    return counted
