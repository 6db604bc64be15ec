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
from typing import Final

from ifcurate.data.readers.files import (
    BROKEN,
    MAX_ROW_BYTES,
    RawRow,
    Source,
    broken_source,
    not_utf8,
    open_binary,
    read_lines,
)
from ifcurate.phrases import count

_CUT: Final = "; the file may be cut off here"  # if the last line has no line end
_DELIMITERS: Final = ",;\t|"  # spreadsheets in many languages write semicolons

#: A record of a file: its first line, its bytes, its cells, the reason why it cannot be read, and
#: whether nothing is read after it. Of a record that cannot be read, only the first line.
_Record = tuple[int, bytes, list[str], str, bool]


def csv_delimiter(source: Source) -> str:
    """Return tab for .tsv; for .csv the first of `_DELIMITERS` that is in the header."""
    if ".tsv" in source.path.suffixes:
        return "\t"
    try:
        with open_binary(source) as stream:
            header = next((line for line, _ in read_lines(stream) if line.strip()), b"")
    except BROKEN:
        return ","
    header = re.sub(rb'"[^"]*"', b"", header)
    return next((sign for sign in _DELIMITERS if sign.encode() in header), ",")


def _records(source: Source) -> Generator[_Record, None, None]:
    """Yield every record that is not an empty line, the header too."""
    csv.field_size_limit(MAX_ROW_BYTES)
    delimiter = csv_delimiter(source)
    line = 1
    taken: list[tuple[bytes, str]] = []  # the lines of the record
    again: deque[tuple[bytes, str]] = deque()  # lines to read again
    with open_binary(source) as stream:
        lines = read_lines(stream)

        def texts() -> Iterator[str]:
            while found := again.popleft() if again else next(lines, None):
                taken.append(found)
                if found[1]:
                    raise csv.Error(found[1])
                yield found[0].decode("utf-8", "surrogateescape")

        while True:
            try:
                for cells in csv.reader(texts(), delimiter=delimiter, strict=True):
                    if cells:
                        yield line, b"".join(raw for raw, _ in taken), cells, "", False
                    line += len(taken)
                    taken.clear()
                return
            except csv.Error as error:
                again.extendleft(reversed(taken[1:]))
                yield line, taken[0][0], [], f"not readable as CSV ({error})", False
                line += 1
                taken.clear()
            except BROKEN as error:
                raw = b"".join(raw for raw, _ in taken)
                yield line, raw, [], f"the file breaks off here ({error})", True
                return


def csv_header(source: Source) -> bytes:
    """Return the bytes of a CSV file's header, line end included; empty when it cannot be read."""
    with contextlib.closing(_records(source)) as records:
        _, raw, _, error, _ = next(records, (0, b"", [], "", True))
    return b"" if error else raw


def read_csv(source: Source) -> Iterator[RawRow]:
    """Yield a row for each record after the first, which names the columns."""
    number = 0
    header: list[str] = []
    for line, raw, cells, error, ends in _records(source):
        reason = ""
        if ends or (error and not header):
            reason = f"{error}; what follows is not read"
        elif not header:
            header = cells
            reason = _bad_header(header, raw)
        else:
            cut = len(cells) < len(header) and not raw.endswith((b"\n", b"\r"))
            raw = raw.rstrip(b"\r\n")
            error = error or not_utf8(raw)
            if not error and len(cells) != len(header):
                error = f"{count(len(cells), 'cell')} where the header has {len(header)}"
            value = None if error else dict(zip(header, cells, strict=True))
            yield RawRow(source.name, number, line, raw, value, error + _CUT * cut, ends=cut)
            number += 1
        if reason:
            yield broken_source(source, number, line, reason, raw)
            return


def _bad_header(header: list[str], raw: bytes) -> str:
    named = [name for name in header if name]
    if len(set(named)) < len(named):
        twice = next(name for name in named if named.count(name) > 1)
        return f"the header names the column {twice!r} twice; rename one of them"
    return not_utf8(raw)
