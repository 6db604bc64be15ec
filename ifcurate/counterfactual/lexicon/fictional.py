"""Made-up names that no model has seen: finite tables, made from syllables.

Each name has the type and, for people, the gender that its table says, so a
made-up name can be recognised again. Names that exist in the lexicon are left
out of the tables.
"""

from __future__ import annotations

from functools import lru_cache

from .tables import load_lexicon

__all__ = ["fictional_names", "fictional_titles", "fictional_type"]

_PEOPLE = "Bel Dor Fen Gar Hal Jor Kel Lor Nor Pel Ras Sel Tav Vel Wen Zar"
_PARTS = {
    "first:m": (_PEOPLE, "dravan evmir ustrik othan ablos enthar owick umnor ibram artesh"),
    "first:f": (_PEOPLE, "avissa ethella orwyn undena astira elondra omavia iretha ibuna afrisse"),
    "last": (
        "Brin Corv Dask Esk Falv Gresk Hesk Ithv Jask Kranv Lumv Morv Nask Osk Prav",
        "ovane udell imere aholt ingrove axby orren ulard estrin akker",
    ),
    "city": (
        "Bran Calv Dunv Elmv Farn Golv Harv Kesv Lunv Morv Nevr Ostv Ravn Selv Torv",
        "aburg amere adale osko ovik enstad aport infell agrad onne",
    ),
    "country": (
        "Ardv Belv Corv Drav Esk Falv Gelv Hesk Ilv Karth Mavr Oss Prav Ruthv Zamr",
        "onia avia uria esia andia",
    ),
    "company": (
        "Cor Dy Fal Hel Jun Kor Lum Mar Nov Or Pax Quan Rel Syn Tor Vel",
        "vexa trona lidex mantis pheon dravo zenta lucor",
    ),
}
_TITLES = (
    "Silent Distant Hollow Crimson Forgotten Broken Endless Gentle Hidden Restless Winding Frozen "
    "Quiet Scarlet Velvet Wandering",
    "Harbor Lantern Orchard Meridian Sparrow Compass Threshold Cathedral Tide Ember Carousel "
    "Horizon Labyrinth Pendulum Violet Willow",
)


@lru_cache(maxsize=8)
def fictional_names(kind: str) -> tuple[str, ...]:
    """All made-up names of one kind: "first:m", "first:f", "last", "city",
    "country" or "company"."""
    lexicon = load_lexicon()
    starts, ends = (part.split(" ") for part in _PARTS[kind])
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
    first, second = (part.split(" ") for part in _TITLES)
    return tuple(f"{a} {b}" for b in second for a in first)


@lru_cache(maxsize=1)
def _tables() -> dict[str, frozenset[str]]:
    return {kind: frozenset(fictional_names(kind)) for kind in _PARTS}


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
    people = tables["first:m"] | tables["first:f"] | tables["last"]
    if name.removeprefix("The ") in fictional_titles():
        return "WORK"
    long = [w for w in words if len(w.rstrip(".")) > 2]
    return "PERSON" if long and all(w in people for w in long) else ""
