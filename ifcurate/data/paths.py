"""Paths into a row, `instances[0].input`, and the passages of a context in a list."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

#: Keys of a passage's text: HotpotQA's {"sentences": [[...]]}, {"text": ...}. The first key that is
#: found is used.
PASSAGE_KEYS: Final = (
    *("text", "passage_text", "paragraph_text", "sentences", "contexts"),
    *("content", "body", "snippet"),
)
_COLUMN_END: Final = re.compile(r"[.\[]")
_STEP: Final = re.compile(r"\.?([^.\[\]]+)|\[(\d+|\*)\]")


def column_of(path: str) -> str:
    """Return the column that a path starts with."""
    return _COLUMN_END.split(path, maxsplit=1)[0]


def read_path(row: Mapping[str, Any], name: str) -> tuple[bool, Any]:
    """Return whether a row has this column or path (`instances[0].input`), and its value.

    The value of `docs[*].body` is the list of the bodies of all items of `docs` that have one.
    """
    if name in row:
        return True, row[name]
    if "." not in name and "[" not in name:
        return False, None
    return _follow(row, _STEP.findall(name))


def _follow(value: Any, steps: Sequence[tuple[str, str]]) -> tuple[bool, Any]:
    for i, (key, index) in enumerate(steps):
        if index == "*" and isinstance(value, list):
            reached = [_follow(item, steps[i + 1 :]) for item in value]
            return True, [item for has, item in reached if has]
        if not isinstance(value, list | Mapping):
            return False, None
        try:
            value = value[key] if isinstance(value, Mapping) else value[int(index)]
        except (KeyError, IndexError, ValueError, TypeError):
            return False, None
    return True, value


def split_names(row: Mapping[str, Any], names: str) -> list[str]:
    """Return the columns or paths in `context+passage`."""
    return [names] if read_path(row, names)[0] else [name.strip() for name in names.split("+")]


def context_passages(row: Mapping[str, Any], path: str) -> dict[str, str]:
    """Path -> text of the passages that are joined, a blank line between, to a context."""
    values = {part: read_path(row, part)[1] for part in split_names(row, path)}
    return {at: text for part, value in values.items() for at, text in walk_passages(value, part)}


def walk_passages(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each passage of a context.

    Passages without a text are left out.
    """
    if isinstance(value, str) and value.strip():
        yield name, value
    elif isinstance(value, Mapping) and not {"role", "from"} & value.keys():  # no turn
        for key in [key for key in PASSAGE_KEYS if value.get(key) is not None][:1]:
            yield from walk_passages(value[key], f"{name}.{key}")
    elif isinstance(value, list):
        for i, part in enumerate(value):
            item = name.replace("[*]", f"[{i}]", 1) if "[*]" in name else f"{name}[{i}]"
            yield from walk_passages(part, item)
