"""The lexicon: names of people and places, read once from a file in the package.

`tools.lexicon.build` makes the file, of at most 150 KB. Its SHA-256 is part of every record, so
that runs with different lexicons can be distinguished.
Attribution: people's names from Faker and mimesis (MIT), countries, languages and currencies
from Unicode CLDR, cities from GeoNames (CC BY 4.0).
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Final, Literal

from .wording import FUNCTION_WORDS, fold, word_list, word_set

#: Countries that are written with "the".
ARTICLE_COUNTRIES = word_set("article_countries")

#: Classes of the lexicon whose names are places; others are things (animals, currencies).
PLACE_CLASSES = word_list("place_classes")


@dataclass(frozen=True, slots=True)
class Country:
    """One country: `names[0]` is its usual name; `adjective` is "" if none is known."""

    code: str
    continent: str
    names: tuple[str, ...]
    capital: str
    currency: str
    languages: tuple[str, ...]
    adjective: str
    plural: str
    population: int


@dataclass(slots=True)
class Lexicon:
    """Tables of names: keys are lower case (names of people folded), values as written."""

    sha256: str
    gender: dict[str, str] = field(default_factory=dict)  # folded first name -> "m", "f", "b"
    first_pool: dict[str, tuple[str, ...]] = field(default_factory=dict)  # "m", "f"
    last_pool: tuple[str, ...] = ()
    surnames: set[str] = field(default_factory=set)
    countries: dict[str, Country] = field(default_factory=dict)
    country_names: dict[str, str] = field(default_factory=dict)  # name -> code
    adjectives: dict[str, str] = field(default_factory=dict)  # adjective -> code
    plurals: dict[str, str] = field(default_factory=dict)
    cities: dict[str, tuple[str, ...]] = field(default_factory=dict)  # group -> biggest first
    city_groups: dict[str, tuple[str, ...]] = field(default_factory=dict)  # city -> groups
    city_aliases: dict[str, str] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)  # "TX" -> "Texas"
    wordy: frozenset[str] = frozenset()  # names that are also words
    common: frozenset[str] = frozenset()  # frequent English words
    openers: frozenset[str] = frozenset()  # these and function words
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    state_names: frozenset[str] = frozenset()
    place_phrases: dict[str, tuple[str, ...]] = field(default_factory=dict)  # first word -> names
    class_of: dict[str, str] = field(default_factory=dict)  # folded place -> class
    nations: frozenset[str] = frozenset()  # names and adjectives of countries, names of states
    english_names: set[str] = field(
        default_factory=set
    )  # common English first names that are not words

    def is_place(self, name: str) -> bool:
        """Return whether a city, country or state has this name."""
        key = name.lower()
        return key in self.city_groups or key in self.country_names or key in self.state_names

    def is_city(self, name: str) -> bool:
        """Return whether a city has this name or alias."""
        key = name.lower()
        return key in self.city_groups or key in self.city_aliases

    def is_region(self, name: str) -> bool:
        """Return whether a place has this name, or a state this code ("TX")."""
        return self.is_place(name) or name in self.states

    def country(self, name: str) -> tuple[Literal["", "name", "adjective", "plural"], str]:
        """Return the form of a country's name and the country's code; ("", "") for other names."""
        key = name.lower()
        if key in self.country_names:
            return "name", self.country_names[key]
        if key in self.adjectives:
            return "adjective", self.adjectives[key]
        return ("plural", self.plurals[key]) if key in self.plurals else ("", "")

    def groups(self, city: str) -> tuple[str, ...]:
        """Countries (in the United States, states as "US-TX") that have a city of this name."""
        key = city.lower()
        name = self.city_aliases.get(key, city)
        return self.city_groups.get(name.lower(), ())


def _read_lexicon(data: bytes) -> Lexicon:
    """Return the tables of the file: lines of tab-separated fields that begin with a kind."""
    lex = Lexicon(sha256=hashlib.sha256(data).hexdigest())
    for line in gzip.decompress(data).decode("utf-8").split("\n"):
        match line.split("\t"):
            case "first", gender, use, names:
                _add_first(lex, gender, use, _names(names))
            case "last", use, names:
                _add_last(lex, use, _names(names))
            case "country", *fields:
                _add_country(lex, *fields)
            case "city", group, names:
                _add_cities(lex, group, _names(names))
            case "class", kind, names:
                lex.classes[kind] = _names(names)
            case "states", pairs:
                lex.states = _pairs(pairs)
            case "alias", pairs:
                lex.city_aliases = _pairs(pairs)
            case "wordy", names:
                lex.wordy = frozenset(_names(names))
            case "common", names:
                lex.common = frozenset(_names(names))
    _index_places(lex)
    return lex


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split("|"))


def _pairs(text: str) -> dict[str, str]:
    return dict(entry.split("=") for entry in text.split("|"))


def _add_first(lex: Lexicon, gender: str, use: str, names: tuple[str, ...]) -> None:
    folded = [fold(n) for n in names]
    for name in folded:  # "Renée" does not change the entry of "Renee"
        lex.gender.setdefault(name, gender)
    if use == "pool":
        lex.first_pool[gender] = names
    if use != "known":
        lex.english_names |= set(folded)


def _add_last(lex: Lexicon, use: str, names: tuple[str, ...]) -> None:
    lex.surnames |= {fold(n) for n in names}
    if use == "pool":
        lex.last_pool = names


def _add_cities(lex: Lexicon, group: str, names: tuple[str, ...]) -> None:
    lex.cities[group] = names
    for key in map(str.lower, names):
        lex.city_groups[key] = (*lex.city_groups.get(key, ()), group)


def _add_country(lex: Lexicon, code: str, continent: str, names: str, *others: str) -> None:
    capital, currency, languages, adjective, plural, people = others
    country = Country(
        *(code, continent, _names(names), capital.strip(), currency, _names(languages)),
        *(adjective, plural, int(people)),
    )
    lex.countries[code] = country
    for name in country.names:
        lex.country_names.setdefault(name.removeprefix("the ").lower(), code)
    if adjective:
        lex.adjectives.setdefault(adjective.lower(), code)
    if plural:
        lex.plurals.setdefault(plural.lower(), code)


def _index_places(lex: Lexicon) -> None:
    lex.openers = lex.common | FUNCTION_WORDS
    lex.city_aliases = {alias.lower(): name for alias, name in lex.city_aliases.items()}
    lex.state_names = frozenset(n.lower() for n in lex.states.values())
    lex.nations = frozenset({*lex.country_names, *lex.adjectives, *lex.state_names})
    lex.class_of = {fold(n): kind for kind in PLACE_CLASSES for n in lex.classes[kind]}
    phrases: dict[str, set[str]] = {}
    for name in {*lex.city_groups, *lex.city_aliases, *lex.nations, *lex.plurals}:
        if " " in name:
            phrases.setdefault(name.split(" ")[0], set()).add(name)
    lex.place_phrases = {
        first: tuple(sorted(names, key=lambda n: (-len(n), n))) for first, names in phrases.items()
    }


#: The packaged lexicon; reading it takes about 20 ms.
LEXICON: Final = _read_lexicon(files(__package__).joinpath("lexicon.txt.gz").read_bytes())
