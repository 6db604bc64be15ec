"""Made-up names that no model has seen: finite tables, made from syllables.

Each name has the type and, for people, the gender that its table says, so a
made-up name can be recognised again. Names that exist in the lexicon are left
out of the tables.
"""

from __future__ import annotations

from functools import lru_cache

from .tables import load_lexicon
from .wording import word_sets

__all__ = ["fictional_names", "fictional_titles", "fictional_type"]


_KINDS = ("first_m", "first_f", "last", "city", "country", "company")
_PARTS = word_sets("made_up")


@lru_cache(maxsize=8)
def fictional_names(kind: str) -> tuple[str, ...]:
    """All made-up names of one kind: "first_m", "first_f", "last", "city",
    "country" or "company"."""
    lexicon = load_lexicon()
    starts, ends = (_PARTS[f"{kind}_{part}"] for part in ("starts", "ends"))
    names = (a + b for b in ends for a in starts)
    return tuple(
        n
        for n in names
        if n.lower() not in lexicon.gender
        and n.lower() not in lexicon.surnames
        and not lexicon.is_place(n)
    )


@lru_cache(maxsize=1)
def fictional_titles() -> tuple[str, ...]:
    """Made-up titles of works: "Silent Harbor"."""
    first, second = (_PARTS[f"title_{part}"] for part in ("first", "second"))
    return tuple(f"{a} {b}" for b in second for a in first)


@lru_cache(maxsize=1)
def _tables() -> dict[str, frozenset[str]]:
    return {kind: frozenset(fictional_names(kind)) for kind in _KINDS}


def fictional_type(name: str) -> str:
    """PERSON, CITY, COUNTRY, ORG or WORK for a made-up name, "" for any other text."""
    tables = _tables()
    words = name.split(" ")
    if len(words) == 1:
        if name in tables["city"]:
            return "CITY"
        if name in tables["country"]:
            return "COUNTRY"
        if name in tables["company"]:
            return "ORG"
    people = tables["first_m"] | tables["first_f"] | tables["last"]
    if name.removeprefix("The ") in fictional_titles():
        return "WORK"
    long = [w for w in words if len(w.rstrip(".")) > 2]
    return "PERSON" if long and all(w in people for w in long) else ""
