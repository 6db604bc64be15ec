"""Additional files of words, in the format of the files in `languages/`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ifcurate.errors import DataError
from ifcurate.options.base import explain_problem

from .words import Language


def read_language(path: str | Path) -> Language:
    """Read the words of a TOML file. Raises `DataError` with the key and what is expected."""
    given = _read_toml(path)
    try:
        language = Language.model_validate(given)
    except ValidationError as error:
        problems = "; ".join(explain_problem(problem) for problem in error.errors())
        keys = ", ".join(Language.model_fields)
        raise DataError(f"{path}: {problems}; keys are {keys}") from error
    lists = {key: words for key, words in given.items() if isinstance(words, list)}
    empty = next((f"{key} has an empty word" for key, words in lists.items() if "" in words), "")
    if problem := empty or ("" if any(lists.values()) else "it has no words"):
        raise DataError(f'{path}: {problem}; write for example context = ["vignette"]')
    return language


def _read_toml(path: str | Path) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is not TOML: {error}; correct the file") from error
