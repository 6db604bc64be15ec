"""Contexts that are enclosed: in tags, quoted values, rulers, fences or quotation marks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice

from . import patterns
from .lines import WINDOW, label_before, line_asks
from .spans import ContextSpan, closing_quote, make_spans
from .words import NOUN_PATTERN, TAG, classify_label, n_words

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


_EXAMPLE = re.compile(r"\W*examples?\b", re.I)


def find_ruled(text: str) -> list[ContextSpan]:
    """Find a text between two ruler lines that the line before announces."""
    rulers = list(islice(patterns.RULER_LINE.finditer(text), 3))
    if len(rulers) != 2:
        return []
    (start, content), (end, outer_end) = (ruler.span() for ruler in rulers)
    left = max(0, start - 300)
    line = text[left:start].rstrip().rpartition("\n")[2]
    last = text[content:end].rstrip().rpartition("\n")[2].strip()
    announced = re.search(rf"\b(?:{NOUN_PATTERN}|below|following)\b", line, re.I)
    if not announced or classify_label(last)[0] or _EXAMPLE.match(text, content):
        return []  # not announced, underlined headings, or examples
    label = label_before(text, left, start)
    cut_start = start if label is None else label
    return make_spans(
        text, content, end, "ruled", cut_start=cut_start, cut_end=outer_end, at_least=3
    )


def find_fenced(text: str) -> list[ContextSpan]:
    """Find texts and code between fences."""
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
    cut = opening.start(), closing.end()
    return make_spans(text, start, end, "fence", cut_start=cut[0], cut_end=cut[1], at_least=3)


_NOT_QUOTED = re.compile(r"\b(?:begin\w*|start\w*|end\w*|includ\w+|phrase|title\w*|line)\b", re.I)


def find_named_quote(text: str) -> list[ContextSpan]:
    """Find a long quotation or a text in brackets directly after the words that name it.

    "Who speaks in the text "..."?", "Using the notes in the brackets [...], say ...".
    """
    if not any(mark in text for mark in _OPENING):  # the pattern ends in one, and is slow
        return []
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
        return make_spans(text, *inner, "lead", cut_start=start - blank, cut_end=end, at_least=10)
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
_OPENING = '"“«„[('
_NAMED = re.compile(
    rf"\b(?:the|this|these|following|my)(?: [\w'-]{{1,20}}){{0,3}}? "
    rf"(?:{NOUN_PATTERN}|brackets|parentheses|quotes|quotation(?: marks)?)"
    r"(?: below| here| in (?:the )?(?:brackets|parentheses|quotes|quotation marks))?[ \t]?:? ?"
    rf"[{re.escape(_OPENING)}]",
    re.I,
)


def _closing_bracket(text: str, start: int, end: int) -> int:
    """Return the place of the bracket that closes the one at `start`; -1 if there is none."""
    depth = 0
    for match in re.finditer(
        rf"[{re.escape(text[start] + _BRACKETS[text[start]])}]", text[start:end]
    ):
        depth += 1 if match[0] == text[start] else -1
        if depth == 0:
            return start + match.start()
    return -1
