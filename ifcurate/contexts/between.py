"""The text between the requests at the start and those at the end of a prompt.

This is the most general rule. It works in every language, knows questions, instructions
and words that refer to a text, and needs no label. It skips the requests at the top and at
the bottom. The text between them is the context when a request refers to it, or when it
has the form of one: several sentences on separate lines, a list, a table or markup.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from . import patterns
from .forms import is_directive, is_sum, is_title, shared_words
from .lines import (
    ENGLISH,
    closing_request_start,
    first_request_end,
    is_complete_question,
    is_complete_request,
    is_ended,
    is_instruction,
    is_question,
    is_request,
    is_statement,
    only_asks,
    reference_direction,
    sentences,
)
from .spans import ContextSpan, Mark, make_spans
from .words import BASED_ON, NOUN_PATTERN, asks_in, count_words, mentions_question, n_words

_HEAD = 1500  # characters in which the requests at the top are sought
_DATA_LINE = re.compile(r"^\s*(?:<\w[^>]*>|[\[{|]|[-*•] |\d+[.)] |[^\s:]{1,20}: )", re.M)
_MY_OWN = re.compile(r"\b(?:I|I'm|I've|my|we|our|you|your)\b", re.I)
_COUNTED = re.compile(
    r"\b(?:how (?:much|many|long|far|fast|old)|calculate|what is the (?:total|sum|area))\b|多少",
    re.I,
)
_ASKS_TO_MAKE = re.compile(
    r"\s*(?:please |can you |could you )*(?:write|create|compose|generate|draft|design|produce|"
    r"build|make|invent|pretend|imagine|brainstorm|suggest|plan)\b",
    re.I,
)
# "for this article", "about the following movie plot", but not "the following topic".
_TO_READ = re.compile(
    r"\b(?:the following|following|this|these|the)(?: [\w'-]{1,20}){0,3}?"
    rf" (?:{NOUN_PATTERN}|sentence)\b",
    re.I,
)
_JUDGED = re.compile(r"\b(?:claim|statement|hypothesis|conclusion|answer|question)\b|:.", re.I)
_THIS = re.compile(r"\b(?:this|that|these|those|it|he|she|they|him|her|them|here)\b", re.I)
_ASKED = re.compile(r"[?？؟]")
_LEADS_IN = re.compile(r"\W*(?:if|given|suppose|assum\w+|imagine)\b|[^.?!\n]{3,60}: ", re.I)
_USED = re.compile(r"\b(?:begin|start|includ|contain|end)(?:s|ning|ting|ing|es)?\b", re.I)
_MARKUP = re.compile(r"<(?:!doctype|\w+)\b[^>]*>.*</\w+>", re.I | re.S)
_SENTENCES = re.compile(r"[.!?…](?=[\"”’»)]*(?:\s|$))|[。！？؟।]")


@dataclass(frozen=True, slots=True)
class _Top:
    """The requests before a text."""

    end: int
    pointing: str = ""  # "below", "above", "this" or ""
    settled: bool = False  # no further request is needed
    on_line: bool = False  # the text begins on the line on which they end


@dataclass(frozen=True, slots=True)
class _Bottom:
    """The requests after a text."""

    start: int
    pointing: str = ""
    on_line: bool = False  # the text ends on the line on which they begin


def find_between(text: str, marks: list[Mark]) -> list[ContextSpan]:
    """Find the text between the requests at the top and those at the bottom."""
    whole = len(text.rstrip())
    top = _read_top(text, whole)
    label = _next_label(marks, top.end, whole)
    full = len(text[:label].rstrip())
    bottom = _read_bottom(text, top, full)
    start = top.end + len(text[top.end : bottom.start]) - len(text[top.end : bottom.start].lstrip())
    beside = top.end > 0 or label < whole  # a request at the top, or a label of the question
    if start >= bottom.start or not (beside or bottom.start < full):
        return []
    pointed = top.pointing in ("below", "this") or bottom.pointing in ("above", "this")
    apart = not (top.on_line or bottom.on_line)
    asked = text[: top.end] + "\n" + text[bottom.start : full]
    about = pointed or (apart and _THIS.search(asked) is not None)
    if _is_refused(text, top, start, bottom.start, pointed=about):
        return []
    if not (
        _is_text(text, start, bottom.start, pointed=pointed, apart=apart, beside=beside)
        or (
            n_words(text, full, len(text)) <= 3
            and _is_asked_about(text[start : bottom.start], asked, apart=apart)
        )
    ):
        return []
    return make_spans(text, start, bottom.start, "between", at_least=2)


def _next_label(marks: list[Mark], at: int, otherwise: int) -> int:
    """Return where the first label of a question, an answer or a hint after `at` begins."""
    named = (m.start for m in marks if m.start >= at and m.kind in ("ask", "answer", "hint"))
    return next(named, otherwise)


def _is_refused(text: str, top: _Top, start: int, end: int, *, pointed: bool) -> bool:
    """Return whether a text cannot be the context, regardless of its form."""
    if _asks_for_new_text(text[: top.end], pointed=pointed):
        return True
    if text.count('"', 0, start) % 2:
        return True  # it begins inside a quotation
    if _holds_task(text, top, start, end):
        return True
    return not pointed and _asks_first(text, start, end)


def _holds_task(text: str, top: _Top, start: int, end: int) -> bool:
    """Return whether the words before a text only name it, and its last sentence states the task.

    "Using only the passage here. ..., say what the heron caught."
    """
    named = text[: top.end].strip()
    if not top.on_line or (is_complete_request(named) and not BASED_ON.match(named)):
        return False
    line_start = max(text.rfind("\n", start, end) + 1, start, end - 1000)
    parts = sentences(text, line_start, end)
    last = text[slice(*parts[-1])] if parts else ""
    return is_request(last) or is_request(last.rpartition(", ")[2])


def _asks_for_new_text(requests: str, *, pointed: bool) -> bool:
    """Return whether requests ask for a new text, which is to use the text below."""
    last_line = requests.strip().rsplit("\n", 1)[-1]
    made = not pointed and _ASKS_TO_MAKE.match(requests)
    return bool(made or patterns.SHAPE.search(last_line))


def _asks_first(text: str, start: int, end: int) -> bool:
    parts = sentences(text, start, min(end, start + 400))
    return bool(parts) and is_request(text[slice(*parts[0])])


def _read_top(text: str, full: int) -> _Top:
    """Read the lines at the start that ask, up to a request that ends in a colon."""
    at, pointing, settled = 0, "", False
    while at < min(full, _HEAD):
        at += len(text[at:full]) - len(text[at:full].lstrip())
        line_end = text.find("\n", at)
        line_end = full if line_end < 0 else min(line_end, full)
        if not settled and (colon := _after_announcement(text, at, line_end)):
            return _Top(colon, "below", True, True)
        line = text[at : min(line_end, at + 600)]
        if len(line) > 500 or not only_asks(line):
            return _read_top_on_line(text, at, line_end) or _Top(at, pointing, settled)
        settled = settled or _is_complete(line)
        pointing = pointing or reference_direction(line)
        at = line_end
    return _Top(min(at, full) if at < full else 0, pointing, settled)


def _read_top_on_line(text: str, at: int, line_end: int) -> _Top | None:
    """Read the requests at the start of the first line, if they refer to the text after them."""
    if at > 0 or len(sentences(text, at, min(line_end, at + 600))) < 2:
        return None
    end = first_request_end(text, at, line_end)
    asked = text[at:end].strip()
    way = reference_direction(asked) if asked else ""
    alone = not text[line_end:].strip() and asked.endswith(("?", "?]"))
    if way in ("below", "this") or (alone and is_complete_question(asked)):
        return _Top(end, way, True, True)
    return None


def _is_complete(line: str) -> bool:
    """Return whether a request is complete, and mentions no question that would follow."""
    return is_complete_request(line) and not mentions_question(line)


def _announces(line: str) -> bool:
    """Return whether a request that ends in a colon announces a text."""
    if asks_in(line):
        return True
    if not is_request(line) or patterns.ASKED_ABOUT.search(line):
        return False
    noun = _TO_READ.search(patterns.TO_BE_WRITTEN.sub(" ", line))
    return noun is not None and not (patterns.SHAPE.search(line) or _USED.search(line))


def _after_announcement(text: str, start: int, end: int) -> int:
    """Return the position after a request whose colon announces a text on its line, or 0."""
    match = re.compile(r"[^:：\n]{3,160}(?::[ \t]|：)[ \t]*").match(text, start, end)
    if not match or n_words(text, match.end(), end) < 4:
        return 0
    body = text[match.end() : end]
    if is_title(body[:200]) or is_question(body):
        return 0
    return match.end() if _announces(match[0]) else 0


def _read_bottom(text: str, top: _Top, full: int) -> _Bottom:
    """Read the requests at the end."""
    if top.on_line and top.settled:
        return _Bottom(full)
    strict = top.settled and top.end > 0
    end = closing_request_start(text, top.end, full, strict=strict)
    if end < full:
        return _Bottom(end, _directions(text[end:full]))
    if strict or (top.end and not top.pointing):
        return _Bottom(full)
    end = _last_asked(text, max(text.rfind("\n", top.end, full) + 1, top.end, full - 3000), full)
    return _Bottom(end, _directions(text[end:full]), True) if end < full else _Bottom(full)


def _last_asked(text: str, line_start: int, full: int) -> int:
    """Return where the asking sentences that end a line begin; `full` if no text precedes them."""
    parts = sentences(text, line_start, full)
    asked = [is_question(text[a:b]) or is_instruction(text[a:b]) for a, b in parts]
    if len(parts) < 2 or asked[0]:
        return full
    n = len(parts)
    while asked[n - 1]:
        n -= 1
    # The sentence before a fragment such as "True or false?" may be what it asks about.
    first = text[slice(*parts[n])] if n < len(parts) else ""
    complete = is_complete_question(first) or is_instruction(first) or reference_direction(first)
    return parts[n][0] if complete else full


def _directions(asked: str) -> str:
    ways = [reference_direction(line) for line in asked.splitlines()[:12] if line.strip()]
    return next((way for way in ("above", "this", "below") if way in ways), "")


def _is_text(text: str, start: int, end: int, *, pointed: bool, apart: bool, beside: bool) -> bool:
    """Return whether a text is to be read, and is not part of the request."""
    body = text[start:end]
    if body[:1] == "(" and body.rstrip()[-1:] == ")":
        return False  # the answers to choose from
    if is_directive(body, 1.2 if pointed else 0.6) or patterns.PERSONA.match(body[:60]):
        return False
    size = max(n_words(text, start, end), min(len(body), 600) // 12)
    if pointed:
        return size >= 4
    last_line = max(start, text.rfind("\n", start, end - 1), end - 100)
    if _COUNTED.search(text[last_line : end + 400]):
        return False  # a calculation
    return _looks_like_text(body, size, apart=apart, beside=beside)


def _looks_like_text(body: str, size: int, *, apart: bool, beside: bool) -> bool:
    """Return whether a text that no request refers to has the length and the form of a context."""
    if apart and _is_data(body):
        return True
    n_sentences = len(_SENTENCES.findall(body[:3000]))
    if not apart:  # English words show whether a question is about the text
        return size >= 18 and n_sentences >= 2 and not ENGLISH.search(body)
    least = 60 if _MY_OWN.search(body[:200]) else 14
    return size >= least and n_sentences >= (1 if beside else 2)


def _is_asked_about(body: str, asked: str, *, apart: bool) -> bool:
    """Return whether statements are what the requests are about.

    A question repeats their words, or a request on separate lines says "this" or "it".
    """
    if _is_other(body, asked):
        return False
    parts = [line[a:b] for line in body.splitlines() for a, b in sentences(line, 0, len(line))]
    stated = list(map(is_statement, parts))
    if apart and _THIS.search(asked):
        return _is_stated(body, stated) or len(patterns.CODE_LOOK.findall(body)) > 1
    if not (all(stated) and _ASKED.search(asked)) or _MY_OWN.search(asked):
        return False
    # In languages without a file of words, only the layout of the text is known.
    unknown = apart and count_words(body) >= 6 and not ENGLISH.search(body + asked)
    return unknown or shared_words(body, asked) >= 0.3


def _is_stated(body: str, stated: list[bool]) -> bool:
    """Return whether a text begins with a statement, and half of its sentences are statements."""
    return stated[0] and sum(stated) >= 0.5 * len(stated) and count_words(body) >= 8


def _is_other(body: str, asked: str) -> bool:
    """Return whether a text is a premise, directions or a sum, or what is to be judged is in it."""
    if _JUDGED.search(asked) or _COUNTED.search(asked):
        return True
    return len(body) > 4000 or bool(_LEADS_IN.match(body)) or is_directive(body) or is_sum(body)


def _is_data(body: str) -> bool:
    """Return whether most lines are items of a list, rows of a table, fields or markup."""
    if _MARKUP.fullmatch(body.strip()) or _is_table(body):
        return True
    n_lines = sum(bool(line.strip()) for line in body[:3000].splitlines())
    return n_lines >= 3 and len(_DATA_LINE.findall(body[:3000])) >= 0.6 * n_lines


def _is_table(body: str) -> bool:
    """Return whether at least three lines have the same number of cells, divided by one mark."""
    lines = [line for line in body[:3000].splitlines()[:20] if line.strip()]
    if len(lines) < 3 or any(map(is_ended, lines)):
        return False
    counts = ({line.count(mark) for line in lines} for mark in ",;\t")
    return any(len(n) == 1 and 0 not in n for n in counts)
