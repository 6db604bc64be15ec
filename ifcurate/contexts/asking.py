"""Check that a prompt still asks for something without its context.

No cut may remove the only request of a prompt. Windows are bounded, so that the time stays
linear in the length of the text.
"""

from __future__ import annotations

import re

from . import patterns
from .lines import line_asks
from .words import NOT_ASKED, classify_label, is_request_label

_WINDOW = 4000  # characters at either end of a text
_GAP = re.compile(r"\n[ \t\r]*\n")
_MARKUP = re.compile(r"\[/?INST\]|<\|[\w ]{1,20}\|>|</?[a-z_]{1,20}>")


def asks(text: str) -> bool:
    """Return whether some line or sentence of a text asks or instructs."""
    if len(text) > 2 * _WINDOW:
        text = text[:_WINDOW] + "\n" + text[-_WINDOW:]
    if _ends_in_question(text):
        return True
    if '{"' in text:
        text = re.sub(r'[{}]|"\s*[:,]\s*"?|"', "\n", text)
    lines = [line for line in _MARKUP.sub("\n", text).splitlines() if line.strip()]
    return any(map(line_asks, lines)) or any(map(_is_question_label, lines[:-1]))


def _is_question_label(line: str) -> bool:
    """Return whether a line is nothing but the label of a question, which follows it."""
    label = patterns.LABEL_LINE.fullmatch(line.rstrip())
    name = label["name"].strip().lower() if label else ""
    return name not in NOT_ASKED and classify_label(name)[0] == "ask"


def asks_beyond_slot(text: str) -> bool:
    """Return whether a text asks by more than an empty label of the answer at its end.

    A label such as "Summary:" is a request.
    """
    slot = _open_slot(text)
    if slot is None or _wanted_slot(text):
        return asks(text)
    known = classify_label(slot["name"].strip())[0] in ("ask", "answer")
    return asks(text[: slot.start()]) or (not known and asks(text))


def _wanted_slot(rest: str) -> re.Match[str] | None:
    """Return the empty label at the end of a text, if it is a request by itself."""
    slot = _open_slot(rest)
    return slot if slot and is_request_label(slot["name"].strip().lower()) else None


def _open_slot(rest: str) -> re.Match[str] | None:
    """Return the label at the very end of a text, if nothing follows it."""
    end = len(rest.rstrip(" \t\r\n*_\"'"))
    start = rest.rfind("\n", max(0, end - 200), end) + 1
    slot = patterns.LABEL_LINE.match(rest, start)
    return slot if slot and not rest[slot.end() :].strip("*_\"' \t\r\n") else None


def _ends_in_question(text: str) -> bool:
    """Return whether the last paragraph before an empty slot is one line that asks.

    Its label may be of any language.
    """
    slot = _open_slot(text)
    paragraph = _GAP.split(text[: slot.start() if slot else len(text)].strip())[-1]
    return "\n" not in paragraph and len(paragraph) <= 400 and paragraph.endswith(("?", "？", "؟"))
