"""What the lexicon's tables alone say of a name, without any text around it."""

from __future__ import annotations

import re

from .fictional import fictional_type
from .tables import Lexicon, fold, load_lexicon
from .wording import HONOURS, PARTICLES

__all__ = ["types_by_table"]


def types_by_table(name: str) -> set[str]:
    """All types that a name can have by the tables; PERSON, CITY, COUNTRY, LOC or a made-up one.

    A name of several parts is a PERSON when its first is a first name and its
    last a family name.
    """
    lexicon = load_lexicon()
    found = {fictional_type(name)} - {""}
    if _is_person(fold(name), lexicon):
        found.add("PERSON")
    if lexicon.is_city(name):
        found.add("CITY")
    if lexicon.country(name)[0]:
        found.add("COUNTRY")
    if fold(name) in lexicon.class_of:
        found.add("LOC")
    return found


def _is_person(key: str, lexicon: Lexicon) -> bool:
    words = [re.sub(r"\A\W|\W\Z", "", w) for w in key.split(" ") if w not in PARTICLES | HONOURS]
    words = words[: words.index("the")] if "the" in words else words
    words = [w for w in words if not re.fullmatch(r"(?:jr|sr|[ivx]+|[a-z])\.?|(?:[a-z]\.)+", w)]
    if not words:
        return False
    first, last = words[0].split("-")[0], words[-1]
    if len(words) == 1:
        return first in lexicon.gender or first in lexicon.surnames
    return first in lexicon.gender and (last in lexicon.surnames or last in lexicon.gender)
