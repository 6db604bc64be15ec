"""Contexts that are marked: by labels, headings, tags, rulers or numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice, pairwise

from . import patterns
from .lines import (
    WINDOW,
    announces,
    closing_request_start,
    is_complete_request,
    label_before,
)
from .spans import ContextSpan, Mark, make_spans
from .words import ASIDES, INNER_NOUNS, MAY_BE_SHORT, NOT_ASKED, classify_label

MAX_LINES = 20000  # lines that look like labels, known or not
MAX_MARKS = 2000  # a text with more label lines is a data file, not a prompt
CONTEXT_KINDS = ("label", "heading", "phrase")


def find_marks(text: str) -> list[Mark]:
    """Find all lines that announce something, in order."""
    marks: list[Mark] = []
    for start, content, name, heading in sorted(_label_lines(text)):
        kind, noun = classify_label(name.strip())
        if not kind or (marks and marks[-1].start == start):
            continue
        rule = {"context": "heading" if heading else "label"}.get(kind, kind)
        marks.append(Mark(start, content, rule, noun))
        if len(marks) >= MAX_MARKS:
            break
    marks += _empty_label_at_end(text, marks)
    return _drop_doubtful(_join_compared(text, marks))


_PAIRS = (("sentence", "sentence"), ("statement", "statement"))
_FIRST, _SECOND = (
    re.compile(rf"\W*(?:{word} \w+|\w+ \W?{number})\b", re.I)
    for word, number in (("first", "[1A]"), ("second", "[2B]"))
)


def _join_compared(text: str, marks: list[Mark]) -> list[Mark]:
    """Return the marks; of two numbered sentences the first is a text, and both if compared."""
    for i, (first, second) in enumerate(pairwise(marks)):
        if (
            (first.noun, second.noun) in _PAIRS
            and _FIRST.match(text, first.start)
            and _SECOND.match(text, second.start)
        ):
            marks[i] = replace(first, kind="label")
            behind = text[second.content :].partition("\n")[2]
            around = text[: first.start][-WINDOW:] + behind[:WINDOW]
            if patterns.COMPARES.search(around):
                marks[i + 1] = replace(second, kind="label")
            break
    return marks


def _label_lines(text: str) -> Iterator[tuple[int, int, str, bool]]:
    """Yield where each line starts, where its text starts, its label, and if it is a heading."""
    for match in islice(patterns.LABEL_LINE.finditer(text), MAX_LINES):
        heading = (match["deco"] or "").startswith("#")
        yield match.start(), match.end(), match["name"], heading
    for match in islice(patterns.HEADING_LINE.finditer(text), MAX_LINES):
        yield match.start(), match.end(), match["name"], True
    for match in islice(patterns.RULER_LINE.finditer(text), MAX_LINES):  # an underlined heading
        start = text.rfind("\n", max(0, match.start() - 60), max(0, match.start() - 1)) + 1
        if name := patterns.HEADING_WORDS.fullmatch(text, start, max(0, match.start() - 1)):
            yield start, match.end(), name["name"], True


def _empty_label_at_end(text: str, marks: list[Mark]) -> list[Mark]:
    """Return an empty label at the very end, which marks the answer regardless of its name."""
    end = len(text.rstrip())
    start = text.rfind("\n", max(0, end - 100), end) + 1
    match = patterns.LABEL_LINE.match(text, start, end) if start else None
    if match is None or match.end() < end or (marks and marks[-1].start >= start):
        return []
    return [Mark(start, match.end(), "ask", "")]


def _drop_doubtful(marks: list[Mark]) -> list[Mark]:
    """Leave out the speakers "Q:" and "A:" of a dialogue, and labels inside an article."""
    letters = [m for m in marks if m.noun in ("q", "a")]
    talk = len(letters) > 2
    kept: list[Mark] = []
    for mark in marks:
        if not _is_speaker_label(mark, kept, talk=talk) and not _is_inner(mark, kept):
            kept.append(mark)
    return kept


def _is_speaker_label(mark: Mark, kept: list[Mark], *, talk: bool) -> bool:
    """Return whether "Q" or "A" is a speaker in a dialogue, or an answer without a question."""
    if mark.noun not in ("q", "a"):
        return False
    return talk or (mark.noun == "a" and not any(m.noun == "q" for m in kept))


def _is_inner(mark: Mark, kept: list[Mark]) -> bool:
    """Return whether a label is inside an article."""
    if mark.kind != "label":
        return False
    around = kept[-1].kind if kept else ""
    return around == "heading" or (around in CONTEXT_KINDS and mark.noun in INNER_NOUNS)


def after_examples(text: str, marks: list[Mark]) -> tuple[list[Mark], bool]:
    """Drop the worked examples of a few-shot prompt: only the marks of the last case remain."""
    contexts = [i for i, m in enumerate(marks) if m.kind in CONTEXT_KINDS]
    limits = [*(mark.start for mark in marks[1:]), len(text)]
    filled = [i for i, m in enumerate(marks) if _is_answered(text, m, limits[i])]
    same = [i for i in contexts if marks[i].noun == marks[contexts[0]].noun]
    between = [i for i in filled if same[0] < i < same[-1]] if same else []
    if not between or contexts[0] > filled[0]:
        return marks, False
    return ([] if filled[-1] > same[-1] else marks[between[-1] :]), True


def _is_answered(text: str, mark: Mark, limit: int) -> bool:
    """Return whether a mark is the label of an answer, with the answer before `limit`."""
    return mark.kind == "answer" and bool(text[mark.content : limit].strip(" *\r\n\t\"'"))


def find_labelled(text: str, marks: list[Mark]) -> tuple[list[ContextSpan], list[ContextSpan]]:
    """Find texts under a label, a heading or a phrase; and hints as long as a paragraph."""
    marks, few_shot = after_examples(text, marks)
    spans: list[ContextSpan] = []
    hints: list[ContextSpan] = []
    asked = False
    pending: int | None = None  # the label that only heads further labels
    limits = [*(mark.start for mark in marks[1:]), len(text)]
    for mark, limit in zip(marks, limits, strict=False):
        if mark.kind in ("ask", "answer"):
            asked = asked or (limit - mark.content > 8 and mark.noun not in NOT_ASKED)
            continue
        label_start = mark.start if pending is None else pending
        if not text[mark.content : limit].strip():
            pending = label_start
            continue
        pending = None
        made = _find_under(
            text, mark, limit, label_start, asked=asked, least=_least_words(mark, few_shot=few_shot)
        )
        (hints if mark.kind == "hint" else spans).extend(made)
    return spans, hints


def _find_under(
    text: str, mark: Mark, limit: int, label_start: int, *, asked: bool, least: int
) -> list[ContextSpan]:
    """Find the text under one mark, which ends at `limit` or where requests after it begin."""
    before = text[max(0, mark.start - 400) : mark.start].strip().rsplit("\n", 1)[-1]
    end = closing_request_start(
        text, mark.content, limit, strict=asked or is_complete_request(before)
    )
    start = _after_announcement(text, mark.content, end)
    if before.lower().lstrip("#* ").startswith("example"):
        return []
    if mark.kind == "label":
        end = _other_field(text, mark.content, end)
    made = make_spans(text, start, end, mark.kind, cut_start=label_start, at_least=least)
    return [span for span in made if not patterns.PERSONA.match(text, span.start)]


def _after_announcement(text: str, start: int, end: int) -> int:
    """Return the position after a first line that announces the text under a heading."""
    at = start + len(text[start:end]) - len(text[start:end].lstrip())
    line_end = text.find("\n", at, min(end, at + 200))
    return line_end if line_end > 0 and announces(text[at:line_end].strip()) else start


def _other_field(text: str, start: int, end: int) -> int:
    """Return where the last line begins if it alone has a label, which is unknown; else `end`."""
    labels = list(islice(patterns.LABEL_LINE.finditer(text, start + 1, end), 2))
    line = text.rfind("\n", start, len(text[start:end].rstrip()) + start) + 1
    alone = len(labels) == 1 and labels[0].start() == line > start
    return line if alone and " " not in labels[0]["name"] else end


def _least_words(mark: Mark, *, few_shot: bool) -> int:
    """Return how many words a text under a label must have."""
    if mark.kind == "hint" or mark.noun in ASIDES & {"note", "notes"}:
        return 25
    if few_shot:
        return 4
    return 1 if mark.noun in MAY_BE_SHORT else 2


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
