"""Word lists, written as text."""

from __future__ import annotations

__all__ = ["ordered_words", "words"]


def words(text: str) -> frozenset[str]:
    """The words of a text as a set."""
    return frozenset(text.split())


def ordered_words(text: str) -> tuple[str, ...]:
    """The words of a text in their order."""
    return tuple(text.split())
