"""Make repeated ids unique.

The name that `UniqueNames` gives to a row depends on the earlier rows whose ids have the
same root: the id without suffixes like `~2`. So the hashes of all roots are held in
memory (8 bytes a row), and only the rows with a repeated root are processed one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
import polars as pl

from ifcurate.data.unique_names import UniqueNames

#: Frames of the SCORES table, in order, with these columns (all when None).
Frames = Callable[[Sequence[str] | None], Iterator[pl.DataFrame]]

_PLACE: Final = ("id", "source", "row")
_ROOT: Final = pl.col("id").str.replace(r"(~\d+)+$", "").hash(20).alias("root")
#: The first turn of each row. The turns of a row are consecutive and have one id.
_FIRST: Final = pl.any_horizontal(
    pl.col(name) != pl.col(name).shift(1) for name in ("source", "row")
).fill_null(True)


class UniqueIds:
    """The suffixes that the rows of a table need."""

    def __init__(self, frames: Frames) -> None:
        """Read the table once, and a second time if ids repeat."""
        self._suffixes: pl.Series | None = None  # one per row of the table; 0 for none
        roots = [frame.filter(_FIRST).select(_ROOT) for frame in frames(_PLACE)]
        if not roots:
            return
        again = pl.concat(roots).filter(pl.col("root").is_duplicated()).unique()["root"]
        if len(again):
            names = UniqueNames()
            numbers = [_number(frame, again, names) for frame in frames(_PLACE)]
            self._suffixes = pl.Series(np.concatenate(numbers))

    def rename(self, frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """The table's frames, in order from the first, with unique ids."""
        if self._suffixes is None:
            yield from frames
            return
        at = 0
        for frame in frames:
            suffix = self._suffixes[at : at + frame.height]
            at += frame.height
            renamed = pl.when(suffix > 0).then(pl.format("{}~{}", "id", suffix)).otherwise("id")
            yield frame.with_columns(renamed.alias("id"))


def _number(frame: pl.DataFrame, again: pl.Series, names: UniqueNames) -> np.ndarray:
    """The suffix of each row, shape (n_rows,); `again` has the repeated roots."""
    suffixes = np.zeros(frame.height, dtype=np.int64)
    place = pl.int_range(pl.len()).alias("place")
    touched = frame.select(place, _FIRST.alias("first"), "id", _ROOT)
    touched = touched.filter(pl.col("root").is_in(again.implode()))
    for at, first, base in touched.select("place", "first", "id").iter_rows():
        suffixes[at] = int(names.name(base)[len(base) + 1 :] or 0) if first else suffixes[at - 1]
    return suffixes
