"""Unique names for rows whose ids repeat."""

from __future__ import annotations

__all__ = ["UniqueNames"]


class UniqueNames:
    """Names that occur again get a suffix, `a`, `a~2`, `a~3`, which no other name has.

    Remembers the names that were asked for, not those that it gave.
    """

    def __init__(self) -> None:
        self._times: dict[str, int] = {}  # base -> the last number it was given

    def name(self, base: str) -> str:
        """The name for this occurrence of `base`."""
        times = self._given(base) + 1
        name = base
        while times > 1 and self._given(name := f"{base}~{times}"):
            times += 1
        self._times[base] = times
        return name

    def _given(self, name: str) -> int:
        """How often a name was asked for or given; 0 for never."""
        times = self._times.get(name, 0)
        if not times and "~" in name:
            base, _, number = name.rpartition("~")
            # All numbers up to the last are taken.
            if number.isdecimal() and number.isascii() and number[0] != "0":
                times = int(2 <= int(number[:18]) <= self._times.get(base, 0))
        return times
