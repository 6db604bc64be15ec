"""Texts in languages without a file of words, read by their layout alone.

A short first paragraph, a text, and a last paragraph that ends in a question mark. For the
languages of `languages/` and for English the other rules say more, and less is guessed.
"""

from __future__ import annotations

import re

from . import patterns
from .forms import is_choices, is_sum
from .spans import ContextSpan, Mark, make_spans
from .words import asks_in

__all__ = ["find_by_layout"]

_LEAST = 40  # characters of the text
_GAP = re.compile(r"\n[ \t\r]*\n\s*")
_ENGLISH = re.compile(r"\b(?:the|and|with|what|who|how|you|this)\b", re.I)
_ENDS_ASKING = re.compile(r"[?？؟]\W{0,3}$")


def find_by_layout(text: str, marks: list[Mark]) -> list[ContextSpan]:
    """Return the text between a short first paragraph, or none, and a question at the end."""
    if len(text) > 20_000 or any(mark.noun for mark in marks) or _ENGLISH.search(text):
        return []
    body = _without_slot(text)
    gaps = list(_GAP.finditer(text, 0, body))
    if not gaps:
        return []
    question = text[gaps[-1].end() : body]
    if "\n" in question or len(question) > 250 or not _ENDS_ASKING.search(question):
        return []
    first = text[: gaps[0].start()]
    skips = len(gaps) > 1 and "\n" not in first.strip() and len(first) <= 160
    start, end = gaps[0].end() if skips else 0, gaps[-1].start()
    stretch = text[start:end]
    least = _LEAST if skips else 2 * _LEAST
    if end - start < max(least, 1.5 * len(question)) or not _is_text(stretch):
        return []
    return make_spans(text, start, end, "layout", at_least=3)


def _without_slot(text: str) -> int:
    """Return the end of a text without an empty label at its end."""
    end = len(text.rstrip())
    start = text.rfind("\n", 0, end) + 1
    label = patterns.LABEL_LINE.match(text, start, end)
    return len(text[:start].rstrip()) if label and label.end() == end else end


def _is_text(stretch: str) -> bool:
    """Return whether a stretch holds neither questions, nor requests, nor options, nor speakers."""
    lines = [line.strip() for line in stretch.splitlines() if line.strip()]
    spoken = sum(patterns.SPEAKER.match(line) is not None for line in lines)
    asked = any(_ENDS_ASKING.search(line) or asks_in(line) for line in lines)
    return not (asked or is_sum(stretch)) and spoken < 3 and not is_choices(stretch)
