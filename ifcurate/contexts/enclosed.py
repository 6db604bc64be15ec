"""Contexts that are enclosed: in fences or in quotation marks."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import islice

from . import patterns
from .lines import WINDOW, line_asks
from .spans import ContextSpan, closing_quote, make_spans
from .words import NOUN_PATTERN, n_words


def find_fenced(text: str) -> list[ContextSpan]:
    """Find texts between fences, and code that the task is about."""
    pairs = _pair_fences(text)
    if pairs is None:
        return []
    spans: list[ContextSpan] = []
    outside: list[str] = []
    floor = 0
    for opening, closing in pairs:
        outside.append(text[floor : opening.start()][-WINDOW:])
        before = outside[-1].rstrip().rsplit("\n", 1)[-1]
        if not patterns.SHAPE.search(before):
            spans += _between_fences(text, opening, closing)
        floor = closing.end()
    around = " ".join([*outside, text[floor:][:WINDOW]])
    if len(spans) > 4 or len(around.split(None, 3)) < 2:
        return []
    if any(span.rule == "code" for span in spans) and not patterns.CODE_TASK.search(around):
        return []
    return spans


def _pair_fences(text: str) -> list[tuple[re.Match[str], re.Match[str]]] | None:
    """Return pairs of opening and closing fences; None for an open fence or more than 40."""
    pairs: list[tuple[re.Match[str], re.Match[str]]] = []
    opening: re.Match[str] | None = None
    for n_fences, match in enumerate(patterns.FENCE.finditer(text)):
        if n_fences > 40:
            return None
        if opening is None:
            opening = match
        elif match["fence"] == opening["fence"] and not match["info"]:
            pairs.append((opening, match))
            opening = None
    return pairs if opening is None else None


def _between_fences(text: str, opening: re.Match[str], closing: re.Match[str]) -> list[ContextSpan]:
    start, end = opening.end(), closing.start()
    rule = "code" if _is_code(opening["info"], text[start:end]) else "fence"
    made = make_spans(text, start, end, rule, label_start=opening.start(), at_least=3)
    return [replace(span, outer_end=closing.end()) for span in made]


def _is_code(language: str, body: str) -> bool:
    """Return whether a fenced text is code, by the language that it names or by its form."""
    if language:
        return language.lower() not in patterns.DATA_LANGUAGES
    return len(patterns.CODE_LOOK.findall(body[:WINDOW])) >= 2


_NOT_QUOTED = re.compile(r"\b(?:begin\w*|start\w*|end\w*|includ\w+|phrase|title\w*|line)\b", re.I)


def find_named_quote(text: str) -> list[ContextSpan]:
    """Find a long quotation or a text in brackets directly after the words that name it.

    "Who speaks in the text "..."?", "Using the notes in the brackets [...], say ...".
    """
    for named in islice(_NAMED.finditer(text), 20):
        start = named.end() - 1
        stop = text.find("\n\n", start)
        stop = len(text) if stop < 0 else stop
        bracket = text[start] in _BRACKETS
        end = (_closing_bracket if bracket else closing_quote)(text, start, stop) + 1
        if (
            end <= start
            or n_words(text, start, end) < 10
            or not _is_request_value(text, start, end)
        ):
            continue
        inner = (start + 1, end - 1) if bracket else (start, end)
        # No blank is left before a comma or the mark at the end of the sentence.
        blank = text[start - 1].isspace() and text[end : end + 1] in ",.;:?!"
        spans = make_spans(text, *inner, "lead", label_start=start - blank, at_least=10)
        return [replace(span, outer_end=end) for span in spans]
    return []


def _is_request_value(text: str, start: int, end: int) -> bool:
    """Return whether the words around a quotation ask, and do not say what to write."""
    before = text[max(0, start - 300) : start].rpartition("\n")[2]
    after = text[end : end + 300].partition("\n\n")[0]
    if patterns.TO_BE_WRITTEN.search(before) or _NOT_QUOTED.search(before[-60:]):
        return False
    mark = "?" if after.lstrip()[:1] in ("?", "？") else ""
    return any(map(line_asks, (before.rstrip() + mark, after.lstrip(" .,;:"))))


_BRACKETS = {"[": "]", "(": ")"}
_NAMED = re.compile(
    rf"\b(?:the|this|these|following|my)(?: [\w'-]{{1,20}}){{0,3}}? "
    rf"(?:{NOUN_PATTERN}|brackets|parentheses|quotes|quotation(?: marks)?)"
    r"(?: below| here| in (?:the )?(?:brackets|parentheses|quotes|quotation marks))?[ \t]?:? ?"
    r"[\"“«„\[(]",
    re.I,
)


def _closing_bracket(text: str, start: int, end: int) -> int:
    """Return the place of the bracket that closes the one at `start`; -1 for none."""
    depth = 0
    for match in re.finditer(
        rf"[{re.escape(text[start] + _BRACKETS[text[start]])}]", text[start:end]
    ):
        depth += 1 if match[0] == text[start] else -1
        if depth == 0:
            return start + match.start()
    return -1
