"""H12: a city stays in its country, and a country is kept if its cities are named."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ..checks import Check, Refusal
from ..lexicon.tables import LEXICON, Country
from ..lexicon.wording import either, fold, has_word
from .cases import Case

_PINNED = re.compile(rf"\b(?:{either('country_words')})\b", re.I)
_CITY_PINNED = re.compile(rf"\b(?:{either('city_words')})\b", re.I)
#: First-level regions outside the United States that are frequent in English texts.
_PROVINCE = re.compile(rf"\b(?:{either('provinces')})\b")
#: Sights that identify a city: "the Eiffel Tower", "Lake Zurich".
_SIGHT = re.compile(
    rf"\b[A-Z][\w'’-]+ (?:{either('sights')})\b|"
    r"\b(?:River|Lake|Mount|University of|Gulf of|Bay of) [A-Z]"
)


def settle_group(groups: Sequence[str], texts: Mapping[str, str], city: str) -> str:
    """Return the country (or "US-TX") of a city; raises `Refusal` if there are several."""
    folded, known = fold("\n".join(texts.values())), list(dict.fromkeys(groups))
    supported = [g for g in known if supports_group(g, folded)]
    ruled = (g for g in known if g in LEXICON.countries and LEXICON.countries[g].capital == city)
    for choice in (supported, known, list(ruled)):
        if len(choice) == 1:
            return choice[0]
    raise Refusal(Check.GEOGRAPHY, f"{city!r} is in {len(known)} countries or states")


def supports_group(group: str, folded: str) -> bool:
    """Return whether a folded text names the country (or, for "US-TX", the state)."""
    if group.startswith("US-"):
        return has_word(fold(LEXICON.states[group[3:]]), folded)
    country = LEXICON.countries[group]
    names = (*country.names, country.adjective)
    return any(len(n) > 3 and has_word(fold(n), folded) for n in names)


def check_geography(case: Case) -> Iterator[str]:
    """H12: the rest of the text does not identify the city or the country."""
    if case.plan.source == "alias" or case.plan.new_type:
        return
    if case.plan.type == "CITY":
        yield from _check_city(case)
    elif case.plan.type == "COUNTRY":
        yield from _check_country(case)


def _check_country(case: Case) -> Iterator[str]:
    folded = fold("\n".join(case.before.values()))
    codes = [case.plan.span.code, LEXICON.country(case.plan.substitute)[1]]
    for country in (LEXICON.countries[c] for c in dict.fromkeys(codes) if c):
        if pin := _pin(country, folded):
            yield f"{pin!r} belongs to {country.names[0]}"
    for text in case.before.values():
        if pinned := _PINNED.search(text):
            yield f"{pinned.group()!r} describes a country"


def _check_city(case: Case) -> Iterator[str]:
    plan, original = case.plan, case.plan.original
    old, new = set(plan.span.groups), set(LEXICON.groups(plan.substitute))
    if plan.source not in {"fictional", "corpus"} and old and new and not old & new:
        yield f"{plan.substitute!r} is in another country than {original!r}"
    region = re.compile(rf"(?<!\w){re.escape(original)}, ([A-Z][\w'’-]+(?: [A-Z]\w+)?)")
    for text in case.before.values():
        if pinned := _CITY_PINNED.search(text) or _SIGHT.search(text) or _PROVINCE.search(text):
            yield f"{pinned.group()!r} describes a city"
        for after in region.finditer(text):
            if not LEXICON.is_region(after[1]):
                yield f"{after.group()!r} may be a city of that region"


def _pin(country: Country, folded: str) -> str:
    """Return the first city, state or language of the country in the text; "" if there is none."""
    words = [country.capital, *country.languages, *LEXICON.cities.get(country.code, ())]
    if country.code == "US":
        words += LEXICON.states.values()
        words += (c for g, cs in LEXICON.cities.items() if g[:3] == "US-" for c in cs[:6])
    own = {fold(n) for n in (*country.names, country.adjective, country.plural)}
    for word in words:
        key = fold(word)
        if len(key) > 3 and key not in own and has_word(key, folded):
            return word
    spoken = country.adjective in country.languages and _is_spoken(fold(country.adjective), folded)
    return country.adjective if spoken else ""


def _is_spoken(adjective: str, folded: str) -> bool:
    """Return whether the text uses a country's adjective as the name of a language."""
    speak = r"(?:speak|spoke|language|translat|learn|fluent|in|talk|writ|read|t(?:ea|au)ght?|study|"
    speak += rf"understand|word)\w* (?:\w+ )?{adjective}\b"
    return bool(re.search(rf"{speak}|{adjective} ?[.,;:!?)]", folded))
