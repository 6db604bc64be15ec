"""Rows from CSV and TSV files, with the bytes of each record.

When a record cannot be read (a broken quote, a line that is too long), its first line is a
bad row, and reading resumes at the next line.
"""

from __future__ import annotations

import contextlib
import csv
import re
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import IO, Final

from ifcurate.data.readers.files import (
    BROKEN,
    MAX_ROW_BYTES,
    RawRow,
    Source,
    broken_source,
    not_utf8,
    open_binary,
    read_line,
)
from ifcurate.phrases import count

_CUT: Final = "; the file may be cut off here"  # if the last line has no line end
_DELIMITERS: Final = ",;\t|"  # spreadsheets in many languages write semicolons
_PATIENCE: Final = 256 * 1024 * 1024  # bytes that may be read twice because of broken quotes


_Line = tuple[bytes, str]  # a line, and why it cannot be read


class _Lines(Iterator[str]):
    """Text lines for the csv module. Lines can be returned and read again."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._again: deque[_Line] = deque()
        self._taken: list[_Line] = []
        self.line = 0

    def __next__(self) -> str:
        raw, error = self._again.popleft() if self._again else self._read()
        self.line += 1
        self._taken.append((raw, error))
        if error:
            raise csv.Error(error)
        return raw.decode("utf-8", "surrogateescape")

    def _read(self) -> _Line:
        raw, error = read_line(self._stream, first=self.line == 0)
        if not raw:
            raise StopIteration
        return raw, error

    def take(self) -> bytes:
        """Return the bytes of the lines read since the last call."""
        raw = b"".join(line for line, _ in self._taken)
        self._taken.clear()
        return raw

    def take_first(self) -> tuple[bytes, int]:
        """Return the first line since the last call, and the number of bytes to read again."""
        first, *others = self._taken or [(b"", "")]
        self._taken.clear()
        self._again.extendleft(reversed(others))
        self.line -= len(others)
        return first[0], sum(len(line) for line, _ in others)


def csv_delimiter(source: Source) -> str:
    """Return tab for .tsv; for .csv the first of `_DELIMITERS` that is in the header."""
    if ".tsv" in source.path.suffixes:
        return "\t"
    try:
        with open_binary(source) as stream:
            header, _ = read_line(stream, first=True)
            while header and not header.strip():
                header, _ = read_line(stream, first=False)
    except BROKEN:
        return ","
    header = re.sub(rb'"[^"]*"', b"", header)
    return next((sign for sign in _DELIMITERS if sign.encode() in header), ",")


@dataclass(frozen=True, slots=True)
class _Record:
    """A record of a file, or the first line of one that cannot be read."""

    line: int
    raw: bytes
    cells: list[str]
    error: str = ""
    ends: bool = False  # nothing is read after it


def _records(source: Source) -> Generator[_Record, None, None]:
    """Yield every record that is not an empty line, the header too."""
    csv.field_size_limit(MAX_ROW_BYTES)
    patience = _PATIENCE
    delimiter = csv_delimiter(source)
    with open_binary(source) as stream:
        lines = _Lines(stream)
        while patience >= 0:
            line = 1 + lines.line
            try:
                for cells in csv.reader(lines, delimiter=delimiter, strict=True):
                    raw = lines.take()
                    if cells:
                        yield _Record(line, raw, cells)
                    line = 1 + lines.line
                return
            except csv.Error as error:
                raw, wasted = lines.take_first()
                patience -= wasted
                yield _Record(line, raw, [], f"not readable as CSV ({error})", patience < 0)
            except BROKEN as error:
                yield _Record(line, lines.take(), [], f"the file breaks off here ({error})", True)
                return


def csv_header(source: Source) -> bytes:
    """Return the bytes of a CSV file's header, line end included; empty when it cannot be read."""
    with contextlib.closing(_records(source)) as records:
        first = next(records, None)
    return first.raw if first and not first.error else b""


def read_csv(source: Source) -> Iterator[RawRow]:
    """Yield a row for each record after the first, which names the columns."""
    number = 0
    header: list[str] = []
    for record in _records(source):
        reason = ""
        if record.ends or (record.error and not header):
            reason = f"{record.error}; what follows is not read"
        elif not header:
            header = record.cells
            reason = _bad_header(header, record.raw)
        else:
            yield _row(source, number, record, header)
            number += 1
        if reason:
            yield broken_source(source, number, record.line, reason, record.raw)
            return


def _row(source: Source, number: int, record: _Record, header: list[str]) -> RawRow:
    n = len(record.cells)
    cut = n < len(header) and not record.raw.endswith((b"\n", b"\r"))
    raw = record.raw.rstrip(b"\r\n")
    reason = record.error or not_utf8(raw)
    if not reason and n != len(header):
        reason = f"{count(n, 'cell')} where the header has {len(header)}"
    if cut:
        reason += _CUT
    value = None if reason else dict(zip(header, record.cells, strict=True))
    return RawRow(source.name, number, record.line, raw, value, reason, ends=cut)


def _bad_header(header: list[str], raw: bytes) -> str:
    named = [name for name in header if name]
    if len(set(named)) < len(named):
        twice = next(name for name in named if named.count(name) > 1)
        return f"the header names the column {twice!r} twice; rename one of them"
    return not_utf8(raw)
