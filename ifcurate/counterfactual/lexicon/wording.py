"""Word lists, written as text."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = [
    "FUNCTION_WORDS",
    "HONOURS",
    "PARTICLES",
    "ordered_words",
    "starts_with_vowel",
    "without_end_marks",
    "word_before",
    "word_places",
    "words",
]

_NO_WORD = re.compile(r"\W")
_END_MARKS = re.compile(r"(?:\s*(?:<\|[\w-]{1,24}\|>|</s>|<eos>|<end_of_turn>|\[EOS\]))+\s*\Z")


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

#: Titles that are written as part of a name and stay when the name goes.
HONOURS = words("queen king empress emperor prince princess pope sir lady lord saint")

#: Small words inside family names.
PARTICLES = words(
    """
    de da di del della van von der den la le dos du bin ibn al el ter
    """
)


def word_places(word: str, text: str) -> Iterator[tuple[int, int]]:
    """Where some words stand in a text, as whole words and in the same letters."""
    start = text.find(word)
    while start >= 0:
        end = start + len(word)
        if not (_is_part(text[start - 1 : start]) or _is_part(text[end : end + 1])):
            yield start, end
        start = text.find(word, start + 1)


def _is_part(char: str) -> bool:
    return char.isalnum() or char == "_"


def word_before(text: str, start: int) -> str:
    """The word in front of a place and the space there, in small letters; "" for none."""
    if start < 2 or text[start - 1] != " ":
        return ""
    token = text[text.rfind(" ", 0, start - 1) + 1 : start - 1]
    return (token if token.isalpha() else _NO_WORD.split(token)[-1]).lower()


def without_end_marks(response: str) -> str:
    """The response without the markers that end a text (`<|endoftext|>`): they are no words."""
    return _END_MARKS.sub("", response)


def starts_with_vowel(word: str) -> bool:
    """Whether "an" stands before it: by sound, for the names that matter."""
    low = word.lower()
    if re.match(r"u(?:n[ie]|k|s|r[aiu]|t[ai])|eu|ewe|one", low):
        return False
    return low[:1] in "aeiou" or low.startswith(("8", "11", "18", "hour", "honest"))
