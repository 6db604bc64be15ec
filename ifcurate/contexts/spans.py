"""The span of a context in a prompt, and the marks around it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from . import patterns
from .quotes import QUOTES
from .words import n_words

Span = tuple[int, int]  # start and end in a text


@dataclass(frozen=True, slots=True)
class ContextSpan:
    """A part of a prompt that is context.

    `start:end` is the context itself. `outer_start:outer_end` is what is cut with it: its
    label, its quotes, and the blank lines that would remain. All four count characters
    (Python code points) of the text as given.
    """

    start: int
    end: int
    outer_start: int
    outer_end: int
    rule: str  # a name of `KINDS`, or how you marked it
    confidence: float  # 0..1


def says_no_input(text: str) -> bool:
    """Return whether a context field only says that it is empty ("No input", "N/A", "<noinput>").

    Case, punctuation, quotes and brackets do not matter. A text without any letter or digit is
    no context either.
    """
    if len(text) > 200:
        return not text.strip()
    words = re.sub(r"[^\w/]+|_", " ", text.lower()).replace("/", " / ").split()
    flat = " ".join(words).strip("/ ")
    if not flat:
        kinds = {unicodedata.category(ch) for ch in text}
        return not any(kind[0] in "LN" or kind == "So" for kind in kinds)
    if flat in ("nothing", "empty", "blank"):
        return text.strip()[0] in "<[({"
    return patterns.NO_CONTEXT.fullmatch(flat) is not None


def strip(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the same span without white space at its ends."""
    body = text[start:end]
    left = len(body) - len(body.lstrip())
    return (start + left, start + len(body.rstrip())) if left < len(body) else (start, start)


_FENCES = ("```", '"""', "'''", "~~~")


def _inside_fences(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Return the content of a span that begins and ends with a fence."""
    for fence in _FENCES:
        if text.startswith(fence, start) and text.endswith(fence, start + 6, end):
            first = text.find("\n", start, start + 40)
            named = first >= 0 and text[start + 3 : first].strip().isalnum()  # a language
            return strip(text, first if named else start + 3, end - 3)
    return None


def _inside_quotes(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Return the content of a span that begins and ends with quotation marks."""
    closings = QUOTES.get(text[start : start + 1], "")
    tail = start + len(text[start:end].rstrip(",.;:"))
    if tail - start < 2 or text[tail - 1] not in closings:
        return None
    closing = text[tail - 1]
    balanced = text.count(closing, start + 1, tail - 1) % 2 == 0
    return strip(text, start + 1, tail - 1) if balanced or closing in "'’`" else None


def _is_usable(text: str, start: int, end: int, at_least: int) -> bool:
    """Return whether a span can be a context at all."""
    if end <= start or n_words(text, start, end) < at_least:
        return False
    if end - start <= 200:
        body = text[start:end]
        return not (says_no_input(body) or patterns.PLACEHOLDER.fullmatch(body))
    return True


def make_spans(
    text: str,
    start: int,
    end: int,
    rule: str,
    confidence: float,
    *,
    cut_start: int | None = None,
    cut_end: int | None = None,
    at_least: int = 2,
) -> list[ContextSpan]:
    """Return the span of the text in `start:end`, or [] if it cannot be a context.

    It has `at_least` words. The text that is cut with it is `cut_start:cut_end`, by default the
    span and its quotes.
    """
    outer_start, outer_end = strip(text, start, end)
    inner = _inside_fences(text, outer_start, outer_end)
    start, end = inner or _inside_quotes(text, outer_start, outer_end) or (outer_start, outer_end)
    if not _is_usable(text, start, end, at_least):
        return []
    outer_start = outer_start if cut_start is None else cut_start
    outer_end = outer_end if cut_end is None else cut_end
    return [ContextSpan(start, end, outer_start, outer_end, rule, confidence)]
