"""Contexts that are enclosed: in fences or in quotation marks."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import islice

from . import patterns
from .found import Found, closing_quote, make_found
from .lines import WINDOW, is_instruction, is_question
from .words import n_words

__all__ = ["find_fenced", "find_quote"]

_CODE_LOOK = re.compile(
    r"^\s*(?:def |class |import |from \w+ import|#include|function |const |let |var |public |"
    r"SELECT |for ?\(|if ?\(|return |print|console\.|<\?php|<html)|[;{}]\s*$|\w\(.*\)",
    re.M,
)


def find_fenced(text: str) -> list[Found]:
    """Texts between fences, and code that the task is about."""
    found: list[Found] = []
    opening: re.Match[str] | None = None
    outside: list[str] = []
    floor = 0
    for n_fences, match in enumerate(patterns.FENCE.finditer(text)):
        if n_fences > 40:
            return []
        if opening is None:
            opening = match
            outside.append(text[floor : match.start()][-WINDOW:])
            continue
        if match["fence"] != opening["fence"] or match["info"]:
            continue
        body = text[opening.end() : match.start()]
        rule = "code" if _is_code(opening["info"], body) else "fence"
        made = make_found(
            text, opening.end(), match.start(), rule, label_start=opening.start(), at_least=3
        )
        before = outside[-1].rstrip().rsplit("\n", 1)[-1]
        if not patterns.SHAPE.search(before):
            found += [replace(f, outer_end=match.end()) for f in made]
        floor, opening = match.end(), None
        if len(found) > 4:
            return []
    around = " ".join([*outside, text[floor:][:WINDOW]])
    if len(around.split(None, 3)) < 2 or opening is not None:
        return []
    if any(f.rule == "code" for f in found) and not patterns.CODE_TASK.search(around):
        return []
    return found


def _is_code(language: str, body: str) -> bool:
    """Whether a fenced text is code, by the language that it names or by its looks."""
    if language:
        return language.lower() not in patterns.DATA_LANGUAGES
    return len(_CODE_LOOK.findall(body[:WINDOW])) >= 2


_OPENS = re.compile(r"(?<!\w)[\"“](?=[\w\[(])")
_QUOTE_WORDS = (20, 4000)  # of a quotation, the least and the most
_NOT_QUOTED = re.compile(r"\b(?:begin\w*|start\w*|end\w*|includ\w+|phrase|title\w*|line)\b", re.I)


def find_quote(text: str) -> list[Found]:
    """A long quotation, or lines quoted with ">"."""
    for match in islice(patterns.QUOTED_LINES.finditer(text), 1):
        start = match.start() + match[0].index(">") + 1
        rest = text[max(0, match.start() - 300) : match.start()] + text[match.end() :][:300]
        if any(is_instruction(s) or is_question(s) for s in rest.splitlines()):
            return make_found(
                text, start, match.end(), "quote", label_start=match.start(), at_least=8
            )
    if text.count('"') + text.count("“") > 200:
        return []
    at = 0
    while opening := _OPENS.search(text, at):
        start, end = opening.start(), _quote_end(text, opening.start())
        at = max(end, start + 1)
        least, most = _QUOTE_WORDS
        if end < 0 or not least <= n_words(text, start, end, most) <= most:
            continue
        before, after = text[max(0, start - 300) : start], text[end : end + 300]
        if len(f"{before} {after}".split(None, 4)) < 3 or _NOT_QUOTED.search(before[-60:]):
            continue
        mark = "?" if after.lstrip()[:1] in ("?", "？") else ""  # 'What does "..." say?'
        lines = [*f"{before.rstrip()}{mark}".splitlines(), *after.splitlines()]
        if any(is_instruction(line) or is_question(line) for line in lines):
            return make_found(text, start, end, "quote", at_least=least)
    return []


def _quote_end(text: str, start: int) -> int:
    """Behind the end of the quotation at `start`; of the last one when they do not match."""
    close = closing_quote(text, start, len(text))
    if close < 0:
        close = text.rfind("”" if text[start] == "“" else '"', start + 1)
    return close + 1 if close > start else -1
