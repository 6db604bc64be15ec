"""Ids that occur again are made unique, with memory for some of them at a time.

What `UniqueNames` gives a row depends on the rows before it whose ids have the same
root: the id without suffixes like `~2`. So the hashes of the roots are sorted
(`ifcurate.split.sorting`), and of those that more than one row has, `SLICE` at a time are
gone through, row by row; the suffix of each row is kept in a temporary file. Where
no root occurs twice, that is all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from ifcurate.data.sources import UniqueNames
from ifcurate.split.sorting import BLOCK, Numbers, Scratch

__all__ = ["Frames", "UniqueIds"]

#: Frames of the SCORES table, in order, with these columns (all when None).
Frames = Callable[[Sequence[str] | None], Iterator[pl.DataFrame]]

SLICE: Final = 1 << 18  # roots gone through at a time
_PLACE: Final = ("id", "source", "row")
_SUFFIXES: Final = r"(~\d+)+$"
_SEED: Final = 20


class UniqueIds:
    """The suffixes that the rows of a table need."""

    def __init__(self, frames: Frames, scratch: Scratch) -> None:
        """Read the table once, and again for every `SLICE` roots that occur again."""
        self._suffixes: Numbers | None = None  # one per row of the table; 0 for none
        again = scratch.numbers(np.uint64)
        with scratch.inner() as inner:
            hashes = inner.numbers(np.uint64)
            for frame in frames(_PLACE):
                hashes.append(_roots(frame.filter(_is_first())))
            hashes.sort()
            for block in _repeated(hashes):
                again.append(block)
        if not len(again):
            return
        self._suffixes = scratch.numbers(np.int64)
        for start in range(0, len(again), SLICE):
            self._number(frames, again.read(start, start + SLICE), first=start == 0)

    def _number(self, frames: Frames, roots: npt.NDArray[np.uint64], *, first: bool) -> None:
        """The suffixes of the rows with these roots."""
        assert self._suffixes is not None
        names = UniqueNames()
        at = 0
        for frame in frames(_PLACE):
            end = at + frame.height
            if first:
                suffixes = np.zeros(frame.height, dtype=np.int64)
            else:
                suffixes = np.array(self._suffixes.read(at, end))
            touched = np.flatnonzero(np.isin(_roots(frame), roots))
            starts = frame.select(_is_first())[:, 0].to_numpy()[touched]
            for i, base, start in zip(touched, frame["id"][touched], starts, strict=True):
                # The turns of a row stand together, and have one id.
                if start:
                    name = names.name(base)
                    suffixes[i] = int(name[len(base) + 1 :] or 0)
                else:
                    suffixes[i] = suffixes[i - 1]
            self._suffixes.write(at, suffixes)
            at = end

    def rename(self, frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """The table's frames, in order from the first, with unique ids."""
        if self._suffixes is None:
            yield from frames
            return
        at = 0
        for frame in frames:
            suffix = pl.Series(self._suffixes.read(at, at + frame.height))
            at += frame.height
            renamed = pl.when(suffix > 0).then(pl.format("{}~{}", "id", suffix)).otherwise("id")
            yield frame.with_columns(renamed.alias("id"))


def _roots(frame: pl.DataFrame) -> npt.NDArray[np.uint64]:
    """Hashes of the ids without their suffixes."""
    return frame["id"].str.replace(_SUFFIXES, "").hash(_SEED).to_numpy()


def _is_first() -> pl.Expr:
    """Of each row's turns the first."""
    changed = [pl.col(name) != pl.col(name).shift(1) for name in ("source", "row")]
    return pl.any_horizontal(changed).fill_null(True)


def _repeated(hashes: Numbers) -> Iterator[npt.NDArray[np.uint64]]:
    """What stands more than once among sorted numbers, once each."""
    for start in range(0, len(hashes), BLOCK):
        # One more on either side: each is compared with its neighbours.
        some = hashes.read(max(0, start - 1), start + BLOCK + 1)
        same = some[1:] == some[:-1]
        begins = same.copy()
        begins[1:] &= ~same[:-1]
        if start:
            begins[:1] = False
        yield some[:-1][begins]
