"""Rows back to files, each as it was read: same format, same bytes, same order.

The questions of a nested file (`reading_squad`) become lines of JSON, each with its
context: what is kept of a paragraph is not the paragraph any more.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from ifcurate.data.readers.rows import RawRow, Source, csv_header
from ifcurate.errors import DataError
from ifcurate.storage.files import atomic_file

__all__ = ["name_outputs", "open_parquet_copier", "open_row_writer", "refuse_inputs"]

WriteRow = Callable[[RawRow], None]


def name_outputs(sources: Sequence[Source]) -> dict[str, tuple[str, str]]:
    """For each source's name a stem that no other has, and its ending.

    `data/train.en.jsonl.gz` gives `train.en` and `.jsonl.gz`; of several sources
    with one stem the later ones are numbered: `b`, `b-2`.
    """
    found: dict[str, tuple[str, str]] = {}
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
        found[source.name] = (unique, ending)
    return found


def refuse_inputs(outputs: Iterable[Path], sources: Sequence[Source]) -> None:
    """Raise `DataError` when one of the files to be written is one of those that are read."""
    inputs = {source.path.resolve() for source in sources if source.format != "hub"}
    for path in outputs:
        if path.resolve() in inputs:
            raise DataError(
                f"{path}: this file is being read, and the result would take its place; "
                "choose another folder with --out"
            )


@contextlib.contextmanager
def _compressed(stream: IO[bytes], compression: str) -> Iterator[IO[bytes]]:
    if compression == "gzip":
        # No name and no time in the header: the same rows give the same bytes.
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
    """A function that appends a row of `source` to `path`; not for Parquet.

    Raises `DataError` when the file cannot be written; then nothing is there.
    """
    with atomic_file(path) as stream, _compressed(stream, source.compression) as packed:
        if source.format == "json":
            yield from _json_rows(packed)
        elif source.format == "csv":
            header = csv_header(source)
            end = b"\r\n" if header.endswith(b"\r\n") else b"\n"
            if header:
                packed.write(header.rstrip(b"\r\n") + end)
            yield lambda row: _write(packed, row, end)
        else:
            yield lambda row: _write(packed, row, b"\n")


def _write(stream: IO[bytes], row: RawRow, end: bytes) -> None:
    stream.write(_bytes(row) + end)


def _bytes(row: RawRow) -> bytes:
    if row.raw is not None:
        return row.raw
    return json.dumps(row.value, ensure_ascii=False, default=str).encode("utf-8")


def _json_rows(stream: IO[bytes]) -> Iterator[WriteRow]:
    first = True

    def write(row: RawRow) -> None:
        nonlocal first
        stream.write((b"[\n" if first else b",\n") + _bytes(row))
        first = False

    yield write
    stream.write(b"[]\n" if first else b"\n]\n")


@contextlib.contextmanager
def open_parquet_copier(source: Source, path: Path) -> Iterator[Callable[[int], None]]:
    """A function that copies the row of a number to `path`, with the schema as it is.

    It wants the numbers upwards. Row groups without any of them are not read: they
    may be damaged. One row group's numbers are held. Raises as `open_row_writer`.
    """
    import pyarrow.parquet as pq

    with atomic_file(path) as stream, pq.ParquetFile(source.path) as file:
        buffer = io.BufferedWriter(_Keep(stream))
        with pq.ParquetWriter(buffer, file.schema_arrow) as writer:
            groups = _GroupCopier(file, writer)
            yield groups.copy
            groups.flush()
        buffer.flush()


class _GroupCopier:
    """Rows of one row group after the other."""

    def __init__(self, file: Any, writer: Any) -> None:
        self._file = file
        self._writer = writer
        self._group = 0
        self._first = 0  # number of the group's first row
        self._wanted: list[int] = []

    def copy(self, number: int) -> None:
        while number >= (end := self._first + self._file.metadata.row_group(self._group).num_rows):
            self.flush()
            self._group, self._first = self._group + 1, end
        self._wanted.append(number)

    def flush(self) -> None:
        import pyarrow as pa

        if not self._wanted:
            return
        wanted = np.array(self._wanted, dtype=np.int64)
        self._wanted = []
        at = self._first
        for batch in self._file.iter_batches(row_groups=[self._group]):
            mask = np.isin(np.arange(at, at + batch.num_rows), wanted)
            self._writer.write_batch(batch.filter(pa.array(mask)))
            at += batch.num_rows


class _Keep(io.RawIOBase):
    """A stream that its writer cannot close: it must still be synced to disk."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return int(self._inner.write(data))
