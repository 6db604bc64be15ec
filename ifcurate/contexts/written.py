"""Prompts that a program wrote: with chat markers, JSON, or BEGIN and END words."""

from __future__ import annotations

import re

from .spans import ContextSpan, make_spans
from .words import classify_label

_INST = re.compile(r"\A\s*(?:<s>)?\s*\[INST\](?P<body>.*?)\[/INST\]\s*\Z", re.S)
_CHATML_USER = re.compile(r"<\|im_start\|>user[ \t]*\n?")
_CHATML_END = re.compile(r"<\|im_end\|>")
_SPEAKERS = re.compile(r"\s*(?:user|human)[ \t]?:", re.I)
_TURN = re.compile(r"^[ \t]*(?:user|human|assistant|ai|bot|model)[ \t]?:", re.I | re.M)
_TURN_END = re.compile(r"\n[ \t]*(?:assistant|ai|bot|model)[ \t]?:\s*\Z", re.I)
_KEY = re.compile(r"\"(?P<name>[^\"\n\\:]{2,40})\"[ \t]*:[ \t\n]*\"", re.S)
_VALUE_END = re.compile(r"(?<!\\)(?:\\\\)*\"")
_BEGIN = re.compile(r"^[ \t]*(?:BEGIN|START)[ _]?(?P<name>[A-Z]{4,12})[ \t]*$", re.M)


def inner_prompt(text: str) -> tuple[int, int]:
    """Return the part of a prompt inside chat markers that it contains; otherwise all of it.

    The markers are ``[INST] ... [/INST]`` around all of it, the last user turn of ChatML, and a
    single turn "User: ... Assistant:".
    """
    head = text[:40].lstrip()
    if head.startswith(("[INST]", "<s>")) and text.count("[INST]") == 1:
        match = _INST.match(text)
        if match:
            return _left_stripped(text, *match.span("body"))
    if match := _SPEAKERS.match(text[:40]):
        return _one_turn(text, match.end())
    if "<|im_start|>user" in text[:20_000]:
        start = [match.end() for match in _CHATML_USER.finditer(text)][-1]
        close = _CHATML_END.search(text, start)
        return _left_stripped(text, start, close.start() if close else len(text))
    return 0, len(text)


def _one_turn(text: str, start: int) -> tuple[int, int]:
    """Return the only turn of "User: ... Assistant:", or all of a text with more turns."""
    turns = _TURN.findall(text, start)
    end = _TURN_END.search(text, max(start, len(text) - 40))
    if len(turns) != (end is not None):
        return 0, len(text)
    return _left_stripped(text, start, end.start() if end else len(text))


def _left_stripped(text: str, start: int, end: int) -> tuple[int, int]:
    body = text[start:end]
    return start + len(body) - len(body.lstrip()), end


def find_keys(text: str) -> list[ContextSpan]:
    """Find values of JSON keys, or lines between BEGIN and END words, whose names mean a text."""
    return _find_begin_end(text) or _json_values(text)


def _find_begin_end(text: str) -> list[ContextSpan]:
    spans: list[ContextSpan] = []
    floor = 0
    for match in _BEGIN.finditer(text):
        if match.start() < floor or classify_label(match["name"])[0] != "context":
            continue
        opening = match[0].strip()
        closing = re.sub(r"^(?:BEGIN|START)", "END", opening)
        end = text.find(closing, match.end())
        if end < 0:
            break
        made = make_spans(text, match.end(), end, "key", label_start=match.start())
        floor = end + len(closing)
        spans += [
            ContextSpan(span.start, span.end, span.outer_start, floor, span.rule, span.confidence)
            for span in made
        ]
        if len(spans) > 20:
            break
    return spans


def _json_values(text: str) -> list[ContextSpan]:
    stripped = text.strip()
    at = stripped.find("{")
    if not stripped.endswith("}") or not 0 <= at < 400:
        return []
    kinds: list[str] = []
    spans: list[ContextSpan] = []
    floor = 0
    for match in _KEY.finditer(text):
        if match.start() < floor:
            continue
        end = _VALUE_END.search(text, match.end())
        if end is None or len(kinds) > 50:
            return []
        floor = end.end()
        kinds.append(classify_label(match["name"].replace("_", " "))[0])
        if kinds[-1] == "context":
            made = make_spans(text, match.end(), end.end() - 1, "key", label_start=match.start())
            comma = re.compile(r"[ \t]*,[ \t]*").match(text, floor)
            after = comma.end() if comma else floor
            spans += [
                ContextSpan(
                    span.start, span.end, span.outer_start, after, span.rule, span.confidence
                )
                for span in made
            ]
    return spans if "ask" in kinds or at > 0 else []
