"""Rows from Parquet files, and from datasets of the Hub."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from ifcurate.data.readers.files import RawRow, Source, broken_source
from ifcurate.errors import DataError
from ifcurate.phrases import first_line

_BATCH: Final = 1024  # rows
_BATCH_BYTES: Final = 8 << 20  # size of these rows
_BUFFER: Final = 1 << 20  # bytes of a column that are read at a time


@contextlib.contextmanager
def open_parquet(source: Source) -> Iterator[Any]:
    """A `pq.ParquetFile` from an open file, because a name could look like a URL."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pa.OSFile(str(source.path)) as stream, pq.ParquetFile(stream, buffer_size=_BUFFER) as file:
        yield file


def read_parquet(source: Source) -> Iterator[RawRow]:
    """The rows of the file. A row group that cannot be read is one bad row."""
    import pyarrow as pa

    number = 0
    try:
        with open_parquet(source) as file:
            for group in range(file.num_row_groups):
                start = number
                info = file.metadata.row_group(group)
                end = start + info.num_rows
                fits = _BATCH_BYTES * info.num_rows // max(1, info.total_byte_size)
                size = min(_BATCH, max(1, fits))
                try:
                    for batch in file.iter_batches(batch_size=size, row_groups=[group]):
                        yield from batch_rows(source, number, batch)
                        number += batch.num_rows
                except (pa.ArrowException, OSError) as error:
                    reason = (
                        f"rows {number:,} to {end - 1:,} cannot be read: {first_line(error)}; "
                        "the file is damaged there"
                    )
                    yield RawRow(source.name, number, None, None, None, reason, ends=True)
                number = end
    except (pa.ArrowException, OSError) as error:
        reason = f"not a readable Parquet file: {first_line(error)}"
        yield broken_source(source, number, None, reason)


def repeated_name(schema: Any) -> str:
    """Why a schema cannot be read as rows: a row or struct has a name twice. "" if it can."""
    names = [field.name for field in schema]
    for name in names:
        if names.count(name) > 1:
            return f"the column {name!r} occurs twice; rename or drop one of them"
    return next(filter(None, (repeated_name(inner) for f in schema if (inner := _inner(f)))), "")


def _inner(field: Any) -> list[Any]:
    """The fields inside a nested column."""
    return [field.type.field(i) for i in range(field.type.num_fields)]


def batch_rows(source: Source, number: int, batch: Any) -> Iterator[RawRow]:
    """The rows of an Arrow batch whose first row has this number."""
    size = max(1, _BATCH_BYTES * batch.num_rows // max(1, batch.nbytes))
    for start in range(0, batch.num_rows, size):
        yield from _slice_rows(source, number + start, batch.slice(start, size))


def _slice_rows(source: Source, number: int, batch: Any) -> Iterator[RawRow]:
    """The rows of a batch that fits into memory as Python's values."""
    try:
        batch.validate(full=True)
        values = batch.to_pylist()
    except (ValueError, OverflowError):  # a text that is not UTF-8, a date beyond Python's
        for i in range(batch.num_rows):
            yield _single_row(source, number + i, batch.slice(i, 1))
        return
    for i, value in enumerate(values):
        yield RawRow(source.name, number + i, None, None, value)


def _single_row(source: Source, number: int, batch: Any) -> RawRow:
    try:
        batch.validate(full=True)
        return RawRow(source.name, number, None, None, batch.to_pylist()[0])
    except (ValueError, OverflowError) as error:
        reason = f"a value cannot be read: {first_line(error)}"
        return RawRow(source.name, number, None, None, None, reason)


def read_hub(source: Source) -> Iterator[RawRow]:
    """The rows of a dataset's split, as a stream. Raises `DataError`."""
    with _hub_errors(source):
        for number, value in enumerate(_open_hub(source)):
            yield RawRow(source.name, number, None, None, dict(value))


def count_hub_rows(source: Source) -> int | None:
    """The number of rows that a dataset declares for its split; None where it declares none.

    Raises `DataError`.
    """
    with _hub_errors(source):
        declared = (_open_hub(source).info.splits or {}).get(source.split)
    return int(declared.num_examples) or None if declared else None


def _open_hub(source: Source) -> Any:
    import datasets

    return datasets.load_dataset(
        source.name, source.subset or None, split=source.split, streaming=True
    )


@contextlib.contextmanager
def _hub_errors(source: Source) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # datasets raises errors of many types
        raise DataError(
            f"Hub dataset {source.name}: cannot be loaded: {first_line(error)}; check the name "
            "and the network, or download the files and name them"
        ) from error
