"""The pronouns of a text, and those that refer to a name."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..lexicon.wording import TITLES, word_places

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
#: "Jess Walton (born 1949) is an American actress", "Kugel, a businessman"
_NOUNS = {word: gender for word, gender in TITLES.items() if gender} | {"man": "m", "woman": "f"}
_NOUN = re.compile(
    r"(?: \([^()\n]{0,60}\))?(?: is| was|,) (?:an?|the) (?:(?!(?:of|to|for|and) )[\w-]+ ){0,4}?"
    rf"({'|'.join(_NOUNS)})\b(?!['’])"
)


def count_pronouns(texts: Iterable[str]) -> tuple[int, int]:
    """The numbers of masculine and of feminine pronouns in the texts."""
    he = she = 0
    for text in texts:
        he += len(_HE.findall(text))
        she += len(_SHE.findall(text))
    return he, she


def following_pronoun(text: str, end: int, *, opens: bool = True) -> str:
    """The gender ("m", "f", "n" or "") of the first pronoun after a name that ends at `end`."""
    match = _FOLLOWS.match(text, end, end + 200)
    if match is None and opens:  # the next sentence usually has the same subject
        match = _NEXT.match(text, end, end + 200)
    return _GENDERS.get(match[1].lower(), "n") if match else ""


def subject_votes(texts: Iterable[str], forms: Iterable[str]) -> tuple[int, int]:
    """The masculine and the feminine votes of the sentences that begin with the name.

    The vote is that of a noun that describes the name, or else of the pronoun that begins the
    next sentence.
    """
    votes = {"m": 0, "f": 0}
    known = [f for f in forms if f]
    for text in texts:
        for start, end in {place for form in known for place in word_places(form, text)}:
            if not _OPENS.search(text, 0, start):
                continue
            if noun := _NOUN.match(text, end, end + 200):
                votes[_NOUNS[noun[1]]] += 1
            elif pronoun := _NEXT.match(text, end, end + 200):
                votes[_GENDERS[pronoun[1].lower()]] += 1
    return votes["m"], votes["f"]


def follow_pronouns(texts: Iterable[str], forms: Iterable[str]) -> tuple[int, int]:
    """How many mentions a masculine and a feminine pronoun follow, before another name."""
    votes = {"m": 0, "f": 0, "n": 0, "": 0}
    known = [f for f in forms if f]
    for text in texts:
        for end in {end for form in known for _, end in word_places(form, text)}:
            votes[following_pronoun(text, end)] += 1
    return votes["m"], votes["f"]
