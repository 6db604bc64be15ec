"""Rows from places that are spread over it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ifcurate.data.readers.files import BROKEN, Source
from ifcurate.data.readers.json_rows import parse_line
from ifcurate.data.readers.table_rows import batch_rows, open_table

_PLACES: Final = 8
_PLACE_BYTES: Final = 4 << 20  # most bytes that are read at one place


def spread_rows(source: Source, n: int) -> list[dict[str, Any]]:
    """About `n` rows from eight places, the same places each time; [] where this is slow.

    It is fast in JSON Lines that are not compressed, and in Parquet with several row groups.
    Rows that cannot be read are left out.
    """
    if source.format == "jsonl" and not source.compression:
        return list(_spread_lines(source, n))
    return list(_spread_groups(source, n)) if source.format == "parquet" else []


def _spread_lines(source: Source, n: int) -> Iterator[dict[str, Any]]:
    try:
        with source.path.open("rb") as stream:
            size = stream.seek(0, 2)
            for place in range(_PLACES):
                start, end = place * size // _PLACES, (place + 1) * size // _PLACES
                stream.seek(start)
                if place:
                    stream.readline(_PLACE_BYTES)  # the rest of a line
                for _ in range(n // _PLACES):
                    if stream.tell() >= min(end, start + _PLACE_BYTES):
                        break
                    value, _error = parse_line(stream.readline(_PLACE_BYTES))
                    if value is not None:
                        yield value
    except BROKEN:
        return


def _spread_groups(source: Source, n: int) -> Iterator[dict[str, Any]]:
    import pyarrow as pa

    try:
        with open_table(source) as (_, found):
            groups = list(found)
            places = min(_PLACES, len(groups)) if n else 0
            for group in (groups[k * len(groups) // places] for k in range(places)):
                size = max(1, min(n // places, group.fit(_PLACE_BYTES)))
                batch = next(iter(group.batches(size)), None)
                if places > 1 and batch is not None:
                    rows = batch_rows(source, 0, batch)
                    yield from (row.value for row in rows if row.value is not None)
    except (pa.ArrowException, OSError):
        return
