"""Check that a prompt still asks for something without its context.

No cut may remove the only request of a prompt. `asks` decides that, and `shrink` repairs
a cut that removes it. Windows are bounded, so that the time stays linear in the length
of the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from . import patterns
from .lines import (
    first_request_end,
    is_complete_request,
    is_instruction,
    is_question,
    is_spoken,
    last_request_start,
    line_asks,
    only_asks,
    reference_direction,
    sentences,
)
from .spans import ContextSpan, rest_of
from .words import (
    NOT_ASKED,
    WORKS_ON_TEXT,
    classify_label,
    count_words,
    is_request_label,
    mentions_question,
    n_words,
)

_WINDOW = 4000  # characters at either end of a text
_GAP = re.compile(r"\n[ \t\r]*\n")
_MARKUP = re.compile(r"\[/?INST\]|<\|[\w ]{1,20}\|>|</?[a-z_]{1,20}>")


def asks(text: str) -> bool:
    """Return whether some line or sentence of a text asks or instructs."""
    if len(text) > 2 * _WINDOW:
        text = text[:_WINDOW] + "\n" + text[-_WINDOW:]
    if _ends_in_question(text):
        return True
    if '{"' in text:
        text = re.sub(r'[{}]|"\s*[:,]\s*"?|"', "\n", text)
    lines = [line for line in _MARKUP.sub("\n", text).splitlines() if line.strip()]
    return any(map(line_asks, lines))


def remains_asking(text: str, spans: Sequence[ContextSpan]) -> bool:
    """Return whether the text without these spans still asks for something.

    An empty slot for the answer at the end ("Answer:") alone asks for nothing. One such as
    "Summary:" says what is wanted.
    """
    return asks_beyond_slot(rest_of(text, spans))


def asks_beyond_slot(text: str) -> bool:
    """Return whether a text asks by more than an empty label of the answer at its end.

    A label such as "Summary:" is a request.
    """
    slot = _open_slot(text)
    if slot is None or _wanted_slot(text):
        return asks(text)
    known = classify_label(slot["name"].strip())[0] in ("ask", "answer")
    return asks(text[: slot.start()]) or (not known and asks(text))


def _wanted_slot(rest: str) -> re.Match[str] | None:
    """Return the empty label at the end of a text, if it is a request by itself."""
    slot = _open_slot(rest)
    return slot if slot and is_request_label(slot["name"].strip().lower()) else None


def _open_slot(rest: str) -> re.Match[str] | None:
    """Return the label at the very end of a text, if nothing follows it."""
    end = len(rest.rstrip(" \t\r\n*_\"'"))
    start = rest.rfind("\n", max(0, end - 200), end) + 1
    slot = patterns.LABEL_LINE.match(rest, start)
    return slot if slot and not rest[slot.end() :].strip("*_\"' \t\r\n") else None


def _ends_in_question(text: str) -> bool:
    """Return whether the last paragraph before an empty slot is one line that asks.

    Its label may be of any language.
    """
    slot = _open_slot(text)
    paragraph = _GAP.split(text[: slot.start() if slot else len(text)].strip())[-1]
    return "\n" not in paragraph and len(paragraph) <= 400 and paragraph.endswith(("?", "？", "؟"))


def _has_question(line: str) -> bool:
    """Return whether a line has a question, or has the label of one and text after it."""
    if any(sign in line for sign in "?？؟") or patterns.BLANK.search(line):
        return True
    label = patterns.LABEL_LINE.match(line)
    name = label["name"].strip().lower() if label else ""
    if label and classify_label(name)[0] == "ask" and name not in NOT_ASKED:
        return bool(line[label.end() :].strip()) and not is_instruction(name)
    return any(is_question(line[a:b]) for a, b in sentences(line, 0, len(line)))


def lacks_question(rest: str) -> bool:
    """Return whether a text mentions a question that is not in it.

    "Answer the question below" asks for something, but the cut removed its question.
    """
    lines = [line for line in rest[-_WINDOW:].splitlines() if line.strip()]
    spoken = any(map(mentions_question, lines)) and not patterns.MAKES_QUESTION.search(rest)
    return spoken and not any(map(_has_question, lines))


def shrink(text: str, spans: Sequence[ContextSpan]) -> list[ContextSpan]:
    """Return the spans without the requests at their edges; [] when nothing is left.

    The last request of the last span returns to the prompt, or else the first request of
    the first span.
    """
    last = spans[-1]
    cut = last_request_start(text, last.start, last.end)
    if last.start < cut < last.end:
        end = last.start + len(text[last.start : cut].rstrip())
        return [*spans[:-1], replace(last, end=end, outer_end=end)]
    first = spans[0]
    cut = first_request_end(text, first.start, first.end)
    if first.start < cut < first.end:
        start = cut + len(text[cut : first.end]) - len(text[cut : first.end].lstrip())
        return [replace(first, start=start, outer_start=start), *spans[1:]]
    return []


_CHOOSING = re.compile(
    r"\b(?:which|choose|pick|select|options?|likely|correct|letter|[A-D] or [A-D]|next)\b|[?？]",
    re.I,
)
# A last line that only prompts for the answer: "Tag =", "→", "The answer is".
_CUE = re.compile(
    r"\W{1,8}|[QA][.:]?|Note: .{1,150}|(?:\S+ ){0,2}\S*[=:→>]|[^.!?:\n]{3,80} (?:is|are|was|be)"
)
_ITEM = re.compile(r"\s*\(?[A-H1-9][.)] ")
_INLINE_ITEMS = re.compile(r"[ \t]\(?(?:A|a|1)[.):] (?=[^\n]{0,400}?[ \t]\(?(?:B|b|2)[.):] )")


def trim_requests(text: str, spans: Sequence[ContextSpan]) -> list[ContextSpan]:
    """Return the spans without what belongs to a request at their edges.

    These are a cue for the answer (a last line such as "Tag ="), options to choose from, and
    questions. The list is empty when a span holds a request besides.
    """
    rest = rest_of(text, spans)[-_WINDOW:]
    choosing = _CHOOSING.search(rest) is not None
    # Questions are part of a text that is to be worked on, or that a question refers to.
    settled = any(map(_is_about_text, rest.splitlines()))
    trimmed: list[ContextSpan] = []
    for span in spans:
        start, end = _trim(text, span, choosing=choosing, settled=settled)
        if n_words(text, start, end) < 3 or (not settled and _asks_inside(text[start:end])):
            return []
        outer_start = span.outer_start if start == span.start else start
        outer_end = span.outer_end if end == span.end else end
        trimmed.append(
            replace(span, start=start, end=end, outer_start=outer_start, outer_end=outer_end)
        )
    return trimmed


def _asks_inside(body: str) -> bool:
    """Return whether one of a few lines asks or announces a value, and no line names a speaker."""
    lines = [line.strip() for line in body[:_WINDOW].splitlines() if line.strip()]
    if not 1 < len(lines) <= 12 or any(map(is_spoken, lines)):
        return False
    announced = (line.endswith(":") and count_words(line) >= 4 for line in lines)
    return any(announced) or any(only_asks(line) for line in lines if len(line) <= 120)


def _is_about_text(line: str) -> bool:
    """Return whether a line is a complete task on a text, or a question about one."""
    if is_complete_request(line) and WORKS_ON_TEXT.search(line):
        return True
    return is_question(line) and not mentions_question(line) and bool(reference_direction(line))


def _trim(text: str, span: ContextSpan, *, choosing: bool, settled: bool) -> tuple[int, int]:
    """Return a span without cues, options and questions at its edges; empty if they are unclear."""
    start = span.start
    lines = text[start : span.end].splitlines(keepends=True)
    n = len(lines)
    while n > 1 and _belongs_to_answer(lines[n - 1].strip(), choosing=choosing):
        n -= 1
    body = "".join(lines[:n]).rstrip()
    line = body.rpartition("\n")[2]
    parts = [line[a:b] for a, b in sentences(line, 0, len(line))]
    if len(parts) > 1 and is_question(parts[-1]) and not settled:
        return start, start
    items = body.split(",")
    is_list = len(items) > 2 and "\n" not in body and max(map(count_words, items)) <= 3
    if choosing and (is_list or _ITEM.match(body) or _INLINE_ITEMS.search(body)):
        return start, start
    return start + len(body) - len(body.lstrip()), start + len(body)


def _belongs_to_answer(line: str, *, choosing: bool) -> bool:
    """Return whether a last line is blank, a cue for the answer, or an option to choose."""
    if not line or line.endswith(":") or _CUE.fullmatch(line):
        return True
    return choosing and _ITEM.match(line) is not None
