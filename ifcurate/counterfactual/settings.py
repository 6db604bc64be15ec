"""The settings of a run of augment, and the names that it avoids."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from ifcurate.errors import DataError, OptionError
from ifcurate.storage.files import read_json_rows

from .edit.views import memory_answers
from .recognise.spans import DEFAULT_TYPES, TYPES

POLICIES: Final = ("lexicon", "corpus", "fictional", "type-swap", "alias")
_ANSWERS: Final = ("answer", "answers")
_SETS: Final = {"DEFAULT": DEFAULT_TYPES, "ALL": TYPES}
Emit = Literal["counterfactual", "pair", "pair+abstain"]


@dataclass(frozen=True)
class AugmentSettings:
    """All settings that change what is written."""

    policy: str = "lexicon"  # one of POLICIES
    types: tuple[str, ...] = DEFAULT_TYPES
    seed: int = 0
    variants: int = 1  # counterfactuals per row, each with another substitute
    emit: Emit = "counterfactual"
    avoid: frozenset[str] = frozenset()  # names that are never substitutes

    def __post_init__(self) -> None:
        for name, given, known in (
            ("policy", [self.policy], POLICIES),
            ("types", self.types, TYPES),
            ("emit", [self.emit], get_args(Emit)),
        ):
            if unknown := [value for value in given if value not in known]:
                raise DataError(
                    f"{name} {', '.join(unknown)}: unknown; known are {', '.join(known)}"
                )
        if self.variants < 1:
            raise DataError(f"variants {self.variants}: give 1 or more")


def parse_types(text: str) -> tuple[str, ...]:
    """The types of a comma-separated list, in a fixed order; `+YEAR` adds to the default ones.

    Raises `OptionError` for an unknown type.
    """
    types: set[str] = set()
    for name in filter(None, map(str.strip, text.upper().split(","))):
        types.update(_SETS.get(name, (name.removeprefix("+"),)))
        types.update(DEFAULT_TYPES if name.startswith("+") else ())
    unknown = types - set(TYPES)
    if unknown or not types:
        raise OptionError(
            f"types: {', '.join(sorted(unknown)) or repr(text)}: unknown type; "
            f"known are default, all, {', '.join(TYPES)}"
        )
    return tuple(name for name in TYPES if name in types)


def read_avoided(paths: Iterable[Path]) -> frozenset[str]:
    """All names of the files: lines of text, or answers and remembered answers of JSON rows.

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
