"""Word lists, written as text."""

from __future__ import annotations

__all__ = ["FUNCTION_WORDS", "PARTICLES", "ordered_words", "words"]


def words(text: str) -> frozenset[str]:
    """The words of a text as a set."""
    return frozenset(text.split())


def ordered_words(text: str) -> tuple[str, ...]:
    """The words of a text in their order."""
    return tuple(text.split())


#: Words that open sentences and stand between names, and name nothing.
FUNCTION_WORDS = words(
    """
    the a an and but or so if when while as after before since because although though in on at by
    for from to with of about into over under between among during then there this that these those
    he she it they we you i his her its their our your my who what where why how which is was are
    were be been has have had do does did will would can could should may might must not no yes also
    meanwhile later today yesterday however once both all some many most other now here
    one two three four five six seven eight nine ten thanks dear
    hi hello hey oh ok okay well did can
    """
)

#: Small words inside family names.
PARTICLES = words(
    """
    de da di del della van von der den la le dos du bin ibn al el ter
    """
)
