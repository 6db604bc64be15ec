"""Columns in capitals, and columns that the user adds to those of a format."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from ifcurate.data.cells import Draft, Text, read_contexts, read_part, read_text
from ifcurate.data.paths import read_path
from ifcurate.records import Turn

Placed = TypeVar("Placed", Text, Turn)
#: Other names of columns that mean the same.
_SAME: Final = {
    **{"preferred_output": "chosen", "non_preferred_output": "rejected"},
    **{"chosen_response": "chosen", "rejected_response": "rejected"},
}
_COLUMN: Final = re.compile(r"[^.\[]+")


def lower_names(row: Mapping[str, Any]) -> tuple[Mapping[str, Any], dict[str, str]]:
    """The row with lower-case column names, with those of `_SAME` replaced; and the original names.

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
    """The draft of a row with lower-case names, with the original paths of the row."""

    def restore(of: Placed) -> Placed:
        path = _COLUMN.sub(lambda m: names.get(m[0], m[0]), of.path, count=1)
        return replace(of, path=path)

    return replace(
        draft,
        instruction=restore(draft.instruction),
        response=restore(draft.response),
        context=restore(draft.context),
        system=restore(draft.system),
        history=tuple(map(restore, draft.history)),
        trailing=tuple(map(restore, draft.trailing)),
    )


def add_columns(draft: Draft, row: Mapping[str, Any], columns: Mapping[str, str]) -> Draft:
    """The draft with the context and the system message from the columns that the user names.

    Raises `RowError` when the row has no such column.
    """
    if "context" in columns:
        draft = replace(draft, context=read_contexts(row, columns["context"]))
    if "system" in columns:
        system = read_part(read_path(row, columns["system"])[1], columns["system"])
        draft = replace(
            draft, system=system if system.path else read_text(row, (columns["system"],))
        )
    return draft
