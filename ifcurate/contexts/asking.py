"""Check that a prompt still asks for something without its context.

No cut may remove the only request of a prompt. `asks` decides that, and `shrink` repairs
a cut that removes it. Windows are bounded, so that the time stays linear in the length
of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from . import patterns
from .lines import (
    announces,
    first_request_end,
    is_complete_question,
    is_complete_request,
    is_instruction,
    is_only_asking,
    is_question,
    is_spoken,
    last_request_start,
    line_asks,
    only_asks,
    reference_direction,
    says_what_follows,
    sentences,
)
from .spans import ContextSpan, rest_of
from .words import (
    NOT_ASKED,
    POINTS_BACK,
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
    return any(map(line_asks, lines)) or any(map(_is_question_label, lines[:-1]))


def _is_question_label(line: str) -> bool:
    """Return whether a line is nothing but the label of a question, which follows it."""
    label = patterns.LABEL_LINE.fullmatch(line.rstrip())
    name = label["name"].strip().lower() if label else ""
    return name not in NOT_ASKED and classify_label(name)[0] == "ask"


_QUESTION_FOLLOWS = re.compile(
    r"\b(?:questions?|quer(?:y|ies)|riddles?)\b[^.?!:\n]{0,40}:[ \t]*[^\s.?!]", re.I
)


def announces_question(text: str) -> bool:
    """Return whether a short text announces a question ("the following question:") and has it."""
    return len(text) <= 600 and _QUESTION_FOLLOWS.search(text) is not None


def remains_asking(text: str, spans: Sequence[ContextSpan]) -> bool:
    """Return whether the text without these spans still asks for something.

    An empty slot for the answer at the end ("Answer:") alone asks for nothing. One such as
    "Summary:" says what is wanted.
    """
    rest = rest_of(text, spans)
    if any(_ends_in_task(text[span.start : span.end], rest) for span in spans):
        return False
    return asks_beyond_slot(rest)


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


def _ends_in_task(body: str, rest: str) -> bool:
    """Return whether the last sentence of a context is the task of a label that remains.

    "Is this claim true?" belongs to "Claim: ...", and "Write a title for the text." to "Title:".
    """
    line = body[-500:].rpartition("\n")[2]
    parts = sentences(line, 0, len(line))
    last = line[slice(*parts[-1])].lower() if len(parts) > 1 else ""
    if not (is_question(last) or is_instruction(last)):
        return False
    labels = map(patterns.LABEL_LINE.match, rest[-_WINDOW:].splitlines())
    named = any(label["name"].strip().lower() in last for label in labels if label)
    return named or (_wanted_slot(rest) is not None and POINTS_BACK.search(last) is not None)


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
    asked = any(map(_has_question, lines)) or any(map(_is_question_label, lines[:-1]))
    return spoken and not asked


def shrink(text: str, spans: Sequence[ContextSpan]) -> list[ContextSpan]:
    """Return the spans without the requests at their edges; [] when nothing is left.

    The last request of the last span returns to the prompt, or else the first request of
    the first span.
    """
    if not spans:
        return []
    last = spans[-1]
    cut = last_request_start(text, last.start, last.end)
    if last.start < cut < last.end and n_words(text, last.start, cut) >= 3:
        end = last.start + len(text[last.start : cut].rstrip())
        return [*spans[:-1], replace(last, end=end, outer_end=end)]
    first = spans[0]
    cut = first_request_end(text, first.start, first.end)
    if first.start < cut < first.end and n_words(text, cut, first.end) >= 3:
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
_BULLET = re.compile(r"[-*•+][ \t]")
_ITEM = re.compile(r"\(?([A-H1-9])(?:[.):]|(?= ))[ \t]*\S")
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
        if n_words(text, start, end) < 3 or _is_request(text[start:end], worked_on=worked_on):
            return []
        outer_start = span.outer_start if start == span.start else start
        outer_end = span.outer_end if end == span.end else end
        trimmed.append(
            replace(span, start=start, end=end, outer_start=outer_start, outer_end=outer_end)
        )
    return trimmed


def _is_request(body: str, *, worked_on: bool) -> bool:
    """Return whether a text is one request or mentions a question, or one of its lines asks."""
    if is_only_asking(body) or (len(body) <= 120 and mentions_question(body)):
        return True
    return not worked_on and _asks_inside(body)


def _works_on_text(line: str) -> bool:
    """Return whether a line is a complete task on a text."""
    return is_complete_request(line) and WORKS_ON_TEXT.search(line) is not None


def _asks_about_text(line: str) -> bool:
    return is_question(line) and not mentions_question(line) and bool(reference_direction(line))


def _trim(text: str, span: ContextSpan, *, choosing: bool, settled: bool) -> tuple[int, int]:
    """Return a span without cues, options and questions at its edges; empty if they are unclear."""
    start = span.start
    lines = _without_last(text[start : span.end].splitlines(keepends=True), _is_cue)
    n_lines = len(lines)
    n_first, n_last = _count_ends(lines, choosing=choosing)
    start += sum(map(len, lines[:n_first]))
    lines = lines[n_first : len(lines) - n_last]
    if not settled:
        lines = _without_last(lines, _is_about_question)
    body = "".join(lines).rstrip()
    line = body.rpartition("\n")[2]
    parts = [line[a:b] for a, b in sentences(line, 0, len(line))]
    if len(parts) > 1 and is_question(parts[-1]) and not settled:
        # Without a question word, or with options, the sentence before belongs to it.
        if len(lines) < n_lines or not is_complete_question(parts[-1]):
            return start, start
        body = body[: len(body) - len(parts[-1])].rstrip()
    if choosing and (_INLINE_ITEMS.search(body) or _is_comma_list(body)):
        return start, start
    return start + len(body) - len(body.lstrip()), start + len(body)


def _is_comma_list(body: str) -> bool:
    """Return whether a text is at least four short items, divided by commas."""
    items = body.strip().removesuffix(".").split(",")
    return len(items) >= 4 and "\n" not in body.strip() and max(map(count_words, items)) <= 4


def _is_about_question(line: str) -> bool:
    """Return whether a line is a question, or a short one that mentions the question."""
    return is_question(line) or (len(line) <= 120 and mentions_question(line))


def _is_cue(line: str) -> bool:
    line = line.strip()
    return line.endswith(":") or _CUE.fullmatch(line) is not None


def _without_last(lines: list[str], goes: Callable[[str], bool]) -> list[str]:
    """Return lines without the last ones that are blank or that `goes` selects; one remains."""
    n = len(lines)
    while n > 1 and (not lines[n - 1].strip() or goes(lines[n - 1])):
        n -= 1
    return lines[:n]


def _count_ends(lines: Sequence[str], *, choosing: bool) -> tuple[int, int]:
    """Return how many lines at the start and at the end are options to choose from."""
    n_last = _count_options(lines[::-1])
    if choosing:
        return _count_options(lines[: len(lines) - n_last]), n_last
    asked = n_last and any(map(is_question, lines[-n_last - 1 : -n_last]))
    return 0, n_last if asked else 0


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
    if not 1 < len(lines) <= 12 or any(map(is_spoken, lines)):
        return False
    is_code = len(patterns.CODE_LOOK.findall(body[:_WINDOW])) > 1
    return any(
        announces(line) or only_asks(line) or (says_what_follows(line) and not is_code)
        for line in lines
        if len(line) <= 120
    )
