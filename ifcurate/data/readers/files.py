"""A source, a row as it is in its source, and the bytes of compressed files."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

from ifcurate.phrases import count

DEMO: Final = "demo:"  # prefix of the name of a file that comes with the package
_COPIES: Final = Path("ifcurate-runs", "downloads")
MAX_ROW_BYTES: Final = 64 * 1024 * 1024
HEAD: Final = 1000  # bytes or characters to show of text that is too long or unreadable
SPREAD: Final = 8  # places in a file from which a sample of its rows is taken
SPREAD_BYTES: Final = 4 << 20  # most bytes that are read at one of them
#: The ending of a packed file -> its compression.
COMPRESSIONS: Final = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
#: The first bytes of files that are not text -> what they are, and the ending of their names.
SIGNS: Final = {
    b"PAR1": ("a Parquet file", ".parquet"),
    b"ARROW1": ("an Arrow file", ".arrow"),
    b"\xff\xff\xff\xff": ("an Arrow stream", ".arrow"),
    b"\x1f\x8b": ("a file packed by gzip", ".gz"),
    b"\x28\xb5\x2f\xfd": ("a file packed by zstd", ".zst"),
}
#: The errors of reading a damaged file.
BROKEN: Final = (OSError, EOFError, zlib.error)


@dataclass(frozen=True, slots=True)
class Source:
    """One file, local or remote, or one split of a Hub dataset."""

    name: str  # as the user wrote it; a match's path for a glob or a folder
    format: str  # "json", "jsonl", "squad", "csv", "parquet", "arrow" or "hub"
    compression: str = ""  # "", "gzip" or "zstd"
    subset: str = ""  # Hub only: the dataset's configuration
    split: str = ""  # Hub only

    @property
    def path(self) -> Path:
        """The file's path; for a URL, the path of its local copy."""
        if self.name.startswith(DEMO):
            from ifcurate.pocket import demo_path

            return demo_path() / self.name.removeprefix(DEMO)
        path = Path(self.name)
        return copy_path(self.name) if "://" in self.name and not path.exists() else path


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row as it is in its source, and in `error` the reason why it cannot be used.

    `value` is None for a row that cannot be read. `ends` marks a row that also represents the rows
    after it that could not be read.
    """

    source: str
    number: int  # 0-based
    line: int | None  # 1-based first line of the row; None where a format has no lines
    raw: bytes | None  # the row's own bytes, without the line end; None for Parquet and the Hub.
    # For a question in a nested file, the line of JSON that is written for it.
    value: dict[str, Any] | None
    error: str = ""
    ends: bool = False

    @property
    def size(self) -> int:
        """The approximate number of bytes of the row."""
        return _text_size(self.value) if self.raw is None else len(self.raw)

    @property
    def place(self) -> str:
        """`file:line`, or `file row n` where there are no lines."""
        if self.line is not None:
            return f"{self.source}:{self.line}"
        return f"{self.source} row {self.number}"

    @property
    def loss(self) -> str:
        """The message that a source was not read completely; "" when only this row is bad."""
        before = count(self.number, "row") if self.number else "no row"
        return f"{self.source}: {self.error} ({before} of it before)" if self.ends else ""

    def as_record(self) -> dict[str, Any]:
        """Return the record of a row that cannot be used in the quarantine file."""
        raw = self.raw
        if raw is None and self.value is not None:
            text = json.dumps(self.value, ensure_ascii=False, default=str)
            raw = text.encode("utf-8", "backslashreplace")
        return {
            "source": self.source,
            "row": self.number,
            "line": self.line,
            "reason": self.error,
            "raw": None if raw is None else raw.decode("utf-8", "backslashreplace"),
        }


def _text_size(value: Any) -> int:
    """Return the number of characters of all texts in a value."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_text_size, value.values()))
    return sum(map(_text_size, value)) if isinstance(value, list) else 1


def find_sign(head: bytes) -> tuple[str, str]:
    """Return what a file with these first bytes is, and the ending of its name; "" for text."""
    return next((found for sign, found in SIGNS.items() if head.startswith(sign)), ("", ""))


def copy_path(url: str) -> Path:
    """Return the path of the local copy of a URL's file."""
    digest = hashlib.blake2b(url.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return _COPIES / digest / url.rstrip("/").rpartition("/")[2]


def broken_source(
    source: Source, number: int, line: int | None, reason: str, raw: bytes | None = None
) -> RawRow:
    """Return the bad row that represents the rest of a source."""
    return RawRow(source.name, number, line, raw, None, reason, ends=True)


def open_binary(source: Source) -> IO[bytes]:
    """Return the file's bytes, decompressed. A damaged file raises one of `BROKEN`."""
    if source.compression == "gzip":
        return cast(IO[bytes], gzip.open(source.path, "rb"))
    if source.compression == "zstd":
        import pyarrow as pa

        # Arrow reports a truncated file, and reads several frames; zstandard's reader does not.
        packed = pa.input_stream(str(source.path), compression="zstd")
        return io.BufferedReader(packed, 1 << 17)
    return source.path.open("rb", buffering=1 << 17)


def read_lines(stream: IO[bytes]) -> Iterator[tuple[bytes, str]]:
    """Yield each line with its end and "". For a line that is too long, its start and the reason.

    The byte order mark is left out.
    """
    mark = b"\xef\xbb\xbf"
    while raw := stream.readline(MAX_ROW_BYTES + 1):
        reason = ""
        if len(raw) > MAX_ROW_BYTES:
            part, size = raw, len(raw)
            while part and not part.endswith(b"\n"):
                part = stream.readline(1 << 18)
                size += len(part)
            reason = f"the line has {size:,} bytes; at most {MAX_ROW_BYTES:,} are read"
            raw = raw[:HEAD]
        yield raw.removeprefix(mark), reason
        mark = b""


def not_utf8(raw: bytes) -> str:
    """Return why the bytes of a row are not text; "" if they are."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"not UTF-8 (byte {error.start} of the row); convert the file to UTF-8"
    return ""
