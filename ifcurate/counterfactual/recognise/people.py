"""Names of people, and the pronouns that refer to them.

A name is listed, or the text shows that it is a person's. An unlisted name needs evidence around
it: "Kugel's wife", "Kugel, who", "his friend Kugel", a pronoun that refers to it. Evidence against
it ("the Kugel", "in Kugel", "Kugel magazine") has more weight than evidence for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..lexicon.tables import LEXICON
from ..lexicon.wording import (
    ENDINGS,
    INITIALS,
    NO_SURNAMES,
    SHORT_NAMES,
    SUFFIX,
    TITLES,
    either,
    fold,
    word_before,
    word_places,
    word_set,
)
from .spans import Shape

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

_GENDERS = dict.fromkeys(("he", "him", "his", "himself"), "m")
_GENDERS |= dict.fromkeys(("she", "her", "hers", "herself"), "f")
_NOUNS = {word: gender for word, gender in TITLES.items() if gender} | {"man": "m", "woman": "f"}
#: "a young woman named Kugel"
_NAMED = re.compile(rf"\b({'|'.join(_NOUNS)}) (?:named|called) \Z")


def count_pronouns(texts: Iterable[str]) -> tuple[int, int]:
    """Return the numbers of masculine and of feminine pronouns in the texts."""
    he = she = 0
    for text in texts:
        he += len(_HE.findall(text))
        she += len(_SHE.findall(text))
    return he, she


def following_pronoun(text: str, end: int, *, opens: bool = True) -> str:
    """Return the gender ("m", "f", "n" or "") of the first pronoun after a name."""
    match = _FOLLOWS.match(text, end, end + 200)
    if match is None and opens:  # the next sentence usually has the same subject
        match = _NEXT.match(text, end, end + 200)
    return _GENDERS.get(match[1].lower(), "n") if match else ""


def introduced_as(texts: Iterable[str], forms: Iterable[str]) -> tuple[int, int]:
    """Return how often a masculine and a feminine noun introduce the name: "a woman named"."""
    known = [f for f in forms if f]
    starts = ((text, at) for text in texts for form in known for at, _ in word_places(form, text))
    nouns = (_NAMED.search(text, max(0, start - 32), start) for text, start in starts)
    votes = [_NOUNS[noun[1]] for noun in nouns if noun]
    return votes.count("m"), votes.count("f")


def follow_pronouns(texts: Iterable[str], forms: Iterable[str]) -> tuple[int, int]:
    """Return how many mentions a masculine and a feminine pronoun follow, before another name."""
    votes = {"m": 0, "f": 0, "n": 0, "": 0}
    known = [f for f in forms if f]
    for text in texts:
        for end in {end for form in known for _, end in word_places(form, text)}:
            votes[following_pronoun(text, end)] += 1
    return votes["m"], votes["f"]


PersonName = tuple[Shape, str]  # shape, and gender ("m", "f", "b", "")

_NUMERAL = re.compile(r"[IVX]+\Z")
_KIN = either("kin")
_OWNED = either("owned")
_PERSON_AFTER = re.compile(
    rf"['’]s? (?:\w+ )?(?:{_KIN}|{_OWNED})\b| \((?:born|b\.|d\.|\d{4} ?[-–] ?\d{2, 4}\))|"
    rf" (?:{either('person_verbs')})\b"
)
_SPEECH_AFTER = re.compile(rf"['’]s\b|,? (?:who|whom|whose)\b| (?:{either('after_people')})\b")
_ROLE = f"{_KIN}|{either('people_by_role')}"
_PERSON_BEFORE = re.compile(
    rf"\b(?:{_ROLE})"
    rf",? (?:is |was )?(?:named |called )?\Z|\b(?:{either('done_by_people')}) by \Z|"
    r"\bmarried (?:to )?\Z|\bstarring \Z"
)
#: Last words of matches of `_PERSON_BEFORE`; a cheap test before the pattern.
BEFORE_PEOPLE = {w for w in re.split(r"\W+", _ROLE) if w} | word_set("before_people")
_NO_PERSON_BEFORE = word_set("no_person_before")
_NO_PERSON_AFTER = re.compile(
    rf" (?:{either('no_person_after')})\b|['’]s (?:{either('no_person_owned')})\b|,? which\b|"
    rf",? (?:is |was )?(?:an?|the) (?:[\w-]+ ){{0,4}}?(?:{either('no_person_called')})\b",
    re.I,
)
_RATHER_NAMES = word_set("rather_names")  # names when another name follows
_REGION = re.compile(r", ([A-Z]\w+(?: [A-Z]\w+)?)")
#: Titles before a given name.
_GIVEN_TITLES = word_set("given_titles")
#: Capitalised words that do not name a person.
_NO_NAMES = word_set("no_names")


def evidence_at(text: str, start: int, end: int, *, opens: bool) -> int:
    """Return the evidence around one mention: above 0 for a person, below 0 for something else."""
    before, after = word_before(text, start), text[end : end + 70]
    score = 0
    if before in _NO_PERSON_BEFORE or _NO_PERSON_AFTER.match(after):
        score -= 4
    region = _REGION.match(after)
    if region and LEXICON.is_region(region[1]):
        score -= 4
    pronoun = following_pronoun(text, end, opens=opens)
    if _PERSON_AFTER.match(after) or _is_introduced(text, start, before):
        score += 2
    elif pronoun in {"m", "f"}:
        score += 1 if opens else 2
    elif _SPEECH_AFTER.match(after):
        score += 1
    return min(score, 2) - (pronoun == "n")


def _is_introduced(text: str, start: int, before: str) -> bool:
    """Return whether the words before a name introduce a person: "his friend Kugel"."""
    can_end = before in BEFORE_PEOPLE or text[start - 2 : start] == ", "
    return can_end and bool(_PERSON_BEFORE.search(text, max(0, start - 32), start))


def may_be_named(parts: Sequence[str]) -> bool:
    """Return whether unlisted words could be the name of a person."""
    if not 1 <= len(parts) <= 4 or SUFFIX.match(parts[-1]):
        return False
    return is_listed_pair(parts) or not any(_names_something_else(part) for part in parts)


def is_listed_pair(parts: Sequence[str]) -> bool:
    """Return whether two words are a listed given name and family name: not "Charlie Company"."""
    first, last = fold(parts[0]), fold(parts[-1])
    listed = first in LEXICON.gender and last in LEXICON.surnames
    return listed and len(parts) == 2 and ENDINGS.get(last) != "ORG"


def _names_something_else(part: str) -> bool:
    key = fold(part)
    if any(key in t for t in (_NO_NAMES, LEXICON.openers, NO_SURNAMES, TITLES)):
        return True
    if LEXICON.is_place(key):
        return True
    acronym = part.isupper() and len(part) > 1 and "." not in part
    return acronym or (len(key) < 3 and not INITIALS.match(part))


def person_name(parts: Sequence[str], title: str = "") -> PersonName | None:
    """Shape and gender of a name by the lists and its title, None if it is not listed."""
    said = TITLES.get(title, "") if title else ""
    if len(parts) == 1:
        return _single(fold(parts[0]), title, said)
    if title and len(parts) == 2 and _NUMERAL.match(parts[1]):
        return "given", said or LEXICON.gender.get(fold(parts[0]), "")
    return _several(parts, title, said) if _name_shaped(parts) else None


def unlisted_name(parts: Sequence[str], title: str = "") -> PersonName:
    """Shape and gender of a person whose name is not in the lists."""
    key = fold(parts[0])
    gender = TITLES.get(title, "") or LEXICON.gender.get(key, "")
    alone: Shape = "family" if title or (key in LEXICON.surnames and not gender) else "given"
    return ("full" if len(parts) > 1 else alone), gender


def _several(parts: Sequence[str], title: str, said: str) -> PersonName | None:
    first, last = fold(parts[0]), fold(parts[-1])
    first = first if first in LEXICON.gender else first.split("-")[0]
    if first in LEXICON.gender:
        return ("full", said or LEXICON.gender[first]) if _is_given(first, last) else None
    family = last in LEXICON.surnames
    named = (title and family) or _is_initialled(parts[0], last, family, last in LEXICON.gender)
    return ("full", said) if named else None


def _is_initialled(first: str, last: str, family: bool, given: bool) -> bool:
    """Return whether an initial precedes a family name: "P. Walters", but not "pot B. Tim"."""
    dotted = "." in first and len(last) > 3 and not given
    return bool(INITIALS.match(first)) and (family or dotted)


def _is_given(first: str, last: str) -> bool:
    """Return whether a word is used as a listed first name.

    A common word or a place needs a listed family name.
    """
    wordy = first in LEXICON.wordy or LEXICON.is_place(first)
    known = first in SHORT_NAMES or first in _RATHER_NAMES
    return not wordy or known or last in LEXICON.surnames


def _single(key: str, title: str, said: str) -> PersonName | None:
    if title:
        return _titled(key, title, said)
    if key in SHORT_NAMES:
        return ("given", SHORT_NAMES[key]) if SHORT_NAMES[key] else None
    gender = LEXICON.gender.get(key, "")
    return ("given", gender) if gender and key in LEXICON.english_names else None


def _titled(key: str, title: str, said: str) -> PersonName | None:
    """One word after a title: a given name after "Queen", a family name after "Dr."."""
    if key in LEXICON.gender and title in _GIVEN_TITLES:
        return "given", said or LEXICON.gender[key]
    return None if LEXICON.is_place(key) or len(key) < 3 else ("family", said)


def _name_shaped(parts: Sequence[str]) -> bool:
    if not 2 <= len(parts) <= 4:
        return False
    last = fold(parts[-1])
    if len(last) < 3 or last in LEXICON.nations or SUFFIX.match(parts[-1]):
        return False
    later = {fold(p) for p in parts[1:]}
    ends = {w.removesuffix("s") for w in later - LEXICON.surnames} | later
    return not ends & NO_SURNAMES and not later & LEXICON.common
