"""Rows from files: JSON, JSONL, Parquet, CSV, plain or compressed, or a Hub dataset.

A reader yields every row that is there, good or bad, with its place and, for
text formats, the very bytes it was read from, so that a kept row can be written
as it was. Nothing here knows what an instruction is.
"""

from __future__ import annotations

import csv
import glob
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

from ifcurate.errors import DataError

__all__ = [
    "FileFormat",
    "RawRow",
    "Source",
    "count_rows",
    "csv_header",
    "open_sources",
    "read_rows",
]

FileFormat = str  # "json", "jsonl", "csv", "parquet" or "hub"

DEMO: Final = "demo:"  # before the name of a file that comes with the package
MAX_ROW_BYTES: Final = 64 * 1024 * 1024
_EXTENSIONS: Final = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_COMPRESSIONS: Final = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
_HUB_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclass(frozen=True, slots=True)
class Source:
    """One file, or one split of a Hub dataset."""

    name: str  # as the user wrote it; a match's path for a glob
    format: FileFormat
    compression: str = ""  # "", "gzip" or "zstd"
    subset: str = ""  # Hub only: the dataset's configuration
    split: str = ""  # Hub only

    @property
    def path(self) -> Path:
        """Where the file is."""
        if self.name.startswith(DEMO):
            from ifcurate.pocket import demo_path

            return demo_path() / self.name.removeprefix(DEMO)
        return Path(self.name)


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row as it stands in its source. `value` is None when `error` says why."""

    source: str
    number: int  # 0-based
    line: int | None  # 1-based first line of the row; None where a format has no lines
    raw: bytes | None  # the row's own bytes, without the line end; None for Parquet and the Hub
    value: dict[str, Any] | None
    error: str = ""

    @property
    def place(self) -> str:
        """`file:line`, or `file row n` where there are no lines."""
        if self.line is not None:
            return f"{self.source}:{self.line}"
        return f"{self.source} row {self.number}"


def open_sources(
    paths: str | Path | Sequence[str | Path], *, subset: str = "", split: str = "train"
) -> list[Source]:
    """Resolve files, globs and Hub names, in the order given, globs sorted.

    Raises `DataError` for what does not exist, a folder, an empty file or an
    unknown file type.
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    if not given:
        raise DataError("no data: no file was given; name at least one file, glob or Hub dataset")
    found: list[Source] = []
    for item in map(str, given):
        if Path(item).exists() or _is_demo(item):
            found.append(_file_source(item))
        elif glob.has_magic(item):
            matches = sorted(glob.glob(item, recursive=True))  # noqa: PTH207 - as the user wrote it
            files = [m for m in matches if Path(m).is_file()]
            if not files:
                raise DataError(f"{item}: no file matches this pattern; check the path")
            found.extend(_file_source(f) for f in files)
        elif item.startswith("hf://datasets/") or _looks_like_hub_name(item):
            name = item.removeprefix("hf://datasets/")
            found.append(Source(name, "hub", subset=subset, split=split))
        else:
            raise DataError(_missing(item))
    return found


def _is_demo(item: str) -> bool:
    return item.startswith(DEMO) and Source(item, "").path.exists()


def _looks_like_hub_name(item: str) -> bool:
    suffixes = Path(item).suffixes
    known = _EXTENSIONS.keys() | _COMPRESSIONS.keys() | {".txt", ".yaml", ".arrow"}
    return bool(_HUB_NAME.fullmatch(item)) and not known.intersection(suffixes[-1:])


def _missing(item: str) -> str:
    folder = Path(item).parent
    where = folder if str(folder) != "." else Path.cwd()
    if not where.is_dir():
        return f"{item}: no such file; the folder {where} does not exist; check the path"
    near = sorted(p.name for p in where.iterdir() if p.suffix in _EXTENSIONS.keys() | _COMPRESSIONS)
    hint = f"data files there: {', '.join(near[:5])}" if near else "no data file is there"
    return f"{item}: no such file; {hint}; check the path, or give a Hub name as owner/name"


def _file_source(name: str) -> Source:
    path = Source(name, "").path
    if path.is_dir():
        raise DataError(f"{name}: this is a folder; name its files, for example '{name}/*.jsonl'")
    suffixes = [s.lower() for s in path.suffixes]
    compression = _COMPRESSIONS.get(suffixes[-1], "") if suffixes else ""
    extension = (suffixes[:-1] if compression else suffixes)[-1:] or [""]
    kind = _EXTENSIONS.get(extension[0])
    if kind is None:
        known = ", ".join(_EXTENSIONS)
        raise DataError(
            f"{name}: unknown file type {extension[0] or '(no extension)'}; "
            f"known are {known}, each also with .gz or .zst; rename or convert the file"
        )
    if path.stat().st_size == 0:
        raise DataError(f"{name}: the file is empty (0 bytes); nothing to read")
    source = Source(name, kind, compression)
    if kind in ("json", "jsonl"):
        # The first character tells more than the name: many `.json` files hold JSON lines.
        first = _first_bytes(source)
        if first.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise DataError(
                f"{name}: the text is UTF-16; JSON is read as UTF-8; "
                "convert it first: iconv -f UTF-16 -t UTF-8"
            )
        stripped = first.removeprefix(b"\xef\xbb\xbf").lstrip()
        source = Source(name, "json" if stripped.startswith(b"[") else "jsonl", compression)
    return source


def _first_bytes(source: Source) -> bytes:
    try:
        with open_binary(source) as stream:
            return stream.read(4096)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{source.name}: cannot be read: {error}; check the file") from error


def open_binary(source: Source) -> IO[bytes]:
    """The file's bytes, decompressed."""
    if source.compression == "gzip":
        return cast(IO[bytes], gzip.open(source.path, "rb"))
    if source.compression == "zstd":
        import zstandard

        reader = zstandard.ZstdDecompressor().stream_reader(
            source.path.open("rb"), read_across_frames=True, closefd=True
        )
        return io.BufferedReader(_Errors(reader))
    return source.path.open("rb")


class _Errors(io.RawIOBase):
    """A zstd stream whose own errors read like any other broken file's."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        import zstandard

        try:
            data = self._inner.read(len(buffer))
        except zstandard.ZstdError as error:
            raise OSError(str(error)) from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._inner.close()
        super().close()


def read_rows(source: Source) -> Iterator[RawRow]:
    """Every row of the source in order; a bad one with `error` set instead of `value`.

    Raises `DataError` only when the source as a whole cannot be opened.
    """
    reader = {
        "jsonl": _read_jsonl,
        "json": _read_json,
        "csv": _read_csv,
        "parquet": _read_parquet,
        "hub": _read_hub,
    }[source.format]
    return reader(source)


def count_rows(source: Source) -> int | None:
    """About how many rows a source has, without parsing them; None where that cannot be had."""
    try:
        if source.format == "parquet":
            import pyarrow.parquet as pq

            return int(pq.read_metadata(source.path).num_rows)
        if source.format in ("jsonl", "csv"):
            with open_binary(source) as stream:
                blocks = iter(lambda: stream.read(1 << 20), b"")
                return sum(block.count(b"\n") for block in blocks)
    except (OSError, EOFError, ValueError, zlib.error):
        return None  # reading will say what is wrong
    return None


def _read_jsonl(source: Source) -> Iterator[RawRow]:
    number = 0
    line = 0
    with open_binary(source) as stream:
        while True:
            line += 1
            try:
                raw = stream.readline(MAX_ROW_BYTES + 1)
                if len(raw) > MAX_ROW_BYTES:
                    head, size = raw[:1000], len(raw)
                    while raw and not raw.endswith(b"\n"):
                        raw = stream.readline(MAX_ROW_BYTES)
                        size += len(raw)
                    reason = (
                        f"the line has {size:,} bytes; at most {MAX_ROW_BYTES:,} are read; "
                        "split the row"
                    )
                    yield RawRow(source.name, number, line, head, None, reason)
                    number += 1
                    continue
            except (OSError, EOFError, zlib.error) as error:
                reason = f"the file breaks off here ({error}); the rows after it are not read"
                yield RawRow(source.name, number, line, b"", None, reason)
                return
            if not raw:
                return
            raw = raw.rstrip(b"\r\n")
            if line == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            if not raw.strip():
                continue  # an empty line is no row
            value, reason = _parse(raw)
            yield RawRow(source.name, number, line, raw, value, reason)
            number += 1


def _parse(raw: bytes) -> tuple[dict[str, Any] | None, str]:
    try:
        value = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        return None, f"not UTF-8 (byte {error.start}); convert the file to UTF-8"
    except json.JSONDecodeError as error:
        return None, f"invalid JSON at column {error.colno}: {error.msg}"
    except RecursionError:
        return None, "JSON nested too deeply"
    except ValueError as error:  # integers of more than 4,300 digits
        return None, f"JSON that cannot be read: {error}"
    if not isinstance(value, dict):
        return None, f"a row must be a JSON object; found {type(value).__name__}"
    return value, ""


def _read_json(source: Source) -> Iterator[RawRow]:
    """Rows of one JSON array; the file is held in memory, its rows are not."""
    try:
        with open_binary(source) as stream:
            text = stream.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{source.name}: not UTF-8 (byte {error.start}); convert it") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{source.name}: cannot be read to its end: {error}") from error
    decoder = json.JSONDecoder()
    space = re.compile(r"[ \t\r\n]*")

    def skip(at: int) -> int:
        match = space.match(text, at)
        return match.end() if match else at

    at = skip(skip(0) + 1)  # behind the opening bracket
    number = 0
    line = 1
    counted = 0
    while at < len(text) and text[at] != "]":
        line += text.count("\n", counted, at)
        counted = at
        try:
            value, end = decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError, ValueError) as error:
            message = getattr(error, "msg", str(error))
            reason = f"invalid JSON ({message}); the array cannot be read from here on"
            raw = text[at : at + 1000].encode("utf-8", "surrogatepass")
            yield RawRow(source.name, number, line, raw, None, reason)
            return
        raw = text[at:end].encode("utf-8", "surrogatepass")
        if isinstance(value, dict):
            yield RawRow(source.name, number, line, raw, value)
        else:
            reason = f"a row must be a JSON object; found {type(value).__name__}"
            yield RawRow(source.name, number, line, raw, None, reason)
        number += 1
        at = skip(end)
        if at < len(text) and text[at] == ",":
            at = skip(at + 1)
        elif at >= len(text) or text[at] != "]":
            reason = "expected ',' or ']' here; the array cannot be read from here on"
            tail = text[at : at + 1000].encode("utf-8", "surrogatepass")
            yield RawRow(source.name, number, line, tail, None, reason)
            return
    if at >= len(text):
        reason = "the array is not closed by ']'; the file may be cut off"
        yield RawRow(source.name, number, line, b"", None, reason)


class _RecordedLines:
    """Text lines for the csv module that remember what was read since last asked."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.raw: list[bytes] = []
        self.line = 0

    def __iter__(self) -> Iterator[str]:
        for raw in self._stream:
            self.line += 1
            if self.line == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            self.raw.append(raw)
            yield raw.decode("utf-8")

    def take(self) -> bytes:
        """The bytes since the last call."""
        raw = b"".join(self.raw)
        self.raw.clear()
        return raw


def csv_delimiter(source: Source) -> str:
    """Tab for .tsv, comma otherwise."""
    return "\t" if ".tsv" in source.path.suffixes else ","


def csv_header(source: Source) -> bytes:
    """The bytes of a CSV file's first record, line end included."""
    with open_binary(source) as stream:
        lines = _RecordedLines(stream)
        next(csv.reader(lines, delimiter=csv_delimiter(source)), None)
        return lines.take()


def _read_csv(source: Source) -> Iterator[RawRow]:
    csv.field_size_limit(MAX_ROW_BYTES)
    with open_binary(source) as stream:
        lines = _RecordedLines(stream)
        reader = csv.reader(lines, delimiter=csv_delimiter(source), strict=True)
        number = 0
        header: list[str] = []
        while True:
            first = lines.line + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except (csv.Error, UnicodeDecodeError, OSError, EOFError, zlib.error) as error:
                reason = f"not readable as CSV ({error}); the rows after it are not read"
                yield RawRow(source.name, number, first, lines.take(), None, reason)
                return
            raw = lines.take()
            if not header:
                header = cells
                continue
            if not cells:
                continue
            if len(cells) != len(header):
                reason = f"{len(cells)} cells where the header has {len(header)}"
                yield RawRow(source.name, number, first, raw, None, reason)
            else:
                value: dict[str, Any] = dict(zip(header, cells, strict=True))
                yield RawRow(source.name, number, first, raw.rstrip(b"\r\n"), value)
            number += 1


def _read_parquet(source: Source) -> Iterator[RawRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if source.compression:
        raise DataError(
            f"{source.name}: a Parquet file inside {source.compression}; Parquet is compressed "
            "itself: unpack the file"
        )
    number = 0
    try:
        with pq.ParquetFile(source.path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for value in batch.to_pylist():
                    yield RawRow(source.name, number, None, None, value)
                    number += 1
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{source.name}: not a readable Parquet file: {error}") from error


def _read_hub(source: Source) -> Iterator[RawRow]:
    import datasets

    where = f"Hub dataset {source.name}"
    try:
        rows = datasets.load_dataset(
            source.name, source.subset or None, split=source.split, streaming=True
        )
        for number, value in enumerate(rows):
            yield RawRow(source.name, number, None, None, dict(value))
    except Exception as error:  # datasets raises many kinds; each is the user's to read
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{where}: cannot be loaded: {first}; check the name and the network, "
            "or download the files and name them"
        ) from error
