"""H9: code, JSON and tables keep their structure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..edit.views import touches
from .cases import Case
from .json_texts import json_objects

_FENCE = re.compile(r"```[\s\S]*?(?:```|\Z)|`[^`\n]+`")


def _shape(value: Any) -> Any:
    """The structure of a value: keys, order, lengths, types."""
    if isinstance(value, dict):
        return [(k, _shape(v)) for k, v in value.items()]
    if isinstance(value, list):
        return [_shape(v) for v in value]
    return value if isinstance(value, bool) else type(value)


def check_structure(case: Case) -> Iterator[str]:
    """H9: no edit is inside code, and JSON and tables keep their shape."""
    for path in dict.fromkeys(e.path for e in case.edits):
        before, after = case.before[path], case.after[path]
        codes = [(path, *code.span()) for code in _FENCE.finditer(before)]
        if any(touches(edit, codes) for edit in case.edits):
            yield "an edit inside code"
        if _shapes(before) != _shapes(after):
            yield "the JSON has another shape"
        if any(_columns(before, mark) != _columns(after, mark) for mark in "|\t"):
            yield "the lines, or the columns of a table, have changed"


def _shapes(text: str) -> list[Any]:
    return [_shape(value) for value in json_objects(text)]


def _columns(text: str, mark: str) -> list[int]:
    return [line.count(mark) for line in text.split("\n")]
