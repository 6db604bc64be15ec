"""Contexts that are enclosed: in tags, quoted values, rulers, fences or quotation marks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice

from . import patterns
from .spans import ContextSpan, closing_quote, make_spans
from .words import NOUN_PATTERN, TAG, classify_label

_TAGS = ((TAG, "</{}>"), (patterns.SQUARE_TAG, "[/{}]"))
_BEGIN = re.compile(
    rf"^[ \t]*(?:BEGIN|START)(?P<name>[ _]?(?=[A-Z]{{4,12}}[ \t]*$)(?i:{NOUN_PATTERN}))[ \t]*$",
    re.M,
)
_WORDS = ((_BEGIN, "END{}"),)
_KEY_VALUE = re.compile(
    r"\"(?P<name>[^\"\n\\:]{2,40})\"\s*:\s*\"(?P<value>(?:[^\"\\]|\\.)*+)\"(?:[ \t]*,[ \t]*)?", re.S
)


def find_tags(text: str) -> list[ContextSpan]:
    """Find texts between tags that name a text."""
    return _find_pairs(text, "tag", _TAGS)


def find_keys(text: str) -> list[ContextSpan]:
    """Find values of JSON keys, or lines between BEGIN and END words, whose names mean a text."""
    return _find_pairs(text, "key", _WORDS) or _json_values(text)


def _find_pairs(
    text: str, rule: str, pairs: Sequence[tuple[re.Pattern[str], str]]
) -> list[ContextSpan]:
    """Find texts between an opening pattern and a closing text with the same name."""
    spans: list[ContextSpan] = []
    floor, absent = 0, set[str]()
    for pattern, closing in pairs:
        for match in pattern.finditer(text):
            close = closing.format(match["name"])
            if match.start() < floor or close in absent:
                continue
            at = text.find(close, match.end())
            if at < 0:
                absent.add(close)
                continue
            floor = at + len(close)
            spans += make_spans(text, match.end(), at, rule, cut_start=match.start(), cut_end=floor)
    return [span for span in spans if span.outer_end - span.outer_start < len(text.strip())]


def _json_values(text: str) -> list[ContextSpan]:
    at = text.strip().find("{")
    if not text.rstrip().endswith("}") or not 0 <= at < 400:
        return []
    kinds = set[str]()
    spans: list[ContextSpan] = []
    for match in islice(_KEY_VALUE.finditer(text), 50):
        kind, _ = classify_label(match["name"].replace("_", " "))
        kinds.add(kind)
        if kind == "context":
            spans += make_spans(
                text, *match.span("value"), "key", cut_start=match.start(), cut_end=match.end()
            )
    return spans if "ask" in kinds or at > 0 else []


def find_fenced(text: str) -> list[ContextSpan]:
    """Find texts and code between fences."""
    spans: list[ContextSpan] = []
    for opening, closing in _pair_fences(text):
        inner, outer = (opening.end(), closing.start()), (opening.start(), closing.end())
        spans += make_spans(text, *inner, "fence", cut_start=outer[0], cut_end=outer[1], at_least=3)
    return spans


def _pair_fences(text: str) -> list[tuple[re.Match[str], re.Match[str]]]:
    """Return the pairs of opening and closing fences; none when one stays open."""
    pairs: list[tuple[re.Match[str], re.Match[str]]] = []
    opening: re.Match[str] | None = None
    for match in islice(patterns.FENCE.finditer(text), 40):
        if opening is None:
            opening = match
        elif match["fence"] == opening["fence"] and not match["info"]:
            pairs.append((opening, match))
            opening = None
    return pairs if opening is None else []


def find_named_quote(text: str) -> list[ContextSpan]:
    """Find a long quotation after the words that name it: "Who speaks in the text "..."?"."""
    if not any(mark in text for mark in _OPENING):  # the pattern ends in one, and is slow
        return []
    for named in islice(_NAMED.finditer(text), 20):
        start = named.end() - 1
        stop = text.find("\n\n", start)
        end = closing_quote(text, start, len(text) if stop < 0 else stop) + 1
        if spans := make_spans(text, start, end, "lead", at_least=10):
            return spans
    return []


_OPENING = '"“«„'
_NAMED = re.compile(
    rf"\b(?:the|this|these|following|my)(?: [\w'-]{{1,20}}){{0,3}}? "
    rf"(?:{NOUN_PATTERN})(?: below| here| in (?:the )?quot(?:es|ation marks))?[ \t]?:? ?"
    rf"[{re.escape(_OPENING)}]",
    re.I,
)
