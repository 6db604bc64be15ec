"""Write rows as they were read: same format, same bytes, same order.

The questions of a nested file (`squad_rows`) become lines of JSON, each with its context,
because a paragraph cannot be written with only some of its questions.
"""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final, cast

import numpy as np

from ifcurate.data.readers.csv_rows import csv_header
from ifcurate.data.readers.files import RawRow, Source
from ifcurate.data.readers.table_rows import Group, is_arrow_file, open_table
from ifcurate.errors import DataError
from ifcurate.storage.files import RowFile, atomic_file

_BATCH: Final = 65_536  # rows that are copied together
WriteRow = Callable[[RawRow], object]


def name_outputs(sources: Sequence[Source]) -> dict[str, tuple[str, str]]:
    """Return a unique file stem and an ending for each source's name.

    `data/train.en.jsonl.gz` gives `train.en` and `.jsonl.gz`. Sources with equal stems
    are numbered: `b`, `b-2`.
    """
    outputs: dict[str, tuple[str, str]] = {}
    taken: set[str] = set()
    for source in sources:
        if source.format == "hub":
            stem, ending = source.name.replace("/", "--"), ".jsonl"
        else:
            path = source.path
            packed = path.suffix if source.compression else ""
            inner = path.with_suffix("") if packed else path
            suffix = ".jsonl" if source.format == "squad" else inner.suffix
            stem, ending = inner.stem, suffix + packed
        unique, n = stem, 1
        while unique in taken:
            n += 1
            unique = f"{stem}-{n}"
        taken.add(unique)
        outputs[source.name] = (unique, ending)
    return outputs


def refuse_inputs(outputs: Iterable[Path], sources: Sequence[Source]) -> None:
    """Raise `DataError` when an output is also an input."""
    inputs = {source.path.resolve() for source in sources if source.format != "hub"}
    for path in outputs:
        if path.resolve() in inputs:
            raise DataError(
                f"{path}: this file is an input, and the result would replace it; "
                "choose another folder with --out"
            )


@contextlib.contextmanager
def _compressed(stream: IO[bytes], compression: str) -> Iterator[IO[bytes]]:
    if compression == "gzip":
        # No name and no time in the header, so that the same rows give the same bytes.
        with gzip.GzipFile("", "wb", fileobj=stream, mtime=0) as packed:
            yield cast(IO[bytes], packed)
    elif compression == "zstd":
        import zstandard

        with zstandard.ZstdCompressor().stream_writer(stream, closefd=False) as packed:
            yield packed
    else:
        yield stream


@contextlib.contextmanager
def open_row_writer(source: Source, path: Path) -> Iterator[WriteRow]:
    """A function that appends a row of `source` to `path`; rows must be in their order.

    Raises `DataError` when the file cannot be written. No partial file is left.
    """
    with atomic_file(path) as stream, _compressed(stream, source.compression) as packed:
        if source.format in ("parquet", "arrow"):
            with _open_table_copier(source, packed) as copy:
                yield copy
        elif source.format == "json":
            rows = RowFile(packed, array=True)
            yield lambda row: rows.write_bytes(_bytes(row))
            rows.finish()
        elif source.format == "csv":
            header = csv_header(source)
            end = b"\r\n" if header.endswith(b"\r\n") else b"\n"
            if header:
                packed.write(header.rstrip(b"\r\n") + end)
            yield lambda row: packed.write(_bytes(row) + end)
        else:
            yield lambda row: packed.write(_bytes(row) + b"\n")


def _bytes(row: RawRow) -> bytes:
    if row.raw is not None:
        return row.raw
    return json.dumps(row.value, ensure_ascii=False, default=str).encode("utf-8")


@contextlib.contextmanager
def _open_table_copier(source: Source, stream: IO[bytes]) -> Iterator[WriteRow]:
    """A function that copies rows in their order from a Parquet or Arrow file.

    The new file has the same schema and format. Groups without a copied row are not read,
    because they may be damaged.
    """
    import pyarrow.parquet as pq
    from pyarrow import ipc

    with open_table(source) as (schema, groups):
        if source.format == "parquet":
            new = pq.ParquetWriter
        else:
            new = ipc.new_file if is_arrow_file(source) else ipc.new_stream
        with new(stream, schema) as writer:
            copier = _GroupCopier(groups, writer.write_table)
            yield copier.copy
            copier.flush()


class _GroupCopier:
    """Copies the wanted rows of one group at a time."""

    def __init__(self, groups: Iterator[Group], write: Callable[[Any], object]) -> None:
        self._groups = groups
        self._write = write
        self._group = Group(0, 0, lambda _: ())
        self._first = 0  # number of the group's first row
        self._wanted: list[int] = []

    def copy(self, row: RawRow) -> None:
        while row.number >= (end := self._first + self._group.n_rows):
            self.flush()
            self._group, self._first = next(self._groups), end
        self._wanted.append(row.number)

    def flush(self) -> None:
        import pyarrow as pa

        if not self._wanted:
            return
        wanted = np.array(self._wanted, dtype=np.int64)
        self._wanted = []
        at = self._first
        for batch in self._group.batches(_BATCH):
            inside = wanted[(wanted >= at) & (wanted < at + batch.num_rows)] - at
            # Slices, because Arrow cannot select rows of some types (string_view) otherwise.
            runs = np.split(inside, np.flatnonzero(np.diff(inside) > 1) + 1)
            slices = [batch.slice(int(run[0]), len(run)) for run in runs if len(run)]
            if slices:
                self._write(pa.Table.from_batches(slices).combine_chunks())
            at += batch.num_rows
