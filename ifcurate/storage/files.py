"""Atomic files: a crash, a full disk or a kill leaves either the old file or the new one.

A partial file is locked with `fcntl` while it is written. filelock, which locks run folders,
locks a separate file, which would remain beside each result.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

import polars as pl
from polars.io.plugins import register_io_source

from ifcurate.errors import DataError
from ifcurate.storage.tables import ADDED

GROUP_ROWS: Final = 65_536  # rows of a table that are held while it is written or read


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that gets its name only when it is complete and on disk.

    Raises `DataError` when it cannot be written; see `writable`.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with writable(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as stream:
                with contextlib.suppress(OSError):  # not every file system can lock
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
            _sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def writable(path: Path) -> Iterator[None]:
    """Turn the errors of writing a file or a folder into `DataError`.

    The message says which file is where a folder must be, or that space or rights are missing.
    """
    try:
        yield
    except IsADirectoryError as error:
        raise DataError(f"{path}: is a folder, and a file is needed there; name a file") from error
    except (OSError, pl.exceptions.PolarsError) as error:
        if isinstance(error, FileExistsError | NotADirectoryError):
            refuse_unwritable(path)
        raise DataError(
            f"{path}: cannot be written: {error}; free some space, make the folder writable, or "
            "choose another with --out; finished work is kept, and the same command resumes"
        ) from error


def refuse_unwritable(folder: Path) -> None:
    """Raise `DataError` where a folder cannot be made or written to. Nothing is written."""
    there = (path for path in (folder, *folder.parents) if os.access(path, os.F_OK))
    place = next(there, Path("/"))
    if not place.is_dir():
        raise DataError(
            f"{place}: is a file, and a folder is needed there; choose another folder with "
            "--out, or move the file away"
        )
    if not os.access(place, os.W_OK | os.X_OK):
        raise DataError(
            f"{place}: you cannot write to this folder; choose another with --out, or make it "
            "writable"
        )


def _sync_folder(folder: Path) -> None:
    """Write the rename to disk, so that it survives a power cut, if the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write a text atomically. Characters that UTF-8 cannot encode become escapes."""
    with atomic_file(path) as stream:
        stream.write(text.encode("utf-8", "backslashreplace"))


class RowFile:
    """Rows in a file: JSON Lines, or one JSON array with a row per line."""

    def __init__(self, stream: IO[bytes], *, array: bool = False) -> None:
        self._stream = stream
        self._array = array
        self._empty = True

    def write(self, *rows: Mapping[str, Any]) -> None:
        """Write rows."""
        for row in rows:
            text = json.dumps(row, ensure_ascii=False, default=str)
            self.write_bytes(text.encode("utf-8", "backslashreplace"))

    def write_bytes(self, row: bytes) -> None:
        """Write a row that is already JSON."""
        if self._array:
            self._stream.write((b"[\n" if self._empty else b",\n") + row)
        else:
            self._stream.write(row + b"\n")
        self._empty = False

    def finish(self) -> None:
        """Close the array."""
        if self._array:
            self._stream.write(b"[]\n" if self._empty else b"\n]\n")


def write_json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as JSON Lines, atomically."""
    with atomic_file(path) as stream:
        RowFile(stream).write(*rows)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write indented JSON. NaN is an error."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json_rows(path: Path) -> list[Any]:
    """Return the values of a JSON array, or of JSON Lines. Raises `OSError`, `ValueError`."""
    text = path.read_text("utf-8-sig")
    if text.lstrip().startswith("["):
        return list(json.loads(text))
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def write_table(table: pl.DataFrame, path: Path, manifest: Mapping[str, Any]) -> None:
    """Write a Parquet file with the manifest in its metadata, under the key `ifcurate`."""
    metadata = {"ifcurate": json.dumps(manifest, ensure_ascii=False, allow_nan=False)}
    with atomic_file(path) as stream:
        table.write_parquet(stream, metadata=metadata)


def stream_frames(frames: Iterable[pl.DataFrame], schema: pl.Schema) -> pl.LazyFrame:
    """Return a lazy frame over frames that are made while it is read, for `sink_tables`.

    Once only.
    """
    return register_io_source(lambda *_: iter(frames), schema=schema)


def read_table(path: Path, schema: pl.Schema, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Return a table with the columns of `schema`, or those of them that `columns` names.

    Raises `DataError` when the file is missing, damaged or has other columns.
    """
    names = [name for name in schema if columns is None or name in columns]
    with readable_table(path):
        return scan_table(path, schema).select(names).collect()


def scan_table(path: Path, schema: pl.Schema, *, place: bool = False) -> pl.LazyFrame:
    """Return a table that is read when the frame is collected.

    With `place`, a column numbers its rows.

    Raises `DataError` when the file is missing, damaged or has other columns.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such table; check the path or make it again")
    with readable_table(path), path.open("rb") as stream:
        # An open file, because polars reads names like `exp[1]` and `s3:` as patterns and URLs.
        columns = pl.read_parquet_schema(stream)
        frame = pl.scan_parquet(stream, row_index_name="place" if place else None)
    if missing := [name for name in schema if name not in columns and name not in ADDED]:
        raise DataError(
            f"{path}: columns are missing: {', '.join(missing)}; found {', '.join(columns)}; it is "
            "another table, or another version of ifcurate wrote it: make it again with --overwrite"
        )
    selected = [
        (pl.col(name) if name in columns else pl.lit(None).alias(name)).cast(kind)
        for name, kind in schema.items()
    ]
    return frame.select(*(["place"] * place), *selected)


@contextlib.contextmanager
def readable_table(path: Path) -> Iterator[None]:
    """Turn errors of polars while it reads a table into `DataError`."""
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(
            f"{path}: not a readable Parquet file: {error}; make it again, or restore it"
        ) from error


def sink_tables(frames: Mapping[Path, pl.LazyFrame], manifest: Mapping[str, Any]) -> None:
    """Write lazy frames in their order while they are computed, with a manifest as `write_table`.

    The same rows give the same bytes. The files are replaced when all of them are complete.
    Raises `DataError` when a file cannot be written, or a frame cannot be computed.
    """
    metadata = {"ifcurate": json.dumps(manifest, ensure_ascii=False, allow_nan=False)}
    # Polars reads far ahead when its pieces hold a complete row group. A quarter of one keeps the
    # memory of a sink constant, at the same speed.
    with pl.Config(streaming_chunk_size=GROUP_ROWS // 4), contextlib.ExitStack() as stack:
        for path, frame in frames.items():
            stream = stack.enter_context(atomic_file(path))
            # Level 1, because compression at the default level is a third of the time of a
            # split. Nothing reads the statistics of the columns, and those of long texts take
            # time.
            try:
                frame.sink_parquet(
                    stream,
                    metadata=metadata,
                    row_group_size=GROUP_ROWS,
                    compression_level=1,
                    statistics=False,
                )
            except pl.exceptions.PolarsError as error:
                if "os error" in str(error):  # such as a full disk
                    raise
                raise DataError(
                    f"{path}: cannot be made: {error}; a table that it is made from is damaged: "
                    "make that table again, or restore it"
                ) from error


def read_table_slices(
    path: Path, schema: pl.Schema, columns: Sequence[str]
) -> Iterator[pl.DataFrame]:
    """These columns of a table, `GROUP_ROWS` rows at a time. Raises `DataError`."""
    table = scan_table(path, schema).select(columns)
    with readable_table(path):
        for start in itertools.count(0, GROUP_ROWS):
            frame = table.slice(start, GROUP_ROWS).collect()
            if not frame.height:
                return
            yield frame


def read_table_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest inside a table; empty when it has none, or a damaged one."""
    with path.open("rb") as stream:
        text = pl.read_parquet_metadata(stream).get("ifcurate", "{}")
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def file_digest(path: Path) -> str:
    """BLAKE2b of a file's bytes, 32 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
