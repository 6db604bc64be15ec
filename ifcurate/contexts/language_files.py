"""Additional files of words, in the format of the files in `languages/`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ifcurate.errors import DataError
from ifcurate.options.base import explain_problem

from .words import Language, make_language


class _Words(BaseModel):
    """The keys of such a file; `Language` describes each."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    spaces: bool = True
    context: list[str] = []
    ask: list[str] = []
    question: list[str] = []
    answer: list[str] = []
    wanted: list[str] = []
    common: list[str] = []
    asks_first: list[str] = []
    asks_last: list[str] = []
    nouns: list[str] = []
    below: list[str] = []
    above: list[str] = []
    this: list[str] = []


def read_language(path: str | Path) -> Language:
    """Read the words of a TOML file. Raises `DataError` with the key and what is expected."""
    try:
        words = _Words.model_validate(_read_toml(path))
    except ValidationError as error:
        problems = "; ".join(explain_problem(problem) for problem in error.errors())
        raise DataError(f"{path}: {problems}; keys are {', '.join(_Words.model_fields)}") from error
    given = words.model_dump(exclude_unset=True)
    if problem := _problem_with(given):
        raise DataError(f'{path}: {problem}; write for example context = ["vignette"]')
    return make_language(given)


def _read_toml(path: str | Path) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is not TOML: {error}; correct the file") from error


def _problem_with(given: dict[str, Any]) -> str:
    """Describe what is wrong with lists of words; "" when nothing is."""
    lists = {key: value for key, value in given.items() if isinstance(value, list)}
    empty = next((key for key, words in lists.items() if "" in words), None)
    if empty is not None:
        return f"{empty} has an empty word"
    return "" if any(lists.values()) else "it has no words"
