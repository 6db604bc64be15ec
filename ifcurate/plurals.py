"""Counts in words: `1 row`, `1,204 rows`."""

from __future__ import annotations

__all__ = ["count"]


def count(n: int, noun: str, plural: str = "") -> str:
    """The number with its noun, which gets an `s` unless its plural is given."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"
