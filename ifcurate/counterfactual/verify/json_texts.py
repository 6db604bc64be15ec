"""JSON inside texts: its objects and its decoded strings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_OPENS = re.compile(r"[{\[]")
_MOST = 60  # most starts of JSON that are tried in one text


def json_objects(text: str) -> list[Any]:
    """Every JSON object or array of a text, outermost first."""
    decoder = json.JSONDecoder()
    objects, at = [], 0
    for _ in range(_MOST):
        match = _OPENS.search(text, at)
        if match is None:
            break
        try:
            value, at = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            at = match.start() + 1
            continue
        objects.append(value)
    return objects


def json_strings(text: str) -> Iterator[str]:
    """The decoded strings of JSON in a text with escapes."""
    if "\\" not in text or not _OPENS.search(text):
        return
    for value in json_objects(text):
        yield from _strings(value)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for inner in (*value, *value.values()) if isinstance(value, dict) else value:
            yield from _strings(inner)
