"""Labels in the middle of a line: "Passage: ... Question: ...? Answer:".

The rules read labels at the beginnings of lines. `prepare` begins a new line before each
label that follows the end of a sentence, so that one line is read like several lines. It
reads the first line, the last line and the lines that begin with a label. In other lines
"Answer: no" is part of a text.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from . import patterns
from .lines import line_asks
from .spans import ContextSpan
from .words import ASIDES, classify_label, is_request_label

_INST = re.compile(r"\A\s*(?:<s>)?\s*\[INST\](?P<body>.*?)\[/INST\]\s*(?:\w+:)?\s*\Z", re.S)
_CHATML_USER = re.compile(r"<\|im_start\|>user[ \t]*\n?")
_CHATML_END = re.compile(r"<\|im_end\|>")
_SPEAKERS = re.compile(r"\s*(?:user|human)[ \t]?:", re.I)
_TURN = re.compile(r"^[ \t]*(?:user|human|assistant|ai|bot|model)[ \t]?:", re.I | re.M)
_TURN_END = re.compile(r"\n[ \t]*(?:assistant|ai|bot|model)[ \t]?:\s*\Z", re.I)
_MOST = 2000  # colons in a line; a line with more is data
_COLON = re.compile(r"[ \t\u00a0\u202f]?(?::(?=[ \t\r\n]|$|[\"“'A-Z]|[^\x00-\x7f])|：)")
_STOP = re.compile(
    r"(?:[.!?…;][\"”’»)\]]*|[\"”’»)\]])[ \t\u00a0]+|[。！？؟।」』][\"”’»」』)]*[ \t]*|"
    r"[ \t]+(?=[\u3040-\u9fff])"
)
_NAME = re.compile(r"(?P<name>[^\W\d_](?:[^:：\n]{0,40}[^\W\d_])?)(?:[ \t]?\d{1,2}|[ \t][A-H])?")


@dataclass(frozen=True, slots=True)
class Prepared:
    """The prompt inside chat markers, with line breaks before its labels."""

    text: str
    start: int  # of the prompt
    added: tuple[int, ...] = ()  # the places of the characters that were added

    def restore(self, span: ContextSpan) -> ContextSpan:
        """Return the same span in characters of the original text."""
        places = (span.start, span.end, span.outer_start, span.outer_end)
        start, end, outer_start, outer_end = (
            self.start + at - bisect_left(self.added, at) for at in places
        )
        return replace(span, start=start, end=end, outer_start=outer_start, outer_end=outer_end)


def prepare(text: str) -> Prepared:
    """Return the prompt inside chat markers with a line break before each label in a line.

    The break replaces a blank, or is added where there is none, as in Chinese.
    """
    start, end = _inner_prompt(text)
    text = text[start:end]
    pieces: list[str] = []
    added: list[int] = []
    floor = 0
    for at in _places(text):
        blank = text[at - 1] in " \t\u00a0"
        pieces += [text[floor : at - blank], "\n"]
        if not blank:
            added.append(at + len(added))
        floor = at
    return Prepared("".join([*pieces, text[floor:]]), start, tuple(added))


def _places(text: str) -> Iterator[int]:
    """Yield where labels in the middle of a line begin."""
    end = len(text.rstrip())
    at = len(text) - len(text.lstrip())
    first, talk = at, len(re.findall(r"(?<!\w)[QA][ \t]?:", text[:20_000])) > 2
    while at < end:
        stop = text.find("\n", at, end)
        stop = end if stop < 0 else stop
        label = patterns.LABEL_LINE.match(text, at, min(stop, at + 200))
        named = label["name"].strip() if label and _is_known(label["name"].strip()) else ""
        if named or at == first or stop == end:
            after = label.end() if label else at
            yield from _in_line(text, after, stop, named=named, talk=talk, last=stop == end)
        at = stop + 1


def _is_known(name: str) -> bool:
    return classify_label(name)[0] in ("context", "ask", "answer", "hint") or is_request_label(
        name.lower()
    )


def _in_line(
    text: str, start: int, stop: int, *, named: str, talk: bool, last: bool
) -> Iterator[int]:
    """Yield the labels of one line after `start`, where its first label ends."""
    before = named  # the label before, on this line
    for colon in islice(_COLON.finditer(text, start, stop), _MOST):
        left = max(start, colon.start() - 60)
        window = text[left : colon.start()]
        at, name = _label_after_stop(window) or (0, "")
        if len(name) == 1 and talk:
            continue
        ends = last and not text[colon.end() : stop].strip()
        if name and _fits(text, start, left + at, name, before=before, ends=ends):
            before = name
            yield left + at


def _label_after_stop(window: str) -> tuple[int, str] | None:
    """Return the label that ends a window of text and begins after the end of a sentence."""
    stops = [match.end() for match in _STOP.finditer(window)][-2:]
    for at in reversed(stops):
        name = _NAME.fullmatch(window, at)
        if name and (_is_known(name["name"]) or at == stops[-1]):
            return at, name["name"]
    return None


def _fits(text: str, start: int, at: int, name: str, *, before: str, ends: bool) -> bool:
    """Return whether a label begins a part of the prompt, and not an aside or a sentence."""
    kind = classify_label(name)[0]
    if not _is_known(name):  # a slot for the answer, regardless of its name
        return ends and bool(before) and len(name.split()) <= 2
    if kind == "context":
        if ends or name.lower() in ASIDES:
            return False
        return bool(before) or (at - start <= 400 and line_asks(text[start:at]))
    # An answer that is there belongs to a worked example, or to the text.
    return ends or kind in ("ask", "hint") or classify_label(before)[0] == "ask"


def _inner_prompt(text: str) -> tuple[int, int]:
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
