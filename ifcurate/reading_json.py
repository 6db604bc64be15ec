"""Rows from JSON lines and from JSON arrays, in streams: no file is held in memory.

A bad row is given with its reason and the reading goes on behind it: at the next
line, or in an array at the next element whose start can be told.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import IO, Any, Final

from ifcurate.reading_files import BROKEN, MAX_ROW_BYTES, RawRow, Source, broken_source, open_binary

__all__ = ["parse_line", "read_json_array", "read_json_lines"]

_BOM: Final = b"\xef\xbb\xbf"
_HEAD: Final = 1000  # bytes (or characters) that are shown of what is too long or unreadable
_BLOCK: Final = 1 << 18
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_SHAPE: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{},"]', re.DOTALL)
_PAIRS: Final = {"}": "{", "]": "["}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object; which value is meant?")
    return found


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique)


def read_json_lines(source: Source, *, parse: bool = True) -> Iterator[RawRow]:
    """A row per line. With `parse` off good and bad lines are alike: no value, no error."""
    number = 0
    line = 0
    with open_binary(source) as stream:
        while True:
            line += 1
            size = 0
            try:
                raw = stream.readline(MAX_ROW_BYTES + 1)
                if len(raw) > MAX_ROW_BYTES:
                    size = len(raw) + _skip_line(stream, raw)
                    raw = raw[:_HEAD]
            except BROKEN as error:
                reason = f"the file breaks off here ({error}); what follows is not read"
                yield broken_source(source, number, line, reason, b"")
                return
            if not raw:
                return
            raw = raw.rstrip(b"\r\n")
            if line == 1:
                raw = raw.removeprefix(_BOM)
            if not raw.strip():
                continue  # an empty line is no row
            value, reason = None, ""
            if size:
                reason = (
                    f"the line has {size:,} bytes; at most {MAX_ROW_BYTES:,} are read; "
                    "split the row"
                )
            elif parse:
                value, reason = parse_line(raw)
            yield RawRow(source.name, number, line, raw, value, reason)
            number += 1


def _skip_line(stream: IO[bytes], raw: bytes) -> int:
    skipped = 0
    while raw and not raw.endswith(b"\n"):
        raw = stream.readline(_BLOCK)
        skipped += len(raw)
    return skipped


def parse_line(raw: bytes) -> tuple[dict[str, Any] | None, str]:
    """The row of a line, or why there is none."""
    try:
        value = _DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        return None, f"not UTF-8 (byte {error.start}); convert the file to UTF-8"
    except (ValueError, RecursionError) as error:
        return None, f"invalid JSON{_what(error)}"
    if not isinstance(value, dict):
        return None, f"a row must be a JSON object; found {type(value).__name__}"
    return value, ""


def _what(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f" at column {error.colno}: {error.msg}"
    if isinstance(error, RecursionError):
        return ": nested too deeply"
    return f": {error}"  # a key that stands twice, or a number of more than 4,300 digits


class _Window:
    """The part of a long JSON text that is looked at; bytes that are not UTF-8 stay visible."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.text = ""
        self.at = 0
        self.line = 1
        self._counted = 0  # the characters before have their lines counted
        self.ended = False
        self.broken = ""

    def more(self) -> bool:
        """Look further; False at the end of the file."""
        if self.ended:
            return False
        try:
            # As much again as there is, so that a long row costs no more than twice its length.
            data = self._stream.read(max(_BLOCK, len(self.text) - self.at))
        except BROKEN as error:
            self.broken = str(error)
            data = b""
        self.ended = not data
        self.text += self._decoder.decode(data, final=not data)
        return bool(data)

    def skip_space(self) -> str:
        """Go to the next character that is none; "" at the end of the file."""
        while True:
            match = _SPACE.match(self.text, self.at)
            self.at = match.end() if match else self.at
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def mark_line(self) -> int:
        """The line that we are in; what lies behind is forgotten."""
        self.line += self.text.count("\n", self._counted, self.at)
        if self.at > _BLOCK:
            self.text = self.text[self.at :]
            self.at = 0
        self._counted = self.at
        return self.line

    def element(self) -> tuple[Any, int, Exception | None]:
        """The value that starts here and where it ends; or what is wrong with it."""
        while True:
            error: Exception | None = None
            value: Any = None
            end = self.at
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
            except (ValueError, RecursionError) as found:
                error = found
            whole = end < len(self.text) if error is None else _is_final(error, self.text)
            too_long = len(self.text) - self.at > MAX_ROW_BYTES
            if whole or too_long or not self.more():
                return value, end, error

    def end_of_broken(self) -> int | None:
        """Where an element that cannot be read ends, by its brackets; None if they do not say."""
        while True:
            end = _matching_end(self.text, self.at)
            if end is not None and end >= 0:
                return end
            if end is None or len(self.text) - self.at > MAX_ROW_BYTES or not self.more():
                return None


def _is_final(error: Exception, text: str) -> bool:
    """Whether more text would not mend it."""
    if not isinstance(error, json.JSONDecodeError):
        return True
    return not error.msg.startswith("Unterminated string") and error.pos < len(text) - 16


def _matching_end(text: str, at: int) -> int | None:
    """The place of the comma or bracket behind an element; -1: further on; None: nowhere."""
    opened: list[str] = []
    for match in _SHAPE.finditer(text, at):
        sign = match.group()
        if sign == '"':
            return -1  # a string that goes on
        if sign in "[{":
            opened.append(sign)
        elif sign in "]}":
            if not opened:
                return match.start() if sign == "]" else None
            if opened.pop() != _PAIRS[sign]:
                return None
        elif sign == "," and not opened:
            return match.start()
    return -1


def read_json_array(source: Source) -> Iterator[RawRow]:
    """A row per element of a JSON array."""
    with open_binary(source) as stream:
        window = _Window(stream)
        window.more()
        window.text = window.text.removeprefix("\ufeff")
        window.skip_space()
        window.at += 1  # behind the opening bracket
        number = 0
        follows = ","  # what stands before the next element
        while (sign := window.skip_space()) not in ("]", ""):
            line = window.mark_line()
            row, end = _read_element(source, window, number, line, comma=follows == ",")
            yield row
            if row.ends:
                return
            number += 1
            window.at = end
            follows = window.skip_space()
            window.at += follows == ","
            if follows == "":
                break
        reason = ""
        if sign == "]":
            window.at += 1
            if window.skip_space():
                reason = "text behind the end of the array; it is not read"
        elif follows == ",":
            reason = "the array is not closed by ']'; the file may be cut off"
        else:
            reason = "expected ',' or ']' here; the file may be cut off"
        if window.broken:
            reason = f"the file breaks off here ({window.broken}); what follows is not read"
        if reason:
            head = _encode(window.text[window.at : window.at + _HEAD])
            yield broken_source(source, number, window.mark_line(), reason, head)


def _read_element(
    source: Source, window: _Window, number: int, line: int, *, comma: bool
) -> tuple[RawRow, int]:
    """The row that starts here, and where it ends."""
    value, end, error = window.element()
    reason = ""
    if error is not None:
        text = error.msg if isinstance(error, json.JSONDecodeError) else _what(error)[2:]
        reason = f"invalid JSON: {text}"
        stop = window.end_of_broken()
        if stop is None:
            if window.broken:
                reason = f"the file breaks off here ({window.broken})"
            elif len(window.text) - window.at > MAX_ROW_BYTES:
                reason = f"the row is longer than {MAX_ROW_BYTES:,} characters"
            reason += "; the array cannot be read from here on"
            head = _encode(window.text[window.at : window.at + _HEAD])
            return broken_source(source, number, line, reason, head), end
        end = stop
    elif not isinstance(value, dict):
        reason = f"a row must be a JSON object; found {type(value).__name__}"
    if not comma:
        reason = "expected ',' or ']' before this element"
    raw = _encode(window.text[window.at : end])
    if not reason:
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError as found:
            reason = f"not UTF-8 (byte {found.start} of the row); convert the file to UTF-8"
    return RawRow(source.name, number, line, raw, None if reason else value, reason), end


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
