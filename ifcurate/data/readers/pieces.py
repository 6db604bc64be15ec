"""Chunks of rows in pieces that fit in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from ifcurate.data.readers.files import RawRow

T = TypeVar("T")


def divide_rows(
    rows: Iterable[tuple[RawRow, T]], size: int, most_bytes: int
) -> Iterator[tuple[list[tuple[RawRow, T]], bool]]:
    """Pieces of at most `most_bytes` or of one row, each with whether it is the last.

    Each row comes with what belongs to it, such as its layout.
    A piece that ends with row `size` is yielded before the next row is read.
    """
    held: list[tuple[RawRow, T]] = []
    n_bytes = 0
    for n_rows, (raw, more) in enumerate(rows, 1):
        if held and n_bytes + raw.size > most_bytes:
            yield held, False
            held, n_bytes = [], 0
        held.append((raw, more))
        n_bytes += raw.size
        if n_rows == size:
            yield held, True
            return
    if held:
        yield held, True
