"""The texts of a run's examples, to search in."""

from __future__ import annotations

from typing import Final

import polars as pl

from ifcurate.data.sources import Examples
from ifcurate.records import Example

MOST_CHARACTERS: Final = 400_000_000  # of all texts in memory


def gather_texts(examples: Examples, table: pl.DataFrame) -> pl.Series | None:
    """The id and all texts of each row of the table, in lower case; None when they are too long.

    `table` has the columns id, source, row and turn. Raises `DataError` when the data cannot
    be read.
    """
    keys = table.select("source", "row", "turn").iter_rows()
    places = {(str(source), int(row), int(turn)): i for i, (source, row, turn) in enumerate(keys)}
    texts = [str(name).lower() for name in table["id"]]
    left = MOST_CHARACTERS
    for example in examples:
        place = places.get((example.source, example.row_number, example.turn))
        if place is None:
            continue
        text = _all_texts(example).lower()
        left -= len(text)
        if left < 0:
            return None
        texts[place] += f"\n{text}"
    return pl.Series(texts, dtype=pl.String)


def _all_texts(example: Example) -> str:
    turns = (turn.content for turn in (*example.history, *example.trailing))
    texts = (example.system, example.instruction, example.context, *turns, example.response)
    return "\n".join(text for text in texts if text)


def search_texts(texts: pl.Series, words: str) -> pl.Series:
    """Whether each text contains these words literally, regardless of case."""
    return texts.str.contains(words.lower(), literal=True)
