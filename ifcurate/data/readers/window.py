"""A long JSON text, read in pieces so that no file is held in memory.

The standard library's decoder reads one element at a time, and brackets show the end of a
broken element. ijson (3.6, yajl2_c) reads a 200 MB array 2.5 times as fast, but it does not
return the bytes of an element, stops at a broken element and at an integer over 64 bits, and
silently turns half a surrogate pair into "?".
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Final

from ifcurate.data.readers.files import BROKEN, HEAD, MAX_ROW_BYTES

_BLOCK: Final = 1 << 18
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_SHAPE: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{},"]', re.DOTALL)
_PAIRS: Final = {"}": "{", "]": "["}


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


def is_cut_off(error: Exception, text: str) -> bool:
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
            whole = end < len(self.text) if error is None else not is_cut_off(error, self.text)
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
