"""From the parts of a run, or from its shards, to the final tables.

The rows come in their final order, in frames of any size, twice: once to learn
which ids occur again, once to be written, in row groups of one size. So the same
rows give the same bytes whatever the parts were, and memory holds one row group
and 8 bytes per row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from ifcurate.files import open_table_writer
from ifcurate.sources import UniqueNames
from ifcurate.tables import SCORES, TOKENS

__all__ = ["Frames", "join_tables", "read_frames", "row_tokens"]

#: Frames of the SCORES table, in order, with these columns (all when None).
Frames = Callable[[Sequence[str] | None], Iterator[pl.DataFrame]]

_PLACE: Final = ("id", "source", "row")
_SUFFIX: Final = re.compile(r"~\d+$")
_SEED: Final = 20
_TokenFrames = Callable[[], Iterator[pl.DataFrame]]


def read_frames(
    paths: Iterable[Path], columns: Sequence[str] | None = None
) -> Iterator[pl.DataFrame]:
    """The tables of these files, one after the other."""
    for path in paths:
        yield pl.read_parquet(path, columns=list(columns) if columns else None)


def join_tables(
    folder: Path,
    frames: Frames,
    manifest: Mapping[str, Any],
    *,
    tokens: _TokenFrames | None = None,
    unique: bool = True,
) -> None:
    """Write `scores.parquet`, and `tokens.parquet` when there are tokens, into `folder`.

    With `unique`, ids that occur again are renamed as `UniqueNames` does. Raises
    `DataError` when the files cannot be written.
    """
    again = _repeated(frames(_PLACE)) if unique else None
    with open_table_writer(folder / "scores.parquet", SCORES, manifest) as write:
        for frame in _renamed(frames(None), again):
            write(frame)
    if tokens is None:
        return
    columns = (*_PLACE, "status", "n_response_tokens")
    with open_table_writer(folder / "tokens.parquet", TOKENS, manifest) as write:
        ids = _TokenIds(_renamed(frames(columns), again))
        for frame in tokens():
            write(frame.with_columns(ids.take(frame.height)))


def row_tokens(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns `id` and `n`: scored rows with the number of their rows in TOKENS."""
    scored = frame.filter(pl.col("status") == "scored")
    return scored.select("id", pl.col("n_response_tokens").cast(pl.Int64).alias("n"))


class _TokenIds:
    """The `id` column of TOKENS from the renamed rows of SCORES."""

    def __init__(self, frames: Iterator[pl.DataFrame]) -> None:
        self._frames = frames
        self._left = pl.Series("id", [], dtype=pl.String)

    def take(self, n: int) -> pl.Series:
        """The next `n` ids."""
        pieces = [self._left]
        have = len(self._left)
        while have < n:
            owners = row_tokens(next(self._frames))
            pieces.append(owners.select(pl.col("id").repeat_by("n").explode()).drop_nulls()["id"])
            have += len(pieces[-1])
        whole = pl.concat(pieces)
        self._left = whole[n:]
        return whole[:n].alias("id")


def _repeated(frames: Iterable[pl.DataFrame]) -> npt.NDArray[np.uint64] | None:
    """Hashes of the ids that more than one row has, sorted; None when there are none."""
    hashes = [_rows(frame)["id"].hash(_SEED).to_numpy() for frame in frames if frame.height]
    if not hashes:
        return None
    whole = np.concatenate(hashes)
    hashes.clear()
    whole.sort()
    again: npt.NDArray[np.uint64] = np.unique(whole[1:][whole[1:] == whole[:-1]])
    return again if len(again) else None


def _rows(frame: pl.DataFrame) -> pl.DataFrame:
    """The first of each row's turns."""
    return frame.filter(_is_first())


def _is_first() -> pl.Expr:
    changed = [pl.col(name) != pl.col(name).shift(1) for name in ("source", "row")]
    return pl.any_horizontal(changed).fill_null(True)


def _renamed(
    frames: Iterable[pl.DataFrame], again: npt.NDArray[np.uint64] | None
) -> Iterator[pl.DataFrame]:
    """The frames with unique ids: only those that occur again, or look like it, are touched."""
    names = UniqueNames()
    for frame in frames:
        if again is None or frame.is_empty():
            yield frame
            continue
        first = frame.select(_is_first())[:, 0].to_numpy()
        ids = frame["id"]
        touched = np.isin(ids.hash(_SEED).to_numpy(), again)
        touched |= ids.str.contains(_SUFFIX.pattern).to_numpy()
        changed = ids.to_list()
        for i in np.flatnonzero(touched):
            # The turns of a row stand together, and have one id.
            changed[i] = names.name(changed[i]) if first[i] else changed[i - 1]
        yield frame.with_columns(pl.Series("id", changed, dtype=pl.String))
