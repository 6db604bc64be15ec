"""Rows from Parquet, Arrow and Feather files; Arrow's in the file format or as a stream.

Batches are validated before they are read, because a damaged file could otherwise cause
invalid memory access.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from ifcurate.data.readers.files import SPREAD, SPREAD_BYTES, RawRow, Source, broken_source
from ifcurate.phrases import first_line

_BATCH: Final = 1024  # rows
_BATCH_BYTES: Final = 8 << 20  # size of these rows
_BUFFER: Final = 1 << 20  # bytes of a column that are read at a time
_ARROW_FILE: Final = b"ARROW1"  # the start of the file format; streams have none


@dataclass(frozen=True, slots=True)
class Group:
    """Consecutive rows that a file stores together: a row group, or a record batch."""

    n_rows: int
    n_bytes: int
    batches: Callable[[int], Iterable[Any]]  # of at most this many rows, if it can be chosen

    def fit(self, n_bytes: int) -> int:
        """Return how many of its rows have about this number of bytes."""
        return n_bytes * self.n_rows // max(1, self.n_bytes)


def is_arrow_file(source: Source) -> bool:
    """Return whether a source is in Arrow's file format.

    Otherwise it is a stream, as from `datasets`.
    """
    with source.path.open("rb") as stream:
        return stream.read(len(_ARROW_FILE)) == _ARROW_FILE


@contextlib.contextmanager
def open_table(source: Source) -> Iterator[tuple[Any, Iterator[Group]]]:
    """The schema and the groups of a file. Raises `pa.ArrowException`, `OSError`."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import ipc

    with contextlib.ExitStack() as stack:
        if source.format == "parquet":
            # An open file, because a name could look like a URL.
            stream = stack.enter_context(pa.OSFile(str(source.path)))
            table = stack.enter_context(pq.ParquetFile(stream, buffer_size=_BUFFER))
            yield (
                table.schema_arrow,
                (_parquet_group(table, i) for i in range(table.num_row_groups)),
            )
            return
        stream = stack.enter_context(pa.memory_map(str(source.path)))
        if is_arrow_file(source):
            reader = ipc.open_file(stream)
            batches = map(reader.get_batch, range(reader.num_record_batches))
        else:
            reader = ipc.open_stream(stream)
            batches = iter(reader)
        yield reader.schema, map(_arrow_group, batches)


def _parquet_group(table: Any, i: int) -> Group:
    info = table.metadata.row_group(i)
    read = lambda size: table.iter_batches(batch_size=size, row_groups=[i])  # noqa: E731
    return Group(info.num_rows, info.total_byte_size, read)


def _arrow_group(batch: Any) -> Group:
    batch.validate()
    return Group(batch.num_rows, batch.nbytes, lambda _: [batch])


def table_problem(source: Source) -> str:
    """Return why a file cannot be read at all; "" if it can."""
    import pyarrow as pa

    kind = "a Parquet file" if source.format == "parquet" else "an Arrow file"
    if source.compression:
        return f"{kind} inside {source.compression}; unpack the file"
    try:
        with open_table(source) as (schema, _):
            return _repeated_name(schema)
    except (pa.ArrowException, OSError, ValueError) as error:
        return f"not a readable {kind.split(' ', 1)[1]}: {first_line(error)}; check the file"


def _repeated_name(fields: Iterable[Any]) -> str:
    """Return why a schema cannot be read as rows: a row or struct has a name twice.

    "" if it can.
    """
    fields = list(fields)
    names = [field.name for field in fields]
    for name in names:
        if names.count(name) > 1:
            return f"the column {name!r} occurs twice; rename or drop one of them"
    nested = ([f.type.field(i) for i in range(f.type.num_fields)] for f in fields)
    return next(filter(None, map(_repeated_name, nested)), "")


def count_table_rows(source: Source) -> int | None:
    """Return the number of rows, from the file's metadata; None when it is damaged."""
    import pyarrow as pa

    try:
        with open_table(source) as (_, groups):
            return sum(group.n_rows for group in groups)
    except (pa.ArrowException, OSError, ValueError):
        return None


def read_table(source: Source) -> Iterator[RawRow]:
    """Yield the rows of the file. A group that cannot be read is one bad row."""
    import pyarrow as pa

    number = 0
    broken = (pa.ArrowException, OSError, ValueError)
    try:
        with open_table(source) as (_, groups):
            for group in groups:
                end = number + group.n_rows
                try:
                    for batch in group.batches(min(_BATCH, max(1, group.fit(_BATCH_BYTES)))):
                        yield from batch_rows(source, number, batch)
                        number += batch.num_rows
                except broken as error:
                    reason = (
                        f"rows {number:,} to {end - 1:,} cannot be read: {first_line(error)}; "
                        "the file is damaged there"
                    )
                    yield RawRow(source.name, number, None, None, None, reason, ends=True)
                number = end
    except broken as error:
        reason = f"the file is damaged here ({first_line(error)}); what follows is not read"
        yield broken_source(source, number, None, reason)


def batch_rows(source: Source, number: int, batch: Any) -> Iterator[RawRow]:
    """Yield the rows of an Arrow batch whose first row has this number."""
    size = max(1, _BATCH_BYTES * batch.num_rows // max(1, batch.nbytes))
    for start in range(0, batch.num_rows, size):
        yield from _slice_rows(source, number + start, batch.slice(start, size))


def _slice_rows(source: Source, number: int, batch: Any) -> Iterator[RawRow]:
    """Yield the rows of a batch that fits into memory as Python's values."""
    try:
        batch.validate(full=True)
        values = batch.to_pylist()
    except (ValueError, OverflowError) as error:  # not UTF-8, a date beyond Python's
        if batch.num_rows == 1:
            reason = f"a value cannot be read: {first_line(error)}"
            yield RawRow(source.name, number, None, None, None, reason)
            return
        for i in range(batch.num_rows):
            yield from _slice_rows(source, number + i, batch.slice(i, 1))
        return
    for i, value in enumerate(values):
        yield RawRow(source.name, number + i, None, None, value)


def spread_groups(source: Source, n: int) -> Iterator[dict[str, Any]]:
    """Yield about `n` rows from `SPREAD` groups of a Parquet file; none if it has one group."""
    import pyarrow as pa

    with contextlib.suppress(pa.ArrowException, OSError), open_table(source) as (_, found):
        groups = list(found)
        places = min(SPREAD, len(groups)) if n else 0
        for group in (groups[k * len(groups) // places] for k in range(places)):
            size = max(1, min(n // places, group.fit(SPREAD_BYTES)))
            batch = next(iter(group.batches(size)), None)
            if places > 1 and batch is not None:
                rows = batch_rows(source, 0, batch)
                yield from (row.value for row in rows if row.value is not None)
