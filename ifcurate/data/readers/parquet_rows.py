"""Rows from Parquet files, and from datasets of the Hub."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ifcurate.data.readers.files import RawRow, Source, broken_source
from ifcurate.errors import DataError

__all__ = ["read_hub", "read_parquet"]

_BATCH: Final = 1024  # rows


def read_parquet(source: Source) -> Iterator[RawRow]:
    """A row per row; a row group that cannot be read is one bad row, and the next is tried."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(source.path) as file:
            for group in range(file.num_row_groups):
                start = number
                end = start + file.metadata.row_group(group).num_rows
                try:
                    for batch in file.iter_batches(batch_size=_BATCH, row_groups=[group]):
                        yield from _batch_rows(source, number, batch)
                        number += batch.num_rows
                except (pa.ArrowException, OSError) as error:
                    reason = (
                        f"rows {number:,} to {end - 1:,} cannot be read: {_first_line(error)}; "
                        "the file is damaged there"
                    )
                    yield RawRow(source.name, number, None, None, None, reason, ends=True)
                number = end
    except (pa.ArrowException, OSError) as error:
        reason = f"not a readable Parquet file: {_first_line(error)}"
        yield broken_source(source, number, None, reason)


def _batch_rows(source: Source, number: int, batch: Any) -> Iterator[RawRow]:
    try:
        values = batch.to_pylist()
    except (ValueError, OverflowError):  # a text that is not UTF-8, a date beyond Python's
        for i in range(batch.num_rows):
            yield _single_row(source, number + i, batch.slice(i, 1))
        return
    for i, value in enumerate(values):
        yield RawRow(source.name, number + i, None, None, value)


def _single_row(source: Source, number: int, batch: Any) -> RawRow:
    try:
        return RawRow(source.name, number, None, None, batch.to_pylist()[0])
    except (ValueError, OverflowError) as error:
        reason = f"a value cannot be read: {_first_line(error)}"
        return RawRow(source.name, number, None, None, None, reason)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def read_hub(source: Source) -> Iterator[RawRow]:
    """A row per row of a dataset's split, as it streams in. Raises `DataError`."""
    import datasets

    where = f"Hub dataset {source.name}"
    try:
        rows = datasets.load_dataset(
            source.name, source.subset or None, split=source.split, streaming=True
        )
        for number, value in enumerate(rows):
            yield RawRow(source.name, number, None, None, dict(value))
    except Exception as error:  # datasets raises many kinds; each is the user's to read
        raise DataError(
            f"{where}: cannot be loaded: {_first_line(error)}; check the name and the network, "
            "or download the files and name them"
        ) from error
