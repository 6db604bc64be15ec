"""The texts in the columns of a row, by the names that columns have.

A column may be a path, `instances[0].input`. Each text comes with the path it was read from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ifcurate.errors import RowError

__all__ = [
    "ANSWERS",
    "COMPLETIONS",
    "CONTEXTS",
    "NO_TEXT",
    "OUTPUTS",
    "PROMPTS",
    "QUESTIONS",
    "Text",
    "read_answer",
    "read_context",
    "read_path",
    "read_text",
]

#: Names of a column that holds a context, the likeliest first.
CONTEXTS: Final = (
    *("context", "contexts", "passage", "passages", "document", "documents", "article"),
    *("paragraph", "paragraphs", "story", "background", "evidence", "text"),
)
OUTPUTS: Final = ("output", "response", "answer", "completion")
PROMPTS: Final = ("prompt", "inputs", "input")
COMPLETIONS: Final = ("completion", "response", "targets", "target", "output")
QUESTIONS: Final = ("question", "query")
ANSWERS: Final = ("answer", "answers", "response", "output", "completion")


@dataclass(frozen=True, slots=True)
class Text:
    """A text and where it stands in the row."""

    text: str = ""
    path: str = ""


NO_TEXT: Final = Text()

_STEP: Final = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")


def read_path(row: Mapping[str, Any], name: str) -> tuple[bool, Any]:
    """Whether a row has the column or path of that name (`instances[0].input`), and its value."""
    if name in row or not any(sign in name for sign in ".["):
        return name in row, row.get(name)
    value: Any = row
    for key, index in _STEP.findall(name):
        if key and isinstance(value, Mapping) and key in value:
            value = value[key]
        elif index and isinstance(value, list) and int(index) < len(value):
            value = value[int(index)]
        else:
            return False, None
    return True, value


def read_text(row: Mapping[str, Any], names: Iterable[str], *, required: bool = True) -> Text:
    """The first of these columns, or paths, that the row has, as text."""
    names = tuple(names)
    for name in names:
        has, value = read_path(row, name)
        if not has:
            continue
        if isinstance(value, str):
            return Text(value, name)
        if value is None:
            return Text("", name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            if isinstance(value, float) and not math.isfinite(value):
                raise RowError(f"column {name!r}: expected text, found {value}")
            return Text(str(value), name)
        raise RowError(f"column {name!r}: expected text, found {type(value).__name__}")
    if not required:
        return Text()
    found = ", ".join(map(str, row)) or "(none)"
    raise RowError(f"no column {' or '.join(map(repr, names))}; found the columns {found}")


def read_context(row: Mapping[str, Any], names: Iterable[str], instruction: str) -> Text:
    """The first context column with a text; one that repeats the instruction is a rendering."""
    empty = Text()
    asked = instruction.strip()
    for name in names:
        has, value = read_path(row, name)
        text = _joined(value, name) if has else None
        if text is None:
            continue
        repeats = len(asked) >= 12 and asked in text.text
        if text.text.strip() and not repeats:
            return text
        empty = empty if empty.path or repeats else text
    return empty


def _joined(value: Any, name: str) -> Text | None:
    """A context as text: several passages with a blank line between; None when it is none."""
    if isinstance(value, str):
        return Text(value, name)
    if isinstance(value, Mapping):  # HotpotQA's {"sentences": [[...]]}, {"text": ...}
        for key in ("text", "passage_text", "sentences"):
            if key in value:
                return _joined(value[key], f"{name}.{key}")
        return None
    if isinstance(value, list):
        parts = [_joined(part, f"{name}[{i}]") for i, part in enumerate(value)]
        texts = [part for part in parts if part is not None and part.text.strip()]
        if len(texts) == 1:
            return texts[0]
        return Text("\n\n".join(text.text for text in texts), name) if texts else None
    return Text("", name) if value is None else None


def read_answer(row: Mapping[str, Any], names: Sequence[str]) -> Text:
    """The answer, or the first of several (a list, or SQuAD's {"text": [...]})."""
    for name in names:
        value = read_path(row, name)[1]
        path = name
        if isinstance(value, Mapping) and "text" in value:
            value, path = value["text"], f"{name}.text"
        if isinstance(value, list):
            if not value:
                return Text("", path)
            value, path = value[0], f"{path}[0]"
            if isinstance(value, Mapping) and isinstance(value.get("text"), str):
                value, path = value["text"], f"{path}.text"
        if isinstance(value, str):
            return Text(value, path)
        if value is not None:
            raise RowError(f"column {name!r}: expected an answer, found {type(value).__name__}")
    return read_text(row, names)
