"""A long JSON text looked at in stretches, so that no file is held in memory."""

from __future__ import annotations

import codecs
import json
import re
from typing import IO, Any, Final

from ifcurate.data.readers.files import BROKEN, MAX_ROW_BYTES

__all__ = ["DECODER", "HEAD", "Window", "describe_error", "encode_text", "is_cut_off"]

HEAD: Final = 1000  # bytes (or characters) that are shown of what is too long or unreadable
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


#: Refuses an object in which a key stands twice.
DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique)


def describe_error(error: Exception) -> str:
    """What is wrong with a JSON text, in few words."""
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error)  # a key that stands twice, or a number of more than 4,300 digits


def is_cut_off(error: Exception, text: str) -> bool:
    """Whether a text that cannot be read might be the beginning of one that can."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    return error.msg.startswith("Unterminated string") or error.pos >= len(text) - 16


class Window:
    """The part of a long JSON text that is looked at; bytes that are not UTF-8 stay visible."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Look at the beginning of a stream; a byte order mark is no part of the text."""
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.text = ""
        self.at = 0
        self.line = 1
        self._counted = 0  # the characters before have their lines counted
        self.ended = False
        self.broken = ""
        self.more()
        self.text = self.text.removeprefix("\ufeff")

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
                value, end = DECODER.raw_decode(self.text, self.at)
            except (ValueError, RecursionError) as found:
                error = found
            whole = end < len(self.text) if error is None else not is_cut_off(error, self.text)
            too_long = len(self.text) - self.at > MAX_ROW_BYTES
            if whole or too_long or not self.more():
                return value, end, error

    def head(self) -> bytes:
        """The first bytes of what stands here, to show."""
        return encode_text(self.text[self.at : self.at + HEAD])

    def why_stopped(self, reason: str) -> str:
        """Why an element whose end cannot be told cannot be read; `reason` if it says all."""
        if self.broken:
            return f"the file breaks off here ({self.broken})"
        if len(self.text) - self.at > MAX_ROW_BYTES:
            return f"longer than {MAX_ROW_BYTES:,} characters"
        return reason

    def end_of_broken(self) -> int | None:
        """Where an element that cannot be read ends, by its brackets; None if they do not say."""
        while True:
            end = _matching_end(self.text, self.at)
            if end is not None and end >= 0:
                return end
            if end is None or len(self.text) - self.at > MAX_ROW_BYTES or not self.more():
                return None


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


def encode_text(text: str) -> bytes:
    """The bytes of a window's text as they were."""
    return text.encode("utf-8", "surrogateescape")
