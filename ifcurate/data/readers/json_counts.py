"""The number of elements in a JSON array, counted by its brackets."""

from __future__ import annotations

import re
from typing import IO, Final

__all__ = ["count_elements"]

_BLOCK: Final = 1 << 20
_MOST: Final = 1 << 24  # bytes that are held without a bracket in them
#: The next bracket that is not inside a string.
_BRACKET: Final = re.compile(
    rb'(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^"{}\[\]]++)*+([{}\[\]])', re.DOTALL
)


def count_elements(stream: IO[bytes]) -> int | None:
    """How many objects and arrays the array holds; None when a text in it is too long."""
    n, depth = 0, 0
    held = b""
    for block in iter(lambda: stream.read(_BLOCK), b""):
        held += block
        end = 0
        for match in _BRACKET.finditer(held):
            end = match.end()
            if match[1] in b"{[":
                n += depth == 1
                depth += 1
            else:
                depth -= 1
                if depth == 0:
                    return n
        held = held[end:]
        if len(held) > _MOST:
            return None
    return n
