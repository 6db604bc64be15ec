"""Numbers of all rows in order, without holding them.

An external merge sort: stretches of `RUN` numbers are sorted one by one, then
merged block by block, in a temporary file that has no name (so that it is gone
when it is closed, or when the process is killed). Memory holds a stretch and a
block of each, whatever the number of rows; the disk 8 bytes for each number, and
as many again while they are merged.

Reference: Knuth, The Art of Computer Programming, volume 3, section 5.4.
"""

from __future__ import annotations

import bisect
import contextlib
import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import numpy as np
import numpy.typing as npt

from ifcurate.errors import DataError

__all__ = ["FloatArray", "Numbers", "Ranked", "Scratch"]

FloatArray = npt.NDArray[np.float64]
Array = npt.NDArray[Any]

RUN: Final = 1 << 20  # numbers sorted in memory at a time: 8 MB
BLOCK: Final = 1 << 16  # numbers of each stretch that are held while they are merged
SUMMED: Final = 1 << 18  # numbers added up at a time


class Scratch:
    """Room for numbers: temporary files in a folder, or memory where none is named."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._held.close()

    def inner(self) -> Scratch:
        """Room at the same place that can be given back earlier."""
        return Scratch(self._folder)

    def numbers(self, dtype: Any = np.float64) -> Numbers:
        """No numbers yet, of a type of 8 bytes. Raises `DataError` when there is no room."""
        if self._folder is None:
            return Numbers(np.dtype(dtype))
        try:
            file = tempfile.TemporaryFile(buffering=0, dir=self._folder)  # noqa: SIM115
        except OSError as error:
            raise _no_room(self._folder, error) from error
        return Numbers(np.dtype(dtype), self._folder, self._held.enter_context(file))


class Numbers:
    """Numbers at places from 0, in memory or in a file."""

    def __init__(
        self, dtype: np.dtype[Any], folder: Path = Path(), file: IO[bytes] | None = None
    ) -> None:
        self._dtype = dtype
        self._folder = folder
        self._file = file
        self._array: Array = np.zeros(0, dtype)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def read(self, start: int, stop: int) -> Array:
        """The numbers at these places. Raises `DataError`."""
        stop = min(stop, self._n)
        if self._file is None:
            return self._array[start:stop]
        data = bytearray(8 * max(0, stop - start))
        view, at = memoryview(data), 0
        try:
            while at < len(data):
                n = os.preadv(self._file.fileno(), [view[at:]], 8 * start + at)
                if n == 0:
                    raise OSError("a temporary file is shorter than it was")
                at += n
        except OSError as error:
            raise _no_room(self._folder, error) from error
        return np.frombuffer(data, self._dtype)

    def write(self, start: int, values: Array) -> None:
        """Put numbers at a place and those that follow it. Raises `DataError`."""
        if not len(values):
            return
        stop = start + len(values)
        if self._file is None:
            if stop > len(self._array):
                grown = np.zeros(max(stop, 2 * len(self._array)), self._dtype)
                grown[: self._n] = self._array[: self._n]
                self._array = grown
            self._array[start:stop] = values
        else:
            data = np.ascontiguousarray(values, self._dtype).data.cast("B")
            at = 0
            try:
                while at < len(data):
                    at += os.pwrite(self._file.fileno(), data[at:], 8 * start + at)
            except OSError as error:
                raise _no_room(self._folder, error) from error
        self._n = max(self._n, stop)

    def append(self, values: Array) -> None:
        """Put numbers behind the last one."""
        self.write(self._n, values)

    def sort(self, start: int = 0, stop: int | None = None) -> None:
        """Sort a stretch upwards, NaN last; all of it when not told."""
        stop = self._n if stop is None else stop
        if self._file is None:
            self._array[start:stop].sort()
            return
        runs = []
        for at in range(start, stop, RUN):
            run = (at, min(at + RUN, stop))
            self.write(at, np.sort(self.read(*run)))
            runs.append(run)
        if len(runs) < 2:
            return
        with Scratch(self._folder) as scratch:
            merged = scratch.numbers(self._dtype)
            for block in self._merge(runs):
                merged.append(block)
            for at in range(0, len(merged), RUN):
                self.write(start + at, merged.read(at, at + RUN))

    def _merge(self, runs: list[tuple[int, int]]) -> Iterator[Array]:
        places = [start for start, _ in runs]
        held = [np.zeros(0, self._dtype) for _ in runs]
        while True:
            for i, (_, stop) in enumerate(runs):
                if not len(held[i]) and places[i] < stop:
                    held[i] = self.read(places[i], min(places[i] + BLOCK, stop))
                    places[i] += len(held[i])
            # Up to the least of what the others go on behind, all is known.
            more = [i for i, (_, stop) in enumerate(runs) if places[i] < stop]
            if not more:
                yield np.sort(np.concatenate(held))
                return
            bound = np.sort(np.array([held[i][-1] for i in more]))[0]
            ends = [int(np.searchsorted(h, bound, side="right")) for h in held]
            yield np.sort(np.concatenate([h[:end] for h, end in zip(held, ends, strict=True)]))
            held = [h[end:] for h, end in zip(held, ends, strict=True)]


class Ranked:
    """Sorted numbers, to be asked for by rank; they may lie in a file."""

    def __init__(self, numbers: Numbers, start: int, stop: int) -> None:
        self._numbers = numbers
        self._start = start
        self._stop = stop

    @classmethod
    def of(cls, values: FloatArray) -> Ranked:
        """Of numbers in memory, sorted upwards."""
        numbers = Numbers(values.dtype)
        numbers.append(values)
        return cls(numbers, 0, len(values))

    def __len__(self) -> int:
        return self._stop - self._start

    def __getitem__(self, rank: int) -> float:
        """The number of a rank from 0; -1 is the largest."""
        at = (self._stop if rank < 0 else self._start) + rank
        return float(self._numbers.read(at, at + 1)[0])

    def take(self, start: int, stop: int) -> FloatArray:
        """The numbers of these ranks."""
        return self._numbers.read(self._start + start, min(self._start + stop, self._stop))

    def blocks(self) -> Iterator[FloatArray]:
        """All of them, in stretches."""
        for start in range(0, len(self), SUMMED):
            yield self.take(start, start + SUMMED)

    def count_to(self, value: float) -> int:
        """How many are at or below a value."""
        return bisect.bisect_right(self, value)

    def count_below(self, value: float) -> int:
        """How many are below a value."""
        return bisect.bisect_left(self, value)

    def quantile(self, share: float) -> float:
        """As `numpy.quantile`, to the bit."""
        return _between(self.__getitem__, len(self), share)

    def magnitude_quantile(self, share: float) -> float:
        """The quantile of the numbers without their signs."""
        return _between(self._magnitude, len(self), share)

    def _magnitude(self, rank: int) -> float:
        """The number of this rank by size, the sign left out: of two sorted halves."""
        n_negative = self.count_below(0.0)
        n_positive = len(self) - n_negative
        wanted = rank + 1
        low, high = max(0, wanted - n_positive), min(wanted, n_negative)
        while low < high:  # how many of them are negative
            middle = (low + high) // 2
            if -self[n_negative - 1 - middle] < self[n_negative + wanted - middle - 1]:
                low = middle + 1
            else:
                high = middle
        ends = [-self[n_negative - low]] if low else []
        ends += [self[n_negative + wanted - low - 1]] if wanted > low else []
        return max(ends)

    def deviation(self) -> float:
        """The standard deviation, added up in the order of rank."""
        n = len(self)
        mean = sum(float(np.add.reduce(block)) for block in self.blocks()) / n
        squares = sum(float(np.add.reduce((block - mean) ** 2)) for block in self.blocks())
        return math.sqrt(squares / n)


def _between(value: Any, n: int, share: float) -> float:
    place = (n - 1) * share
    low = math.floor(place)
    a, b = value(low), value(min(low + 1, n - 1))
    part = place - low
    return float(b - (b - a) * (1 - part) if part >= 0.5 else a + (b - a) * part)


def _no_room(folder: Path, error: OSError) -> DataError:
    return DataError(
        f"{folder}: cannot be written: {error}; the numbers of all rows are sorted in a temporary "
        "file there, of some 16 bytes for each row: free some space"
    )
