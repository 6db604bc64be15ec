"""Unique names for rows whose ids repeat."""

from __future__ import annotations


class UniqueNames:
    """Add a suffix that no other name has to repeated names: `a`, `a~2`, `a~3`.

    It stores the requested names, not the returned ones.
    """

    def __init__(self) -> None:
        self._times: dict[str, int] = {}  # base -> its last number

    def name(self, base: str) -> str:
        """Return the name for this occurrence of `base`."""
        times = self._count_uses(base) + 1
        name = base
        while times > 1 and self._count_uses(name := f"{base}~{times}"):
            times += 1
        self._times[base] = times
        return name

    def _count_uses(self, name: str) -> int:
        """Return how often a name was requested or returned; 0 for never."""
        times = self._times.get(name, 0)
        if not times and "~" in name:
            base, _, number = name.rpartition("~")
            # All numbers up to the last are used.
            if number.isdecimal() and number.isascii() and number[0] != "0":
                times = int(2 <= int(number[:18]) <= self._times.get(base, 0))
        return times
