"""Names that are never substitutes: those of an evaluation suite, or of a list."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ifcurate.errors import DataError
from ifcurate.storage.files import read_json_rows

from .edit.views import memory_answers

_ANSWERS: Final = ("answer", "answers")


def read_avoided(paths: Iterable[Path]) -> frozenset[str]:
    """Return all names of the files: lines of text, or answers and remembered answers of JSON rows.

    Raises `DataError` for a file that cannot be read.
    """
    names: set[str] = set()
    for path in paths:
        try:
            if path.suffix in {".json", ".jsonl", ".ndjson"}:
                names.update(name for row in read_json_rows(path) for name in _names(row))
            else:
                names.update(line.strip() for line in path.read_text("utf-8").splitlines())
        except json.JSONDecodeError as error:
            raise DataError(f"{path}: is not JSON: {error}; check the file") from error
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: cannot be read: {error}; --avoid takes text files") from error
    return frozenset(n for n in names if n)


def _names(row: Any) -> Iterator[str]:
    if isinstance(row, str):
        yield row
    if not isinstance(row, Mapping):
        return
    yield from memory_answers(row)
    for key in _ANSWERS:
        value = row.get(key)
        if isinstance(value, Mapping):
            value = value.get("text")
        yield from ([value] if isinstance(value, str) else value if isinstance(value, list) else [])
