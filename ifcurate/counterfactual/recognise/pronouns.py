"""The pronouns of a text, and those that refer to a name."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..lexicon.wording import word_places

__all__ = ["count_pronouns", "follow_pronouns", "following_pronoun", "subject_pronouns"]

_HE = re.compile(r"\b(?:he|him|his|himself|he's|he'd|he'll)\b", re.I)
_SHE = re.compile(r"\b(?:she|her|hers|herself|she's|she'd|she'll)\b", re.I)
#: The text allowed between a name and the pronoun that refers to it.
_FOLLOWS = re.compile(
    r"(?:['’]s)?(?:[^.!?\n:;\"“”A-Z]|[A-Z][a-z]+day\b|[A-Z][a-z]+ber\b){0,80}?"
    r"\b(he|him|his|himself|she|her|hers|herself|its|itself|their|they)\b"
    r"(?! (?:said|says|added|told|wrote)\b)"
)
#: The next sentence begins with the pronoun: "Kugel is poor. He ...", not "Kugel's son is. He ..."
_NEXT = re.compile(r"(?!['’]s)[^.!?\n:;\"“”A-Z]{0,100}[.!?] {1,2}(He|She|His|Her) ")

_OPENS = re.compile(r"(?:\A|[.!?\n])[ \"“]*\Z")
_GENDERS = dict.fromkeys(("he", "him", "his", "himself"), "m")
_GENDERS |= dict.fromkeys(("she", "her", "hers", "herself"), "f")


def count_pronouns(texts: Iterable[str]) -> tuple[int, int]:
    """The numbers of masculine and of feminine pronouns in the texts."""
    he = she = 0
    for text in texts:
        he += len(_HE.findall(text))
        she += len(_SHE.findall(text))
    return he, she


def following_pronoun(text: str, end: int, *, opens: bool = True) -> str:
    """ "m", "f" or "n" by the first pronoun after a name that ends at `end`, "" without one."""
    match = _FOLLOWS.match(text, end, end + 200)
    if match is None and opens:  # the next sentence mostly has the same subject
        match = _NEXT.match(text, end, end + 200)
    return _GENDERS.get(match[1].lower(), "n") if match else ""


def subject_pronouns(texts: Iterable[str], forms: Iterable[str]) -> tuple[int, int]:
    """Votes of the sentences that follow a sentence of which the name is the first word."""
    votes = {"m": 0, "f": 0}
    known = [f for f in forms if f]
    for text in texts:
        for start, end in {place for form in known for place in word_places(form, text)}:
            match = _NEXT.match(text, end, end + 200) if _OPENS.search(text, 0, start) else None
            if match:
                votes[_GENDERS[match[1].lower()]] += 1
    return votes["m"], votes["f"]


def follow_pronouns(texts: Iterable[str], forms: Iterable[str]) -> tuple[int, int]:
    """How many mentions a masculine and a feminine pronoun follow, before another name."""
    votes = {"m": 0, "f": 0, "n": 0, "": 0}
    known = [f for f in forms if f]
    for text in texts:
        for end in {end for form in known for _, end in word_places(form, text)}:
            votes[following_pronoun(text, end)] += 1
    return votes["m"], votes["f"]
