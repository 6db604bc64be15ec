"""Writing files so that a crash, a full disk or a kill leaves either the old or the new."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import polars as pl

from ifcurate.errors import DataError

__all__ = [
    "atomic_file",
    "file_digest",
    "read_table",
    "read_table_manifest",
    "write_json",
    "write_table",
]


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that takes its place only when it is whole and on disk.

    Raises `DataError` when it cannot be written (full disk, read-only folder).
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(
            f"{path}: cannot be written: {error}; free some space or choose another folder "
            "with --out; what was finished before is kept"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself last through a power cut, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Readable JSON; NaN is an error, never a value."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_file(path) as stream:
        stream.write(text.encode("utf-8") + b"\n")


def write_table(table: pl.DataFrame, path: Path, manifest: Mapping[str, Any]) -> None:
    """A Parquet file with the manifest in its metadata, under the key `ifcurate`."""
    metadata = {"ifcurate": json.dumps(manifest, ensure_ascii=False, allow_nan=False)}
    with atomic_file(path) as stream:
        table.write_parquet(stream, metadata=metadata)


def read_table(path: Path, schema: pl.Schema) -> pl.DataFrame:
    """A table written by `write_table`, its columns checked.

    Raises `DataError` when the file is missing, damaged or of another kind.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such table; check the path or make it again")
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path}: not a readable Parquet file: {error}") from error
    missing = [name for name in schema if name not in table.columns]
    if missing:
        raise DataError(
            f"{path}: columns are missing: {', '.join(missing)}; "
            f"found {', '.join(table.columns)}; is it the right table?"
        )
    return table.select(pl.col(name).cast(kind) for name, kind in schema.items())


def read_table_manifest(path: Path) -> dict[str, Any]:
    """The manifest inside a table; empty when it has none."""
    text = pl.read_parquet_metadata(path).get("ifcurate", "{}")
    value = json.loads(text)
    return value if isinstance(value, dict) else {}


def file_digest(path: Path) -> str:
    """BLAKE2b of a file's bytes, 32 hex digits."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
