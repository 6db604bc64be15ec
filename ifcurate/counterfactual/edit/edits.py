"""Edits by position: what is replaced, where, and how to undo it.

Positions are in characters of one string of a row. A string is named by its path, such as
``messages[1].content``. Text outside the edits is unchanged, byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Change = tuple[str, int, int, str, str]  # path, start, end, old, new


@dataclass(frozen=True, slots=True)
class Edit:
    """`text[start:end] == old` became `new`, now at `new_start:new_end`."""

    path: str
    start: int
    end: int
    old: str
    new: str
    new_start: int
    new_end: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the record, in which the path is called `field`."""
        values = asdict(self)
        return {"field": values.pop("path"), **values}


def place_edits(changes: Sequence[Change]) -> list[Edit]:
    """Edits from (path, start, end, old, new), sorted, with their new positions.

    Raises ValueError where two of them overlap.
    """
    edits: list[Edit] = []
    shift, path, last = 0, "", 0
    for at, start, end, old, new in sorted(changes):
        if at != path:
            path, shift, last = at, 0, 0
        if start < last:
            raise ValueError(f"{at}: edits overlap at character {start}")
        edits.append(Edit(at, start, end, old, new, start + shift, start + shift + len(new)))
        shift += len(new) - (end - start)
        last = end
    return edits


def apply_edits(texts: Mapping[str, str], edits: Sequence[Edit]) -> dict[str, str]:
    """Return the texts after the edits; raises ValueError when one does not find its old text."""
    return _rewrite(texts, [(e.path, e.start, e.end, e.old, e.new) for e in edits])


def moved(at: int, path: str, edits: Iterable[Edit]) -> int:
    """Return the position after the edits of a position before them."""
    return at + sum(len(e.new) - len(e.old) for e in edits if e.path == path and e.end <= at)


def invert_edits(texts: Mapping[str, str], edits: Sequence[Edit]) -> dict[str, str]:
    """Return the texts before the edits, from those after."""
    return _rewrite(texts, [(e.path, e.new_start, e.new_end, e.new, e.old) for e in edits])


def _rewrite(texts: Mapping[str, str], changes: Sequence[Change]) -> dict[str, str]:
    out = dict(texts)
    for path, start, end, old, new in sorted(changes, reverse=True):
        text = out[path]
        if text[start:end] != old:
            raise ValueError(f"{path}[{start}:{end}]: {text[start:end]!r} is not {old!r}")
        out[path] = text[:start] + new + text[end:]
    return out


def row_texts(row: Mapping[str, Any]) -> dict[str, str]:
    """Return every string of a row by its path, depth first, in the row's own order."""
    texts: dict[str, str] = {}
    _visit(row, "", texts)
    return texts


def with_texts(row: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """Return a copy of the row with some of its strings replaced."""
    return dict(_visit(row, "", dict(texts)))


def _visit(value: Any, path: str, texts: dict[str, str]) -> Any:
    """Return a copy of a value with the strings of `texts`; strings without one are added to it."""
    if isinstance(value, str):
        return texts.setdefault(path, value)
    if isinstance(value, Mapping):
        keys = [re.sub(r"([.\[\]\\])", r"\\\1", str(key)) for key in value]
        paths = [f"{path}.{key}" if path else key for key in keys]
        return {key: _visit(value[key], at, texts) for key, at in zip(value, paths, strict=True)}
    if isinstance(value, (list, tuple)):
        return [_visit(inner, f"{path}[{index}]", texts) for index, inner in enumerate(value)]
    return value
