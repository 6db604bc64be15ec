"""The lexicon: names of people and places, read once from the package's own file.

The file is made by `tools.lexicon.build` and at most 150 KB. Its SHA-256 goes into
every record, so that two runs that differ in the lexicon can be told apart.
Attribution: people's names from Faker and mimesis (MIT), countries, languages and
currencies from Unicode CLDR, cities from GeoNames (CC BY 4.0).
"""

from __future__ import annotations

import gzip
import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files

from .wording import FUNCTION_WORDS, words

__all__ = ["ARTICLE_COUNTRIES", "Country", "Lexicon", "fold", "load_lexicon"]

_MARKS = re.compile("[\u0300-\u036f]+")  # combining accents

#: Countries that are written with "the".
ARTICLE_COUNTRIES = words(
    """
    US GB NL PH AE BS GM MV CF DO MH SB KM SC FO KY CK FK VG VI TC
    """
)


@dataclass(frozen=True, slots=True)
class Country:
    """One country: `names[0]` is the usual one; `adjective` is "" where none is known."""

    code: str
    continent: str
    names: tuple[str, ...]
    capital: str
    currency: str
    languages: tuple[str, ...]
    adjective: str
    plural: str
    population: int


def fold(text: str) -> str:
    """Lower case without accents: for yes-or-no comparison only, never for offsets."""
    if text.isascii():
        return text.lower()
    return _MARKS.sub("", unicodedata.normalize("NFKD", text.casefold())).replace("’", "'")


@dataclass(slots=True)
class Lexicon:
    """Tables of names; keys are lower-case, values as they are written."""

    sha256: str
    gender: dict[str, str] = field(default_factory=dict)  # first name -> "m", "f", "b" (both)
    first_pool: dict[str, tuple[str, ...]] = field(default_factory=dict)  # "m", "f"
    last_pool: tuple[str, ...] = ()
    surnames: frozenset[str] = frozenset()
    countries: dict[str, Country] = field(default_factory=dict)
    country_names: dict[str, str] = field(default_factory=dict)  # name -> code
    adjectives: dict[str, str] = field(default_factory=dict)  # adjective -> code
    plurals: dict[str, str] = field(default_factory=dict)
    cities: dict[str, tuple[str, ...]] = field(default_factory=dict)  # group -> biggest first
    city_groups: dict[str, tuple[str, ...]] = field(default_factory=dict)  # city -> groups
    city_aliases: dict[str, str] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)  # "TX" -> "Texas"
    wordy: frozenset[str] = frozenset()  # names that are words too
    common: frozenset[str] = frozenset()  # frequent English words
    openers: frozenset[str] = frozenset()  # these, and words that open sentences
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    state_names: frozenset[str] = frozenset()
    place_phrases: dict[str, tuple[str, ...]] = field(default_factory=dict)  # first word -> names
    english_names: frozenset[str] = frozenset()  # first names common in English, no words

    def is_place(self, name: str) -> bool:
        """Whether a city, country or state has this name."""
        key = name.lower()
        return key in self.city_groups or key in self.country_names or key in self.state_names

    def is_city(self, name: str) -> bool:
        """Whether a city has this name, by any of its names."""
        key = name.lower()
        return key in self.city_groups or key in self.city_aliases

    def groups(self, city: str) -> tuple[str, ...]:
        """Countries (for the United States, states as "US-TX") that have such a city."""
        key = city.lower()
        name = self.city_aliases.get(key, city)
        return self.city_groups.get(name.lower(), ())


def _read(data: bytes) -> Iterable[list[str]]:
    for line in gzip.decompress(data).decode("utf-8").split("\n"):
        if line and not line.startswith("#"):
            yield line.split("\t")


@lru_cache(maxsize=1)
def load_lexicon() -> Lexicon:
    """The packaged lexicon; read once, about 20 ms."""
    data = files(__package__).joinpath("lexicon.txt.gz").read_bytes()
    lex = Lexicon(sha256=hashlib.sha256(data).hexdigest())
    surnames: list[str] = []
    english: set[str] = set()
    groups: dict[str, list[str]] = {}
    for kind, *fields in _read(data):
        if kind == "first":
            letter, use, names = fields[0], fields[1], tuple(fields[2].split("|"))
            lex.gender.update((n.lower(), letter) for n in names)
            if use == "pool":
                lex.first_pool[letter] = names
            if use != "known":
                english.update(n.lower() for n in names)
        elif kind == "last":
            names = tuple(fields[1].split("|"))
            surnames.extend(names)
            if fields[0] == "pool":
                lex.last_pool = names
        elif kind == "country":
            _add_country(lex, fields)
        elif kind == "city":
            lex.cities[fields[0]] = tuple(fields[1].split("|"))
            for name in lex.cities[fields[0]]:
                groups.setdefault(name.lower(), []).append(fields[0])
        elif kind == "states":
            lex.states = dict(e.split("=") for e in fields[0].split("|"))
        elif kind == "alias":
            lex.city_aliases = {
                a.lower(): n for a, n in (e.split("=") for e in fields[0].split("|"))
            }
        elif kind == "wordy":
            lex.wordy = frozenset(fields[0].split("|"))
        elif kind == "common":
            lex.common = frozenset(fields[0].split("|"))
            lex.openers = lex.common | FUNCTION_WORDS
        elif kind == "class":
            lex.classes[fields[0]] = tuple(fields[1].split("|"))
    lex.surnames = frozenset(n.lower() for n in surnames)
    lex.city_groups = {n: tuple(g) for n, g in groups.items()}
    lex.english_names = frozenset(english)
    _index_places(lex)
    return lex


def _add_country(lex: Lexicon, fields: list[str]) -> None:
    code, continent, names, capital, currency, languages, adjective, plural, people = fields
    country = Country(
        code,
        continent,
        tuple(names.split("|")),
        capital.strip(),
        currency,
        tuple(languages.split("|")),
        adjective,
        plural,
        int(people),
    )
    lex.countries[code] = country
    for name in country.names:
        lex.country_names.setdefault(name.removeprefix("the ").lower(), code)
    if adjective:
        lex.adjectives.setdefault(adjective.lower(), code)
    if plural:
        lex.plurals.setdefault(plural.lower(), code)


def _index_places(lex: Lexicon) -> None:
    lex.state_names = frozenset(n.lower() for n in lex.states.values())
    phrases: dict[str, set[str]] = {}
    for table in (
        lex.city_groups,
        lex.city_aliases,
        lex.country_names,
        lex.adjectives,
        lex.plurals,
        lex.state_names,
    ):
        for name in table:
            if " " in name:
                phrases.setdefault(name.split(" ")[0], set()).add(name)
    lex.place_phrases = {
        first: tuple(sorted(names, key=lambda n: (-len(n), n))) for first, names in phrases.items()
    }
