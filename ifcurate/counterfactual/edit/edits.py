"""Edits by position: what is replaced, where, and how to undo it.

Positions are in characters of one string of a row. A string is named by its path, such as
``messages[1].content``. Text outside the edits is unchanged, byte for byte.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Change = tuple[str, int, int, str, str]  # path, start, end, old, new


_STEP = re.compile(r"\[(\d+)\]|(?:\A|\.)((?:[^.\[\]\\]|\\.)+)")


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
    pieces: dict[str, list[str]] = {}
    last: dict[str, int] = {}
    for path, start, end, old, new in sorted(changes):
        text = texts[path]
        if text[start:end] != old:
            raise ValueError(f"{path}[{start}:{end}]: {text[start:end]!r} is not {old!r}")
        pieces.setdefault(path, []).extend((text[last.get(path, 0) : start], new))
        last[path] = end
    out = dict(texts)
    for path, parts in pieces.items():
        out[path] = "".join([*parts, texts[path][last[path] :]])
    return out


def row_texts(row: Mapping[str, Any]) -> dict[str, str]:
    """Return every string of a row by its path, depth first, in the row's own order."""
    return dict(_walk(row, ""))


def _walk(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            name = re.sub(r"([.\[\]\\])", r"\\\1", str(key))
            yield from _walk(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from _walk(inner, f"{path}[{index}]")


def with_texts(row: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """Return a copy of the row with some of its strings replaced; other values are shared."""
    out: Any = dict(row)
    for path, text in texts.items():
        steps: list[str | int] = [
            int(m[1]) if m[1] else re.sub(r"\\(.)", r"\1", m[2]) for m in _STEP.finditer(path)
        ]
        holder = out
        for step, following in itertools.pairwise(steps):
            inner = holder[step]
            holder[step] = list(inner) if isinstance(following, int) else dict(inner)
            holder = holder[step]
        holder[steps[-1]] = text
    return dict(out)
