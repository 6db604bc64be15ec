"""Rows from JSON lines and from JSON arrays, as streams: no file is held in memory.

A bad row has a reason. Reading resumes after it: at the next line, or in an array at the
next element whose start can be found.

An array is read through a window on its text. The standard library's decoder reads one element at
a time, and brackets show the end of a broken element. ijson (3.6, yajl2_c) reads a 200 MB array 2.5
times as fast, but it does not return the bytes of an element, stops at a broken element and at an
integer over 64 bits, and silently turns half a surrogate pair into "?".
"""

from __future__ import annotations

import codecs
import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Final

from ifcurate.data.readers.files import (
    BROKEN,
    HEAD,
    MAX_ROW_BYTES,
    SPREAD,
    SPREAD_BYTES,
    RawRow,
    Source,
    broken_source,
    not_utf8,
    open_binary,
    read_lines,
)

_NOT_ONE_LINE: Final = "; each row must be one line; join lines with: jq -c . FILE > NEW"
_BLOCK: Final = 1 << 18
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_SHAPE: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{},"]', re.DOTALL)
_PAIRS: Final = {"}": "{", "]": "["}


def read_json_lines(source: Source, *, parse: bool = True) -> Iterator[RawRow]:
    """Yield a row for each line. With `parse` off, a row has neither value nor error.

    An incomplete last line is always an error, because the rest of it is unknown.
    """
    number = 0
    line = 0
    with open_binary(source) as stream:
        try:
            for line, (whole, too_long) in enumerate(read_lines(stream), 1):
                raw = whole.rstrip(b"\r\n")
                if not raw.strip():
                    continue  # an empty line is not a row
                value, reason = None, too_long and f"{too_long}; split the row"
                if not whole.endswith(b"\n") and not too_long and (cut_off := _broken_off(raw)):
                    yield broken_source(source, number, line, cut_off, raw)
                    return
                if parse and not too_long:
                    value, reason = parse_line(raw)
                yield RawRow(source.name, number, line, raw, value, reason)
                number += 1
        except BROKEN as error:
            reason = f"the file breaks off here ({error}); what follows is not read"
            yield broken_source(source, number, line + 1, reason, b"")


def _broken_off(raw: bytes) -> str:
    """Return why a last line without a line end looks like an incomplete row; "" if it does not."""
    text = raw.decode("utf-8", "surrogateescape")
    try:
        DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        if text.startswith("{") and _is_cut_off(error, text):
            return f"invalid JSON: {describe_error(error)}; the file may be cut off here"
    return ""


def parse_line(raw: bytes) -> tuple[dict[str, Any] | None, str]:
    """Return the row of a line, or the reason why there is none."""
    try:
        value = DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        return None, f"not UTF-8 (byte {error.start}); convert the file to UTF-8"
    except (ValueError, RecursionError) as error:
        column = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        more = _NOT_ONE_LINE if raw.strip().endswith((b"{", b"[", b",")) else ""
        return None, f"invalid JSON{column}: {describe_error(error)}{more}"
    return (value, "") if isinstance(value, dict) else (None, _no_row(value))


def _no_row(value: Any) -> str:
    return f"a row must be a JSON object; found {type(value).__name__}"


def read_json_array(source: Source) -> Iterator[RawRow]:
    """Yield a row for each element of a JSON array."""
    number = 0
    with open_binary(source) as stream:
        window = Window(stream)
        window.skip_space()
        for element in read_elements(window):
            raw, value, reason = element.raw, element.value, element.reason
            reason = reason or ("" if isinstance(value, dict) else _no_row(value)) or not_utf8(raw)
            value = None if reason else value
            yield RawRow(source.name, number, element.line, raw, value, reason, ends=element.ends)
            if element.ends:
                return
            number += 1
        if window.skip_space():
            reason = "text after the end of the array, which is not read"
            line = window.mark_line()
            yield broken_source(source, number, line, reason, window.head())


def spread_lines(source: Source, n: int) -> Iterator[dict[str, Any]]:
    """Yield about `n` rows from `SPREAD` places of a file that is not compressed."""
    with contextlib.suppress(*BROKEN), source.path.open("rb") as stream:
        size = stream.seek(0, 2)
        for place in range(SPREAD):
            start, end = place * size // SPREAD, (place + 1) * size // SPREAD
            stream.seek(start)
            if place:
                stream.readline(SPREAD_BYTES)  # the rest of a line
            for _ in range(n // SPREAD):
                if stream.tell() >= min(end, start + SPREAD_BYTES):
                    break
                value, _error = parse_line(stream.readline(SPREAD_BYTES))
                if value is not None:
                    yield value


# ------------------------------------------------------- the elements of a long array
def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} occurs twice in one object; remove one of them")
    return value


#: Refuses an object with a repeated key.
DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique)


def describe_error(error: Exception) -> str:
    """Return the problem of a JSON text, in a few words."""
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error)  # a repeated key, or a number of more than 4,300 digits


def _is_cut_off(error: Exception, text: str) -> bool:
    """Return whether a text that cannot be parsed may be the start of a valid one."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    return error.msg.startswith("Unterminated string") or error.pos >= len(text) - 16


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a list as it is in a file. `value` is valid when `reason` is empty."""

    line: int  # 1-based
    raw: bytes
    value: Any = None
    reason: str = ""
    ends: bool = False  # True if nothing can be read after it


class Window:
    """The part of a long JSON text in memory. Bytes that are not UTF-8 become surrogates."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Read the start of a stream, without its byte order mark."""
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.text = ""
        self.at = 0
        self.line = 1
        self._counted = 0  # the lines before this character are counted
        self.ended = False
        self.broken = ""
        self.more()
        self.text = self.text.removeprefix("\ufeff")

    def more(self) -> bool:
        """Read more text; False at the end of the file."""
        if self.ended:
            return False
        try:
            # Doubles the text, so that a long row is parsed only a few times.
            data = self._stream.read(max(_BLOCK, len(self.text) - self.at))
        except BROKEN as error:
            self.broken = str(error)
            data = b""
        self.ended = not data
        self.text += self._decoder.decode(data, final=not data)
        return bool(data)

    def skip_space(self) -> str:
        """Move to the next character that is not white space and return it; "" at the end."""
        while True:
            match = _SPACE.match(self.text, self.at)
            self.at = match.end() if match else self.at
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def mark_line(self) -> int:
        """Return the current line number. Releases the text before it."""
        self.line += self.text.count("\n", self._counted, self.at)
        if self.at > _BLOCK:
            self.text = self.text[self.at :]
            self.at = 0
        self._counted = self.at
        return self.line

    def element(self) -> tuple[Any, int, Exception | None]:
        """Return the value that starts here and where it ends, or its error."""
        while True:
            error: Exception | None = None
            value: Any = None
            end = self.at
            try:
                value, end = DECODER.raw_decode(self.text, self.at)
            except (ValueError, RecursionError) as problem:
                error = problem
            whole = end < len(self.text) if error is None else not _is_cut_off(error, self.text)
            too_long = len(self.text) - self.at > MAX_ROW_BYTES
            if whole or too_long or not self.more():
                return value, end, error

    def head(self) -> bytes:
        """Return the first bytes from here on, to show."""
        return _encode(self.text[self.at : self.at + HEAD])

    def why_stopped(self, reason: str) -> str:
        """Return why an element without a recognisable end cannot be read; `reason` by default."""
        if self.broken:
            return f"the file breaks off here ({self.broken})"
        if len(self.text) - self.at > MAX_ROW_BYTES:
            return f"longer than {MAX_ROW_BYTES:,} characters"
        return reason

    def end_of_broken(self) -> int | None:
        """Return where a broken element ends by its brackets; None when they do not match."""
        while True:
            end = _matching_end(self.text, self.at)
            if end is not None and end >= 0:
                return end
            if end is None or len(self.text) - self.at > MAX_ROW_BYTES or not self.more():
                return None


def read_elements(window: Window) -> Iterator[Element]:
    """Yield the elements of the list that begins here, then any problem of the list itself.

    After a broken element, reading resumes at the next one that can be recognised.
    """
    window.at += 1
    comma = True  # whether one is before the next element
    while (sign := window.skip_space()) not in ("]", ""):
        line = window.mark_line()
        value, end, error = window.element()
        reason = "" if comma else "expected ',' or ']' before this element"
        if error is not None:
            reason = f"invalid JSON: {describe_error(error)}"
            stop = window.end_of_broken()
            if stop is None:
                reason = f"{window.why_stopped(reason)}; the array cannot be read from here on"
                yield Element(line, window.head(), reason=reason, ends=True)
                return
            end = stop
        yield Element(line, _encode(window.text[window.at : end]), value, reason)
        window.at = end
        comma = window.skip_space() == ","
        window.at += comma
    if sign == "]":
        window.at += 1
        return
    reason = "expected ',' or ']' here: the array is not closed; the file may be cut off"
    reason = window.why_stopped(reason) + "; what follows is not read" * bool(window.broken)
    yield Element(window.mark_line(), window.head(), reason=reason, ends=True)


def _matching_end(text: str, at: int) -> int | None:
    """Return where an element ends: -1 after this text, None if it has no end."""
    opened: list[str] = []
    for match in _SHAPE.finditer(text, at):
        sign = match.group()
        if sign == '"':
            return -1  # a string that ends beyond this text
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


def _encode(text: str) -> bytes:
    """Return the original bytes of a window's text."""
    return text.encode("utf-8", "surrogateescape")
