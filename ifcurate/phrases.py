"""What messages are made of: counts with their nouns, and the name that was perhaps meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["count", "did_you_mean"]


def count(n: int, noun: str, plural: str = "") -> str:
    """The number with its noun: `1 row`, `1,204 rows`; an `s` unless the plural is given."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean pocket?`, to end a message with; "" when no other known name is near."""
    names = {other.lower(): other for other in known}
    if names.get(name.lower()) == name:
        return ""
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.7)
    return f"; did you mean {names[near[0]]}?" if near else ""
