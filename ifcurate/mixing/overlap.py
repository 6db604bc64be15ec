"""Rows that name an entity of an evaluation suite: the control for memorised facts.

The names of a suite are its answers, its remembered answers and the capitalised names
in its questions. A row that contains one of them as whole words, in the same spelling, is
dropped from the mixture and listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from ifcurate.data.readers.rows import open_sources, read_rows
from ifcurate.errors import DataError

_ANSWERS: Final = ("answer", "answers", "response", "output", "target")
_REMEMBERED: Final = ("memory_answer", "parametric_answer", "original_answer")
_QUESTIONS: Final = ("question", "query", "prompt", "instruction")
#: A sequence of capitalised words; small words may be inside it.
_NAME: Final = re.compile(
    r"\b[^\W\d_a-z][\w'’.-]*(?:\s+(?:(?:of|the|and|de|da|la|le|van|von|in)\s+){0,2}"
    r"(?:[dl]['’])?[^\W\d_a-z][\w'’.-]*)*"
)
#: The second half of a name as in an index: `Korea, North`, `Congo, Republic of the`.
_INVERTED: Final = re.compile(
    r"([^\W\d_a-z][\w'’-]*), ((?:[^\W\d_a-z]\w+ )+of(?: the)?|North|South|East|West)\b"
)
#: Words that are part of many names and are not names alone.
_PARTS: Final = re.compile(
    r"(?:(?:North|South|East|West)(?:ern)?|(?:Democratic |Federal |People's )*Republic|"
    r"(?:Federated |United )?States?|Kingdom|Islands?|City|New|Saint|San|Santa|Mount|Lake|River)"
)
#: Capitalised words that start a question and are not part of a name.
_OPENERS: Final = re.compile(
    r"(?:Are|At|By|Can|Could|Did|Do|Does|For|From|Give|Ha[sd]|Have|How|In|Is|Name|On|Please|Tell|"
    r"The|To|Was|Were|What|When|Where|Which|Who|Whom|Whose|Why|Will|With|Would|Write)"
)
_ASIDE: Final = re.compile(r"\(([^)]*)\)|;|\bor\b|,|\*")


def find_names(texts: pl.Series, names: Sequence[str]) -> list[str | None]:
    """For each text, the first of the names that it contains; None where it contains none."""
    matches = texts.str.extract_many(list(names), overlapping=True)
    return [
        next((n for n in sorted(set(found)) if _is_whole(n, text)), None) if found else None
        for found, text in zip(matches.to_list(), texts.to_list(), strict=True)
    ]


def _is_whole(name: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def read_names(paths: Sequence[str | Path]) -> tuple[str, ...]:
    """Return the names of evaluation files (JSON, JSON lines, CSV, Parquet).

    Raises `DataError` for a file that cannot be read or that names no entity.
    """
    names: set[str] = set()
    for path in paths:
        own: set[str] = set()
        for source in open_sources(path):
            for row in read_rows(source):
                if row.value is None:
                    raise DataError(f"{row.place}: cannot be read: {row.error}; check the file")
                own.update(_row_names(row.value))
        if not own:
            columns = ", ".join((*_ANSWERS, *_REMEMBERED, *_QUESTIONS))
            raise DataError(
                f"{path}: names no entity; looked in the columns {columns}; "
                "give an evaluation file with such a column"
            )
        names |= own
    return tuple(sorted(names))


def _row_names(row: Mapping[str, Any]) -> Iterator[str]:
    for column in (*_ANSWERS, *_REMEMBERED):
        for text in _texts(row.get(column)):
            yield from _answer_names(text)
    for column in _QUESTIONS:
        for text in _texts(row.get(column)):
            yield from _question_names(text)


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, Mapping):
        value = value.get("text")
    return [value] if isinstance(value, str) else value if isinstance(value, list) else []


def _answer_names(text: Any) -> Iterator[str]:
    """Yield the names in an answer, which may be a list of aliases. A name is capitalised."""
    if not isinstance(text, str):
        return
    for part in _ASIDE.split(text):
        name = (part or "").strip(" .\"'")
        known = len(name) >= 3 and name[0].isupper() and len(name.split()) <= 6
        if known and not _PARTS.fullmatch(name):
            yield name


def _question_names(text: str) -> Iterator[str]:
    text = _INVERTED.sub(r"\1, \2 \1", text)
    for match in _NAME.finditer(text):
        words = match[0].split()
        while words and _OPENERS.fullmatch(words[0].strip("'’.-")):
            words = words[1:]
        name = re.sub(r"['’]s$", "", " ".join(words)).strip(" .'’-")
        if len(name) >= 3 and name[0].isupper() and not _PARTS.fullmatch(name):
            yield name
