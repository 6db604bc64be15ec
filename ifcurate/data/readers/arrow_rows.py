"""Rows from Arrow and Feather files, in the file format or as a stream.

Batches are validated before they are read, because a damaged file could otherwise cause
invalid memory access.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from ifcurate.data.readers.files import RawRow, Source, broken_source
from ifcurate.data.readers.parquet_rows import batch_rows, repeated_name
from ifcurate.phrases import first_line

_FILE: Final = b"ARROW1"  # the file format starts with it; streams do not
_FEATHER_1: Final = b"FEA1"


def is_arrow_file(source: Source) -> bool:
    """Whether a source is in the file format. Otherwise it is a stream, as from `datasets`."""
    with source.path.open("rb") as stream:
        return stream.read(len(_FILE)) == _FILE


@contextlib.contextmanager
def open_arrow(source: Source) -> Iterator[tuple[Any, Iterator[Any]]]:
    """The schema and the batches of a file. Raises `pa.ArrowException`, `OSError`."""
    import pyarrow as pa
    from pyarrow import ipc

    with pa.memory_map(str(source.path)) as file:
        if is_arrow_file(source):
            reader = ipc.open_file(file)
            batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
        else:
            reader = ipc.open_stream(file)
            batches = iter(reader)
        yield reader.schema, batches


def arrow_problem(source: Source) -> str:
    """Why an Arrow file cannot be read at all; "" if it can."""
    import pyarrow as pa

    if source.compression:
        return f"an Arrow file inside {source.compression}; unpack the file"
    with source.path.open("rb") as stream:
        if stream.read(len(_FEATHER_1)) == _FEATHER_1:
            return (
                "a Feather file of version 1; save it as version 2: "
                "feather.write_feather(feather.read_table(OLD), NEW), from pyarrow import feather"
            )
    try:
        with open_arrow(source) as (schema, _):
            return repeated_name(schema)
    except (pa.ArrowException, ValueError) as error:
        return f"not a readable Arrow file: {first_line(error)}; check the file"


def count_arrow_rows(source: Source) -> int | None:
    """The number of rows, from the file's metadata; None when it is damaged."""
    import pyarrow as pa

    try:
        with open_arrow(source) as (_, batches):
            return sum(int(batch.num_rows) for batch in batches)
    except (pa.ArrowException, ValueError):
        return None


def read_arrow(source: Source) -> Iterator[RawRow]:
    """The rows of the file. A batch that cannot be read ends the source with one bad row."""
    import pyarrow as pa

    number = 0
    try:
        with open_arrow(source) as (_, batches):
            for batch in batches:
                batch.validate()
                yield from batch_rows(source, number, batch)
                number += batch.num_rows
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = f"the file is damaged here ({first_line(error)}); what follows is not read"
        yield broken_source(source, number, None, reason)
