"""The lexicon: names of people and places, read once from a file in the package.

`tools.lexicon.build` makes the file, of at most 150 KB. Its SHA-256 is part of every record, so
that runs with different lexicons can be distinguished.
Attribution: people's names from Faker and mimesis (MIT), countries, languages and currencies
from Unicode CLDR, cities from GeoNames (CC BY 4.0).
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Literal

from .wording import FUNCTION_WORDS, fold, word_list, word_set

#: Countries that are written with "the".
ARTICLE_COUNTRIES = word_set("article_countries")


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


class Lexicon:
    """Tables of names: keys are lower case (names of people folded), values as written."""

    def __init__(self, data: bytes):
        """Read the tables of a file: lines of tab-separated fields that begin with a kind."""
        self.sha256 = hashlib.sha256(data).hexdigest()
        kinds: dict[str, list[list[str]]] = {}
        for line in gzip.decompress(data).decode("utf-8").split("\n"):
            kind, *fields = line.split("\t")
            kinds.setdefault(kind, []).append(fields)
        self._read_words(kinds)
        self._read_people(kinds)
        self._read_places(kinds)

    def _read_words(self, kinds: dict[str, list[list[str]]]) -> None:
        self.wordy = frozenset(_names(kinds["wordy"][0][0]))  # names that are also words
        self.common = frozenset(_names(kinds["common"][0][0]))  # frequent English words
        self.openers = self.common | FUNCTION_WORDS
        self.classes = {kind: _names(names) for kind, names in kinds["class"]}
        # folded place -> class; the other classes are things (animals, currencies)
        places = word_list("place_classes")
        self.class_of = {fold(n): kind for kind in places for n in self.classes[kind]}

    def _read_people(self, kinds: dict[str, list[list[str]]]) -> None:
        self.gender: dict[str, str] = {}  # folded first name -> "m", "f", "b" (both)
        self.english_names: set[str] = set()  # common English first names that are not words
        for gender, use, names in kinds["first"]:
            folded = [fold(n) for n in _names(names)]
            # "Renée" does not change the entry of "Renee"
            self.gender = dict.fromkeys(folded, gender) | self.gender
            self.english_names |= set(folded) if use != "known" else set()
        self.first_pool = {g: _names(names) for g, use, names in kinds["first"] if use == "pool"}
        self.surnames = {fold(n) for _, names in kinds["last"] for n in _names(names)}
        self.last_pool = next(_names(names) for use, names in kinds["last"] if use == "pool")

    def _read_places(self, kinds: dict[str, list[list[str]]]) -> None:
        self.countries: dict[str, Country] = {}
        self.country_names: dict[str, str] = {}  # name -> code
        for code, continent, names, capital, currency, languages, *more in kinds["country"]:
            self.countries[code] = Country(
                *(code, continent, _names(names), capital.strip(), currency, _names(languages)),
                *(more[0], more[1], int(more[2])),
            )
            for name in _names(names):
                self.country_names.setdefault(name.removeprefix("the ").lower(), code)
        by_code = self.countries.items()
        self.adjectives = {c.adjective.lower(): code for code, c in reversed(by_code)}
        self.plurals = {c.plural.lower(): code for code, c in reversed(by_code)}
        del self.adjectives[""], self.plurals[""]
        self.cities = {group: _names(names) for group, names in kinds["city"]}  # biggest first
        self.city_groups: dict[str, tuple[str, ...]] = {}  # city -> groups
        for group, cities in self.cities.items():
            for key in map(str.lower, cities):
                self.city_groups[key] = (*self.city_groups.get(key, ()), group)
        aliases = _pairs(kinds["alias"][0][0])
        self.city_aliases = {alias.lower(): name for alias, name in aliases.items()}
        self.states = _pairs(kinds["states"][0][0])  # "TX" -> "Texas"
        self.state_names = frozenset(n.lower() for n in self.states.values())
        self.nations = frozenset({*self.country_names, *self.adjectives, *self.state_names})
        self.place_phrases: dict[str, list[str]] = {}  # first word -> names, longest first
        places = {*self.city_groups, *self.city_aliases, *self.nations, *self.plurals}
        for name in sorted(places, key=lambda n: (-len(n), n)):
            if " " in name:
                self.place_phrases.setdefault(name.split(" ")[0], []).append(name)

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


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split("|"))


def _pairs(text: str) -> dict[str, str]:
    return dict(entry.split("=") for entry in text.split("|"))


#: The packaged lexicon; reading it takes about 20 ms.
LEXICON: Final = Lexicon(files(__package__).joinpath("lexicon.txt.gz").read_bytes())
