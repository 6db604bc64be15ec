"""Write rows as they were read: same format, same bytes, same order.

The questions of a nested file (`squad_rows`) become lines of JSON, each with its context,
because a paragraph cannot be written with only some of its questions.
"""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from ifcurate.data.readers.arrow_rows import is_arrow_file, open_arrow
from ifcurate.data.readers.csv_rows import csv_header
from ifcurate.data.readers.files import RawRow, Source
from ifcurate.data.readers.parquet_rows import open_parquet
from ifcurate.errors import DataError
from ifcurate.storage.files import RowFile, atomic_file

WriteRow = Callable[[RawRow], object]


def name_outputs(sources: Sequence[Source]) -> dict[str, tuple[str, str]]:
    """A unique file stem and an ending for each source's name.

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
    """A function that appends a row of `source` to `path`; not for Parquet and Arrow.

    Raises `DataError` when the file cannot be written. No partial file is left.
    """
    with atomic_file(path) as stream, _compressed(stream, source.compression) as packed:
        if source.format == "json":
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
def open_table_copier(source: Source, path: Path) -> Iterator[Callable[[int], None]]:
    """A function that copies rows by their numbers from a Parquet or Arrow file to `path`.

    The new file has the same schema and format. Numbers must ascend. Row groups without a
    copied row are not read, because they may be damaged. Raises as `open_row_writer`.
    """
    opened = _open_parquet if source.format == "parquet" else _open_arrow
    with atomic_file(path) as stream, opened(source, stream) as (groups, write):
        copier = _GroupCopier(groups, write)
        yield copier.copy
        copier.flush()


@dataclass(frozen=True, slots=True)
class _Group:
    """Consecutive rows of a table."""

    n_rows: int
    batches: Callable[[], Iterable[Any]]


@contextlib.contextmanager
def _open_parquet(source: Source, stream: IO[bytes]) -> Iterator[_Opened]:
    import pyarrow.parquet as pq

    with open_parquet(source) as file:
        groups = (
            _Group(
                file.metadata.row_group(i).num_rows,
                lambda i=i: file.iter_batches(row_groups=[i]),  # type: ignore[misc]
            )
            for i in range(file.num_row_groups)
        )
        with pq.ParquetWriter(stream, file.schema_arrow) as writer:
            yield groups, writer.write_table


@contextlib.contextmanager
def _open_arrow(source: Source, stream: IO[bytes]) -> Iterator[_Opened]:
    from pyarrow import ipc

    with open_arrow(source) as (schema, batches):
        groups = (_Group(batch.num_rows, lambda batch=batch: [batch]) for batch in batches)  # type: ignore[misc]
        new = ipc.new_file if is_arrow_file(source) else ipc.new_stream
        with new(stream, schema) as writer:
            yield groups, writer.write_table


_Opened = tuple[Iterator[_Group], Callable[[Any], object]]


class _GroupCopier:
    """Copies the wanted rows of one group at a time."""

    def __init__(self, groups: Iterator[_Group], write: Callable[[Any], object]) -> None:
        self._groups = groups
        self._write = write
        self._group = _Group(0, tuple)
        self._first = 0  # number of the group's first row
        self._wanted: list[int] = []

    def copy(self, number: int) -> None:
        while number >= (end := self._first + self._group.n_rows):
            self.flush()
            self._group, self._first = next(self._groups), end
        self._wanted.append(number)

    def flush(self) -> None:
        import pyarrow as pa

        if not self._wanted:
            return
        wanted = np.array(self._wanted, dtype=np.int64)
        self._wanted = []
        at = self._first
        for batch in self._group.batches():
            inside = wanted[(wanted >= at) & (wanted < at + batch.num_rows)] - at
            # Slices, because Arrow cannot select rows of some types (string_view) otherwise.
            runs = np.split(inside, np.flatnonzero(np.diff(inside) > 1) + 1)
            slices = [batch.slice(int(run[0]), len(run)) for run in runs if len(run)]
            if slices:
                self._write(pa.Table.from_batches(slices).combine_chunks())
            at += batch.num_rows
