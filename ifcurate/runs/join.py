"""Join the parts of a run, or its shards, into the final tables.

The rows come in their final order, in frames of any size. They are read to find repeated
ids (`ifcurate.runs.ids`), and again to write them in row groups of one size. So the same
rows give the same bytes, regardless of the parts, and memory holds one row group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from ifcurate.runs.ids import Frames, UniqueIds
from ifcurate.storage.files import open_table_writer
from ifcurate.storage.tables import SCORES, TOKENS

_TokenFrames = Callable[[], Iterator[pl.DataFrame]]


def read_frames(
    paths: Iterable[Path], columns: Sequence[str] | None = None
) -> Iterator[pl.DataFrame]:
    """The tables of these files, in order."""
    for path in paths:
        with path.open("rb") as stream:  # open, because polars reads some names as patterns
            yield pl.read_parquet(stream, columns=list(columns) if columns else None)


def join_tables(
    folder: Path,
    frames: Frames,
    manifest: Mapping[str, Any],
    *,
    tokens: _TokenFrames | None = None,
    unique: bool = True,
) -> None:
    """Write `scores.parquet`, and `tokens.parquet` when there are tokens, into `folder`.

    With `unique`, repeated ids are renamed as `UniqueNames` does. Raises `DataError` when
    the files cannot be written.
    """
    ids = UniqueIds(frames if unique else lambda _: iter(()))
    with open_table_writer(folder / "scores.parquet", SCORES, manifest) as write:
        for frame in ids.rename(frames(None)):
            write(frame)
    if tokens is None:
        return
    rows = ids.rename(frames(("id", "status", "n_response_tokens")))
    owners = Cursor(map(_token_ids, rows), pl.DataFrame(schema={"id": pl.String}))
    with open_table_writer(folder / "tokens.parquet", TOKENS, manifest) as write:
        for frame in tokens():
            write(frame.with_columns(owners.take(frame.height)["id"]))


def row_tokens(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns `id` and `n`: scored rows with the number of their rows in TOKENS."""
    scored = frame.filter(pl.col("status") == "scored")
    return scored.select("id", pl.col("n_response_tokens").cast(pl.Int64).alias("n"))


def _token_ids(frame: pl.DataFrame) -> pl.DataFrame:
    """The `id` of each row of TOKENS, from the renamed rows of SCORES."""
    return row_tokens(frame).select(pl.col("id").repeat_by("n").explode()).drop_nulls()


class Cursor:
    """The rows of a table, taken in order; `empty` is the table without rows."""

    def __init__(self, frames: Iterator[pl.DataFrame], empty: pl.DataFrame) -> None:
        self._frames = frames
        self._held = empty

    def take(self, n: int) -> pl.DataFrame:
        """The next `n` rows."""
        pieces = [self._held]
        have = self._held.height
        while have < n:
            pieces.append(next(self._frames))
            have += pieces[-1].height
        whole = pl.concat(pieces)
        self._held = whole[n:]
        return whole[:n]
