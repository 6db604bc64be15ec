"""Columns in capitals, and columns that the user names beside those of a format."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from ifcurate.data.cells import Draft, Text, read_contexts, read_text
from ifcurate.records import Turn

__all__ = ["add_columns", "lower_names", "restore_names"]

_COLUMN: Final = re.compile(r"[^.\[]+")


def lower_names(row: Mapping[str, Any]) -> tuple[Mapping[str, Any], dict[str, str]]:
    """The row with lower-case column names, and changed name -> original name.

    A column keeps its capitals if its lower-case name belongs to another column.
    """
    names: dict[str, str] = {}
    for name in row:
        small = str(name).lower()
        if small != name and small not in row:
            names.setdefault(small, name)
    if not names:
        return row, names
    given = {name: small for small, name in names.items()}
    return {given.get(name, name): value for name, value in row.items()}, names


def restore_names(draft: Draft, names: Mapping[str, str]) -> Draft:
    """The draft of a row with lower-case names, with the original paths of the row."""

    def restore(path: str) -> str:
        return _COLUMN.sub(lambda m: names.get(m[0], m[0]), path, count=1)

    def text(of: Text) -> Text:
        return replace(of, path=restore(of.path))

    def turns(of: tuple[Turn, ...]) -> tuple[Turn, ...]:
        return tuple(replace(turn, path=restore(turn.path)) for turn in of)

    return replace(
        draft,
        instruction=text(draft.instruction),
        response=text(draft.response),
        context=text(draft.context),
        system=text(draft.system),
        history=turns(draft.history),
        trailing=turns(draft.trailing),
    )


def add_columns(draft: Draft, row: Mapping[str, Any], columns: Mapping[str, str]) -> Draft:
    """The draft with the context and the system message from the columns that the user names.

    Raises `RowError` when the row has no such column.
    """
    if "context" in columns:
        draft = replace(draft, context=read_contexts(row, columns["context"]))
    if "system" in columns:
        draft = replace(draft, system=read_text(row, (columns["system"],)))
    return draft
