"""Divide a prompt into units: labels, sentences, quotations, tags, and lines without sentences.

A context is a run of units. The number of units is bounded, so that the time to compare all
runs is bounded too. In a long text, the units in the middle are whole lines or paragraphs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from . import patterns
from .quotes import QUOTES, closing_quote
from .words import count_words

MOST = 32  # units of a text
_WINDOW = 8000  # characters at either end of a text that are divided into sentences
_END = re.compile(
    rf"{patterns.SENTENCE_END}[ \t]*"
    r"|[:：](?=\s|[\"“„«「『A-Z\u3040-\u9fff])[ \t]*"
)
_TAG = re.compile(
    r"</?[A-Za-z_][\w-]{0,30}(?: [^<>\n]{0,80})?>|\[/?[A-Z]{4,12}\]|<\|[\w ]{1,20}\|>"
)
_LINE = re.compile(r"[^\n]+")
_HAS_WORD = re.compile(r"\w")


class Unit(NamedTuple):
    """A part of a text, without white space at its ends."""

    start: int
    end: int
    gap: int  # what stands before it: 0 words of the line, 1 a new line, 2 a blank line or nothing


def divide(text: str, cuts: Iterable[int] = ()) -> list[Unit]:
    """Return the units of a text in order; each position of `cuts` divides a unit."""
    units: list[Unit] = []
    edges = sorted({0, *cuts, len(text)})
    if len(text) > 2 * _WINDOW:
        edges = sorted({*edges, _WINDOW, len(text) - _WINDOW})
    for start, end in pairwise(edges):
        in_detail = start < _WINDOW or end > len(text) - _WINDOW
        for a, b in _pieces(text, start, end) if in_detail else [(start, end)]:
            _add(text, a, b, units)
    return _merge_middle(units)


def _add(text: str, start: int, end: int, units: list[Unit]) -> None:
    """Append the unit of `start:end`, if it is more than white space."""
    body = text[start:end]
    start, end = start + len(body) - len(body.lstrip()), start + len(body.rstrip())
    if start >= end:
        return
    between = text[units[-1].end : start] if units else "\n\n"
    units.append(Unit(start, end, min(2, between.count("\n"))))


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of `start:end`; a part has a letter or a digit, or is a line."""
    for line in _LINE.finditer(text, start, end):
        edges = sorted(_edges(text, *line.span()))
        left = edges[0]
        for at in edges[1:]:
            if at == edges[-1] or _HAS_WORD.search(text, left, at):
                if at < edges[-1] and not _HAS_WORD.search(text, at, edges[-1]):
                    continue  # what remains of the line are marks
                yield left, at
                left = at


def _edges(text: str, start: int, end: int) -> set[int]:
    """Return the places in one line where a unit may begin or end."""
    edges = {start, end}
    if label := patterns.LABEL_LINE.match(text[start:end]):
        edges.add(start + label.end())
    edges.update(match.end() for match in _END.finditer(text, start, end))
    for tag in _TAG.finditer(text, start, end):
        edges.update(tag.span())
    for left, right in _quotations(text, start, end):
        edges = {edge for edge in edges if not left < edge < right} | {left, right}
    return edges


def _quotations(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the quotations of three words and more in one line."""
    at = start
    while at < end:
        closing = -1
        if text[at] in QUOTES and (at == start or not text[at - 1].isalnum()):
            closing = closing_quote(text, at, end)
        if closing > at and count_words(text[at + 1 : closing]) >= 3:
            yield at, closing + 1
            at = closing
        at += 1


def _merge_middle(units: list[Unit]) -> list[Unit]:
    """Join units in the middle until few enough are left: to lines, to paragraphs, to one."""
    for level in (1, 2, 3):
        if len(units) <= MOST:
            break
        ends = MOST // 2 - 2
        merged: list[Unit] = []
        for unit in units[ends:-ends]:
            if merged and unit.gap < level:
                merged[-1] = merged[-1]._replace(end=unit.end)
            else:
                merged.append(unit)
        units = units[:ends] + merged + units[-ends:]
    return units
