"""Contexts that a request refers to, or that are much longer than the request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from . import patterns
from .forms import is_directive, is_title
from .lines import (
    WINDOW,
    closing_request_start,
    has_statement_first,
    is_complete_request,
    is_instruction,
    is_question,
    is_request,
    line_asks,
    sentences,
)
from .spans import ContextSpan, Mark, make_spans
from .words import (
    BARE_LEAD,
    HERE_IS,
    POINTS_BACK,
    POINTS_ON,
    WORKS_ON_TEXT,
    classify_label,
    n_words,
)


@dataclass(frozen=True, slots=True)
class _Lead:
    """A sentence that refers to a text after it."""

    start: int  # start of the sentence
    end: int  # end of its line
    at: int  # after the words that refer to the text
    phrase: str  # the words that refer to the text
    sentence: str


def find_lead(text: str, marks: list[Mark]) -> list[ContextSpan]:
    """Find the text that an instruction refers to, on its line or on the next ones."""
    for i, (start, end) in enumerate(head_lines(text)):
        lead = _read_lead(text, start, end, first=i == 0)
        if lead is None:
            continue
        spans = _after_lead(text, lead, marks)
        if spans:
            return spans
    return []


def _read_lead(text: str, start: int, end: int, *, first: bool) -> _Lead | None:
    line = text[start : min(end, start + 500)]
    if first and (match := patterns.VERB_COLON.match(line)):
        return _Lead(start, end, start + match.end() - 1, match[0], match[0])
    match = _pointing_words(line)
    if match is None:
        return None
    stops = [line.rfind(stop, 0, match.start()) for stop in (". ", "! ", "? ")]
    begin = start + (max(stops) + 2 if max(stops) >= 0 else 0)
    sentence = text[begin : min(end, start + 500)].strip()
    explicit = first and patterns.EXPLICIT.search(match[0]) is not None and line[:1].isalpha()
    if not explicit and not _may_lead(sentence):
        return None
    kind = match.groupdict()
    names_text = kind.get("strong") or kind.get("given")
    if not names_text and not WORKS_ON_TEXT.search(sentence):
        return None
    return _Lead(begin, end, start + match.end(), match[0], sentence)


def _pointing_words(line: str) -> re.Match[str] | None:
    """Return the words of a line that refer to a text; a question does not count."""
    match = POINTS_ON.search(line)
    while match and patterns.ASKED_ABOUT.search(match[0]):
        match = POINTS_ON.search(line, match.start() + 1)
    match = match or patterns.POINTS_ON_BARE.search(line) or HERE_IS.search(line)
    return match if match and not patterns.ASKED_ABOUT.search(match[0]) else None


def _may_lead(sentence: str) -> bool:
    """Return whether a sentence announces, instructs or asks."""
    asks = sentence.rstrip(": ").endswith("?")
    return asks or bool(BARE_LEAD.match(sentence)) or is_instruction(sentence[:480])


_TO_COLON = re.compile(r"[^.?!:\n]{0,120}:")
_TO_STOP = re.compile(r"[^.?!\n]{0,200}[.?!][\"”']?[ \t]")


# Where the text begins, whether its lead only announces it, and is cut too, and whether a question
# is between the two.
_Place = tuple[int, bool, bool]


def _after_lead(text: str, lead: _Lead, marks: list[Mark]) -> list[ContextSpan]:
    """Find the text that a lead refers to, on the same line or on the lines that follow."""
    place = _find_place(text, lead)
    if place is None:
        return []
    content, bare, asked = place
    if further := _announced_later(text, content):
        content, bare = further, False
    limit = _next_mark(marks, content, ("ask", "answer", "hint"))
    limit = len(text) if limit is None else limit
    strict = asked or (not bare and is_complete_request(lead.sentence))
    end = closing_request_start(text, content, limit, strict=strict)
    if end == limit and not strict:
        end = last_sentences(text, content, limit)
    if patterns.PERSONA.match(text[content : content + 60].lstrip()):
        return []
    return make_spans(
        text,
        content,
        end,
        "lead",
        cut_start=lead.start if bare else None,
        at_least=5,
    )


def _find_place(text: str, lead: _Lead) -> _Place | None:
    """Locate the text after the lead's colon, after its sentence or below it; None if not found."""
    end, at = lead.end, lead.at
    inline = _TO_COLON.match(text, at - 1 if text[at - 1] == ":" else at, end)
    if inline and text[inline.end() : end].strip():
        return _place_on_line(text, lead, inline.end())
    stop = _TO_STOP.match(text, at, end)
    if stop and n_words(text, stop.end(), end) >= 25:
        pointed = re.search(r"\b(?:following|below)\b", lead.phrase, re.I)
        refused = not pointed or is_directive(text[stop.end() : end])
        return None if refused else (stop.end(), False, False)
    return _place_below(text, lead) if end - lead.start <= 500 else None


def _announced_later(text: str, at: int) -> int:
    """Return where the text begins that a line after `at` announces; 0 if there is none.

    "Write a question with this answer:", the answer, "for the following article:".
    """
    for _ in range(3):
        end = text.find("\n", at, at + 400)
        if end < 0:
            return 0
        line = text[at:end].strip()
        match = POINTS_ON.search(line) if line.endswith((":", "：")) and len(line) <= 100 else None
        if match and match["strong"] and not patterns.ASKED_ABOUT.search(match[0]):
            return end
        at = end + 1
    return 0


def _place_on_line(text: str, lead: _Lead, content: int) -> _Place | None:
    if is_title(text[content : content + 400].strip()):
        return None
    bare = BARE_LEAD.fullmatch(text[lead.start : content]) is not None
    return content, bare, False


def _place_below(text: str, lead: _Lead) -> _Place | None:
    bare = BARE_LEAD.fullmatch(text[lead.start : lead.end].strip()) is not None
    content, asked = skip_requests(text, lead.end, settled=is_complete_request(lead.sentence))
    shape = patterns.SHAPE.search(lead.sentence)
    if shape and (bare or text[content : content + 1] in "{[<"):
        return None
    return content, bare, asked


def _next_mark(marks: list[Mark], at: int, kinds: tuple[str, ...]) -> int | None:
    """Return where the first mark of these kinds after `at` begins."""
    return next((m.start for m in marks if m.start > at and m.kind in kinds), None)


def find_above(text: str, marks: list[Mark]) -> list[ContextSpan]:
    """Find a text that a closing question refers back to."""
    start, _ = skip_requests(text, 0)
    marks = [m for m in marks if m.kind in ("ask", "answer")]
    label = _next_mark(marks, start, ("ask", "answer"))
    if label is not None:
        end = closing_request_start(text, start, label, strict=False)
        least = 12 if start else 20
    else:
        end = _find_closing(text, start)
        least = 10
        if end == len(text.rstrip()):
            return []
    start = _skip_task(text, start, end)
    if is_directive(text[start:end], 1.2) or orders_first(text, start, end):
        return []
    return make_spans(text, start, end, "above", at_least=least)


def _skip_task(text: str, start: int, end: int) -> int:
    """Skip first lines in which a sentence asks or instructs: they are the task."""
    at = start
    for _ in range(8):
        at += len(text[at:end]) - len(text[at:end].lstrip())
        line_end = text.find("\n", at, min(end, at + WINDOW))
        if line_end < 0 or not line_asks(text[at:line_end]):
            break
        at = line_end
    return at


def _find_closing(text: str, start: int) -> int:
    """Return where a closing request that refers back begins, or the end."""
    full = len(text.rstrip())
    end = closing_request_start(text, start, full, strict=False)
    if end == full:
        end = last_sentences(text, start, full)
    asked = patterns.TO_BE_WRITTEN.sub(" ", text[end:full][:WINDOW])
    return end if POINTS_BACK.search(asked) else full


def find_long(text: str, marks: list[Mark]) -> list[ContextSpan]:
    """Find a text that is much longer than the question beside it."""
    start, asked = skip_requests(text, 0)
    full = len(text[: _next_mark(marks, start, ("ask", "answer"))].rstrip())
    strict = asked or is_complete_request(text[:start].strip().rsplit("\n", 1)[-1])
    end = closing_request_start(text, start, full, strict=strict)
    if start == 0 and end == full:
        start = _skip_first_request(text)
        end = closing_request_start(text, start, full, strict=True)
    if start + full - end > 1200 or _is_all_request(text, start, end):
        return []
    content = _skip_announcement(text, start, end)
    if is_directive(text[content:end]):
        return []
    about_me = re.match(r"\W{0,3}(?:I|I'm|I've|I'd|My|We|Our)\b", text[content : content + 12])
    least = 60 if about_me and content == start else 30
    return make_spans(text, content, end, "long-paragraph", cut_start=start, at_least=least)


def _is_all_request(text: str, start: int, end: int) -> bool:
    """Return whether `start:end` is the whole text, begins with a task or ends in a question."""
    if start == 0 and end == len(text.rstrip()):
        return True
    if orders_first(text, start, end):
        return True
    ends_asking = text[start:end].rstrip("\"'”’. \n").endswith("?")
    return ends_asking or asks_first(text, start, end)


def orders_first(text: str, start: int, end: int) -> bool:
    """Return whether one of the first two sentences orders something, in a short first line."""
    start += len(text[start:end]) - len(text[start:end].lstrip())
    if heading := patterns.HEADING_LINE.match(text, start, end):
        return orders_first(text, heading.end(), end)
    line = text[start:end].partition("\n")[0]
    first = [line[a:b] for a, b in sentences(line, 0, len(line))[:2]] if len(line) <= 600 else []
    return any(is_request(sentence) and not is_question(sentence) for sentence in first)


def _skip_first_request(text: str) -> int:
    """Skip a first paragraph in which a sentence asks or instructs; 0 if there is none."""
    match = re.match(r"\s*([^\n]{1,400}?)[ \t\r]*\n[ \t\r]*\n\s*", text[:600])
    sentences = re.split(r"(?<=[.!?]) ", match[1]) if match else []
    asks = any(is_instruction(s) or is_question(s) for s in sentences)
    return match.end() if match and asks else 0


_ANNOUNCEMENT = re.compile(
    r"[^\n?]{3,120}:[ \t]*\r?\n\s*|take the following as [\w ]{2,20}:\s+|"
    r"(?:assume|suppose|given)(?: it(?: i|')s true)? that\s+",
    re.I,
)


def _skip_announcement(text: str, start: int, end: int) -> int:
    """Skip a short first line that ends in a colon, or the words that introduce a premise."""
    match = _ANNOUNCEMENT.match(text, start, end)
    return match.end() if match else start


def head_lines(text: str) -> Iterator[tuple[int, int]]:
    """Yield the lines at the start of a text that are not blank."""
    at = 0
    for _ in range(24):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        if text[at : at + 600].strip() and at < end:
            yield at, end
        at = end + 1
        if at >= len(text) or at > WINDOW:
            return


def asks_first(text: str, start: int, end: int) -> bool:
    """Return whether `start:end` starts with a question or an instruction."""
    head = re.match(r"[^.?!\n]{1,500}[.?!:]?", text[start : min(end, start + 501)])
    return bool(head and (is_instruction(head[0]) or head[0].endswith("?")))


def last_sentences(text: str, start: int, end: int) -> int:
    """Return where a closing sentence that refers back begins, in one line; otherwise `end`."""
    window = max(start, end - 500)
    for match in re.finditer(r"(?<=[.!?\"”'])\s+(?=[A-Z])", text[window:end]):
        at = window + match.end()
        sentence = text[at:end]
        if not POINTS_BACK.search(sentence):
            continue
        asked = is_instruction(sentence) or (
            sentence.rstrip().endswith("?") and not re.search(r"[.!?] [A-Z]", sentence)
        )
        if asked and not sentence.startswith(("In ", "With ", "Finally")):
            return at
    return end


def skip_requests(text: str, at: int, *, settled: bool = False) -> tuple[int, bool]:
    """Skip the questions and instructions between a lead and its text.

    With `settled` the lead is complete: only a line directly below it that says how to answer
    is skipped, and a later instruction is part of the text.
    """
    asked = False
    for _ in range(8):
        start = at + len(text[at : at + 200]) - len(text[at : at + 200].lstrip())
        end = text.find("\n", start)
        if end < 0:
            return start, asked
        line = text[start:end] if end - start <= 500 else ""
        if settled and (text.count("\n", at, start) > 1 or not patterns.ORDER.match(line)):
            return start, asked
        label = patterns.LABEL_LINE.match(line)
        kind = classify_label(label["name"].strip())[0] if label else ""
        if kind == "ask" or (is_question(line) and not has_statement_first(line)):
            asked = True
        elif not is_instruction(line):
            return start, asked
        at = end
    return at, asked
