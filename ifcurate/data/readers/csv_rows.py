"""Rows from CSV and TSV files, with the bytes of each record.

When a record cannot be read (a broken quote, a line that is too long), its first line is a
bad row, and reading resumes at the next line.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from typing import IO, Any, Final

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
        """The bytes of the lines read since the last call."""
        raw = b"".join(line for line, _ in self._taken)
        self._taken.clear()
        return raw

    def take_first(self) -> tuple[bytes, int]:
        """The first line since the last call, and the number of bytes to read again."""
        first, *others = self._taken or [(b"", "")]
        self._taken.clear()
        self._again.extendleft(reversed(others))
        self.line -= len(others)
        return first[0], sum(len(line) for line, _ in others)


def csv_delimiter(source: Source) -> str:
    """Tab for .tsv, comma otherwise."""
    return "\t" if ".tsv" in source.path.suffixes else ","


def csv_header(source: Source) -> bytes:
    """The bytes of a CSV file's header, line end included; empty when it cannot be read."""
    with open_binary(source) as stream:
        lines = _Lines(stream)
        try:
            for cells in csv.reader(lines, delimiter=csv_delimiter(source), strict=True):
                raw = lines.take()
                if cells:
                    return raw
        except (csv.Error, *BROKEN):
            pass
    return b""


def read_csv(source: Source) -> Iterator[RawRow]:
    """A row for each record after the first, which names the columns."""
    csv.field_size_limit(MAX_ROW_BYTES)
    with open_binary(source) as stream:
        lines = _Lines(stream)
        delimiter = csv_delimiter(source)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        number = 0
        header: list[str] = []
        patience = _PATIENCE
        while True:
            first = lines.line + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raw, wasted = lines.take_first()
                patience -= wasted
                reason = f"not readable as CSV ({error})"
                if not header or patience < 0:
                    reason += "; what follows is not read"
                    yield broken_source(source, number, first, reason, raw)
                    return
                cut = not raw.endswith((b"\n", b"\r"))
                raw = raw.rstrip(b"\r\n")
                reason += _CUT * cut
                yield RawRow(source.name, number, first, raw, None, reason, ends=cut)
                number += 1
                reader = csv.reader(lines, delimiter=delimiter, strict=True)
                continue
            except BROKEN as error:
                reason = f"the file breaks off here ({error}); what follows is not read"
                yield broken_source(source, number, first, reason, lines.take())
                return
            raw = lines.take()
            if not cells:
                continue  # an empty line is not a row
            if header:
                yield _row(source, number, first, raw, header, cells)
                number += 1
                continue
            header = cells
            if reason := _bad_header(header, raw):
                yield broken_source(source, number, first, reason, raw)
                return


def _row(
    source: Source, number: int, line: int, raw: bytes, header: list[str], cells: list[str]
) -> RawRow:
    cut = len(cells) < len(header) and not raw.endswith((b"\n", b"\r"))
    raw = raw.rstrip(b"\r\n")
    value: dict[str, Any] | None = None
    reason = not_utf8(raw)
    if not reason and len(cells) != len(header):
        reason = f"{count(len(cells), 'cell')} where the header has {len(header)}"
    if cut:
        reason += _CUT
    if not reason:
        value = dict(zip(header, cells, strict=True))
    return RawRow(source.name, number, line, raw, value, reason, ends=cut)


def _bad_header(header: list[str], raw: bytes) -> str:
    named = [name for name in header if name]
    if len(set(named)) < len(named):
        twice = next(name for name in named if named.count(name) > 1)
        return f"the header names the column {twice!r} twice; rename one of them"
    return not_utf8(raw)
