"""The texts in the columns of a row, by the names that columns have.

A column may be a path, `instances[0].input`. Each text comes with the path it was read from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from ifcurate.data.paths import PASSAGE_KEYS, column_of, read_path, split_names, walk_passages
from ifcurate.errors import RowError
from ifcurate.phrases import did_you_mean
from ifcurate.records import Turn

#: Names of a column that holds a context, the most likely first.
CONTEXTS: Final = (
    *("context", "contexts", "passage", "passages", "document", "documents", "article"),
    *("paragraph", "paragraphs", "story", "background", "evidence", "ctx", "ctxs"),
    *("retrieved_contexts", "dialogue", "text"),
)
SYSTEMS: Final = (
    *("system", "system_prompt", "system_message", "system_instruction"),
    "systeminstruction",
)
OUTPUTS: Final = ("output", "response", "answer", "completion")
PROMPTS: Final = ("prompt", "inputs_pretokenized", "inputs", "input_text", "input")
COMPLETIONS: Final = (
    *("completion", "response", "targets_pretokenized", "targets", "target", "output"),
    *("output_text", "answers"),
)
QUESTIONS: Final = ("question", "query", "user_input", "problem")
ANSWERS: Final = (
    *("answer", "answers", "response", "output", "completion"),
    *("ground_truth", "answers_spans", "long_answer", "solution"),
)
#: Keys of an answer's text: SQuAD's {"text": [...]}, TriviaQA's {"value": ...}. The first key that
#: is found is used.
ANSWER_KEYS: Final = ("text", "input_text", "value", "spans", "answer", "response")


#: The start of an answer's object in a CSV file that pandas or a similar tool wrote.
_OBJECT: Final = re.compile(
    r"""\s*\{['"](?:text|answer_start|spans|aliases|value)['"]: (?:array\(|\[|['"])"""
)


@dataclass(frozen=True, slots=True)
class Text:
    """A text and its place in the row."""

    text: str = ""
    path: str = ""
    note: str = ""  # what else the place has


NO_TEXT: Final = Text()


@dataclass(frozen=True, slots=True)
class Draft:
    """An example before the search for its context."""

    instruction: Text
    response: Text
    context: Text = NO_TEXT
    system: Text = NO_TEXT
    history: tuple[Turn, ...] = ()
    trailing: tuple[Turn, ...] = ()
    tools: str = ""
    response_calls: tuple[Mapping[str, Any], ...] = ()
    note: str = ""  # the part of the row that is left out

    @property
    def turns(self) -> tuple[Turn, ...]:
        """All turns but the instruction and the response."""
        return (*self.history, *self.trailing)


def read_text(row: Mapping[str, Any], names: Sequence[str], *, required: bool = True) -> Text:
    """Return the first of these columns, or paths, that the row has, as text."""
    for name in names:
        has, value = read_path(row, name)
        if not has:
            continue
        if isinstance(value, bool):
            raise RowError(f"column {name!r}: expected text, found bool")
        if isinstance(value, Mapping) and isinstance(value.get("text"), str):
            return Text(value["text"], f"{name}.text")
        return Text("" if value is None else _as_text(value, name), name)
    if not required:
        return Text()
    raise RowError(f"no column {' or '.join(map(repr, names))}; {_describe_found(row, names[0])}")


def _describe_found(row: Mapping[str, Any], name: str) -> str:
    """Return the columns of a row; for a path whose last step is wrong, the keys that are there."""
    parent, _, last = name.rpartition(".")
    value = read_path(row, parent)[1] if parent else None
    if isinstance(value, Mapping):
        keys = list(map(str, value))
        return f"{parent} has {', '.join(keys)}{did_you_mean(last, keys)}"
    return f"found the columns {', '.join(map(str, row)) or '(none)'}"


def _as_text(value: Any, name: str) -> str:
    """Return a text or a number as text; `true` and `false` for booleans, as JSON writes them."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    found = value if isinstance(value, float) else type(value).__name__
    raise RowError(f"column {name!r}: expected text, found {found}")


def read_system(row: Mapping[str, Any]) -> Text:
    """Return the system message, if the row has a column for it with a text."""
    texts = (read_part(row[name], name) for name in SYSTEMS if name in row)
    return next((text for text in texts if text.text.strip()), NO_TEXT)


def read_part(value: Any, path: str) -> Text:
    """Return a text, or its only part (`[{"text": ...}]`, `{"parts": [...]}`)."""
    if isinstance(value, Mapping):
        key = next((key for key in ("text", "parts", "content") if key in value), "")
        return read_part(value.get(key), f"{path}.{key}")
    if isinstance(value, list) and len(value) == 1:
        return read_part(value[0], f"{path}[0]")
    return Text(value, path) if isinstance(value, str) else NO_TEXT


def read_context(row: Mapping[str, Any], names: Iterable[str], instruction: str) -> Text:
    """Return the first context that is not empty and does not repeat the instruction."""
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


def read_contexts(row: Mapping[str, Any], names: str) -> Text:
    """Return the context of one column, or of several (`context+passage`).

    Raises `RowError` when the row has none of the columns, or if one has objects without a text
    that is known.
    """
    parts = split_names(row, names)
    if not any(read_path(row, part)[0] for part in parts):
        read_text(row, parts)  # raises with the columns that were found
    for part in parts:
        check_context(row, part)
    texts = [read_context(row, (part,), "") for part in dict.fromkeys(parts)]
    filled = [text for text in texts if text.text.strip()]
    if len(filled) == 1:
        return filled[0]
    return Text("\n\n".join(text.text for text in filled), names)


def check_context(row: Mapping[str, Any], name: str) -> None:
    """Raise `RowError` for a value that is no text, and an object whose text has an unknown key."""
    value = read_path(row, name)[1]
    if not value or _joined(value, name) is not None:
        return
    place = name if isinstance(value, Mapping) else f"{name}[*]"
    inside = value[0] if isinstance(value, list) and value else value
    if isinstance(inside, Mapping) and inside and inside.keys().isdisjoint(PASSAGE_KEYS):
        keys = ", ".join(map(str, inside))
        raise RowError(
            f"column {name!r}: which of its keys is the text is not known; found {keys}; name it: "
            f"--columns context={place}.{next(iter(inside))}"
        )
    raise RowError(f"column {name!r}: expected text, found {type(value).__name__}; write a text")


def _joined(value: Any, name: str) -> Text | None:
    """Return a context as one text, with a blank line between passages; None if it has no text."""
    if value is None or isinstance(value, str):
        return Text(value or "", name)
    if isinstance(value, int | float) and name not in CONTEXTS:  # a number there is an id
        return Text(_as_text(value, name), name)
    if isinstance(value, Mapping):
        key = next((key for key in PASSAGE_KEYS if value.get(key) is not None), None)
        return _joined(value[key], f"{name}.{key}") if key else None
    texts = [Text(text, path) for path, text in walk_passages(value, name)]
    if len(texts) == 1:
        return texts[0]
    return Text("\n\n".join(text.text for text in texts), name) if texts else None


def read_answer(row: Mapping[str, Any], names: Sequence[str]) -> Text:
    """Return the answer, or the first of several (a list, or SQuAD's {"text": [...]})."""
    for name in names:
        value, path, note = read_path(row, name)[1], name, ""
        for _ in range(3):  # {"text": [...]}, [{"text": ...}]
            if isinstance(value, Mapping):
                key = next((key for key in ANSWER_KEYS if value.get(key) is not None), "")
                if not key:
                    break
                value, path = value[key], f"{path}.{key}"
            elif isinstance(value, list):
                if not value:
                    return Text("", path)
                if len(set(map(str, value))) > 1:
                    note = note or f"{path} has several answers; the first one is the response"
                value, path = value[0], f"{path}[0]"
        # Other responses, such as `output`, may be JSON.
        if isinstance(value, str) and "answer" in name.lower() and _OBJECT.match(value):
            raise RowError(
                f"column {name!r}: found an object that was written as text; save the data as "
                "JSON lines or Parquet, not as CSV"
            )
        if value is not None:
            return Text(_as_text(value, name), path, note)
    return read_text(row, names)


# ---------------------------------------- columns in capitals, and those that the user names
Placed = TypeVar("Placed", Text, Turn)
#: Other names of columns that mean the same.
_SAME: Final = {
    **{"preferred_output": "chosen", "non_preferred_output": "rejected"},
    **{"chosen_response": "chosen", "rejected_response": "rejected"},
}


def lower_names(row: Mapping[str, Any]) -> tuple[Mapping[str, Any], dict[str, str]]:
    """Return the row with its names in lower case and by `_SAME`, and the original names.

    A column keeps its capitals if its lower-case name belongs to another column.
    """
    names: dict[str, str] = {}
    for name in row:
        small = str(name).lower()
        small = _SAME.get(small, small)
        if small != name and small not in row:
            names.setdefault(small, name)
    if not names:
        return row, names
    given = {name: small for small, name in names.items()}
    return {given.get(name, name): value for name, value in row.items()}, names


def restore_names(draft: Draft, names: Mapping[str, str]) -> Draft:
    """Return the draft of a row with lower-case names, with the original paths of the row."""

    def restore(of: Placed) -> Placed:
        column = column_of(of.path)
        return replace(of, path=names.get(column, column) + of.path[len(column) :])

    texts = ("instruction", "response", "context", "system")
    changed: dict[str, Any] = {name: restore(getattr(draft, name)) for name in texts}
    changed["history"] = tuple(map(restore, draft.history))
    return replace(draft, trailing=tuple(map(restore, draft.trailing)), **changed)


def add_columns(draft: Draft, row: Mapping[str, Any], columns: Mapping[str, str]) -> Draft:
    """Return the draft with the context and system message of the user's columns.

    Raises `RowError` when the row has no such column.
    """
    if "context" in columns:
        draft = replace(draft, context=read_contexts(row, columns["context"]))
    if "system" in columns:
        system = read_part(read_path(row, columns["system"])[1], columns["system"])
        draft = replace(
            draft, system=system if system.path else read_text(row, [columns["system"]])
        )
    return draft
