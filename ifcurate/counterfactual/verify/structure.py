"""H9: code, JSON and tables are after the edit what they were before it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from ..checks import Check, Refusal

__all__ = ["check_structure", "json_strings"]

_FENCE = re.compile(r"```[\s\S]*?(?:```|\Z)|`[^`\n]+`")
_OBJECTS = 60  # at most so many starts of JSON are tried in one text


def _shape(value: Any) -> Any:
    """The value with every string made empty: keys, order, numbers, lengths."""
    if isinstance(value, dict):
        return [(k, _shape(v)) for k, v in value.items()]
    if isinstance(value, list):
        return [_shape(v) for v in value]
    if isinstance(value, str):
        return ""
    if isinstance(value, bool) or value is None:
        return value
    return 0


def _objects(text: str) -> list[Any]:
    """Every JSON object or array of a text, outermost first."""
    decoder = json.JSONDecoder()
    found, at = [], 0
    for _ in range(_OBJECTS):
        match = re.compile(r"[{\[]").search(text, at)
        if match is None:
            break
        try:
            value, at = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            at = match.start() + 1
            continue
        found.append(value)
    return found


def json_strings(text: str) -> Iterator[str]:
    """The decoded strings of JSON in a text, where they are not written as they read."""
    if "\\" not in text or not re.search(r"[{\[]", text):
        return
    for value in _objects(text):
        yield from _strings(value)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def check_structure(before: str, after: str, spans: Sequence[tuple[int, int]]) -> None:
    """Raise `Refusal` where an edit falls in code, or JSON or a table has another shape.

    `spans` are the edited characters of `before`.
    """
    if "`" in before and _is_in_code(before, spans):
        raise Refusal(Check.STRUCTURE, "an edit inside code")
    if ("{" in before or "[" in before) and _shapes(before) != _shapes(after):
        raise Refusal(Check.STRUCTURE, "the JSON has another shape")
    if before.count("\n") != after.count("\n"):
        raise Refusal(Check.STRUCTURE, "the number of lines has changed")
    for mark in ("|", "\t"):
        if mark in before and _columns(before, mark) != _columns(after, mark):
            raise Refusal(Check.STRUCTURE, "the table has other columns")


def _is_in_code(text: str, spans: Sequence[tuple[int, int]]) -> bool:
    codes = [code.span() for code in _FENCE.finditer(text)]
    return any(a < end and start < b for start, end in codes for a, b in spans)


def _shapes(text: str) -> list[Any]:
    return [_shape(value) for value in _objects(text)]


def _columns(text: str, mark: str) -> list[int]:
    return [line.count(mark) for line in text.split("\n")]
