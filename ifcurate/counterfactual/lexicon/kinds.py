"""What the lexicon's tables alone say of a name, without any text around it."""

from __future__ import annotations

import re
from functools import lru_cache

from ..edit.forms import HONOURS
from .fictional import fictional_type
from .tables import load_lexicon
from .wording import PARTICLES

__all__ = ["types_by_table"]


def types_by_table(name: str) -> set[str]:
    """All types that a name can have by the tables: PERSON, CITY, COUNTRY, class names in capitals.

    A name of several parts is a PERSON when its first is a first name and its
    last a family name.
    """
    lexicon = load_lexicon()
    key = name.lower()
    found = {fictional_type(name)} - {""}
    words = [w for w in key.split(" ") if w not in PARTICLES | HONOURS]
    words = words[: words.index("the")] if "the" in words else words
    words = [w for w in words if not re.fullmatch(r"(?:jr|sr|i{1,3}|iv|vi{0,3}|[a-z])\.?", w)]
    if not words:
        return found
    first, last = words[0], words[-1]
    if first in lexicon.gender and (len(words) == 1 or last in lexicon.surnames):
        found.add("PERSON")
    if len(words) == 1 and first in lexicon.surnames:
        found.add("PERSON")
    if lexicon.is_city(key):
        found.add("CITY")
    if key in lexicon.country_names or key in lexicon.adjectives or key in lexicon.plurals:
        found.add("COUNTRY")
    if key.removesuffix("n") in _lowered(lexicon.classes["continent"]) or key == "european":
        found.add("CONTINENT")  # African, South American
    found.update(
        kind.upper()
        for kind, names in lexicon.classes.items()
        if key in _lowered(names) or key.removesuffix("s") in _lowered(names)
    )
    return found


@lru_cache(maxsize=64)
def _lowered(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(n.lower().removesuffix("s") if " " not in n else n.lower() for n in names) | (
        frozenset(n.lower() for n in names)
    )
