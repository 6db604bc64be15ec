"""H12: a city stays in its country, a country is not swapped from under its cities."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ..edit.forms import Refusal, Substitution
from ..lexicon.tables import Country, Lexicon, fold

__all__ = ["check_geography", "is_named", "settle_group", "supports_group"]

_PINNED = re.compile(
    r"\b(?:capital|embassy|consulate|parliament|president|prime minister|king|queen|emperor|"
    r"border(?:s|ing|ed)?|neighbou?r(?:s|ing)?|coast|island|peninsula|language|currency|"
    r"provinces?|continent)\b",
    re.I,
)
_CITY_PINNED = re.compile(
    r"\b(?:capital|river|coast(?:al)?|harbou?r|seaside|beach(?:es)?|mayor|borough|suburbs?|"
    r"landmarks?|skyline|miles? (?:north|south|east|west)|km (?:north|south|east|west)|"
    r"(?:north|south|east|west)(?:ern)? of|downtown|metro(?:politan)?|airport|population|"
    r"largest city|metropolis)\b",
    re.I,
)
#: A named sight says which city it is: "the Eiffel Tower", "Lake Zurich".
_SIGHT = re.compile(
    r"\b[A-Z][\w'’-]+ (?:Tower|Bridge|Cathedral|Museum|Palace|Wall|Square|Gate|Park|Stadium|Temple|"
    r"Abbey|Basilica|Castle|Opera House|Harbou?r|Bay|River|Lake|Mountains?|Canal|Island|Beach|"
    r"University|Airport|Station)\b|\b(?:River|Lake|Mount|University of|Gulf of|Bay of) [A-Z]"
)


def is_named(name: str, folded: str) -> bool:
    """Whether a folded text has the name as whole words."""
    key = fold(name)
    return key in folded and bool(re.search(rf"(?<!\w){re.escape(key)}(?!\w)", folded))


def settle_group(
    groups: Iterable[str], texts: Mapping[str, str], city: str, lexicon: Lexicon
) -> str:
    """The one country (or "US-TX") that a city of this name is in; raises `Refusal` if unsure."""
    folded = fold("\n".join(texts.values()))
    supported = [g for g in dict.fromkeys(groups) if supports_group(g, folded, lexicon)]
    if len(supported) == 1:
        return supported[0]
    all_groups = list(dict.fromkeys(groups))
    if len(all_groups) == 1:
        return all_groups[0]
    capital = [
        g for g in all_groups if g in lexicon.countries and lexicon.countries[g].capital == city
    ]
    if not supported and len(capital) == 1:
        return capital[0]
    raise Refusal("H12", f"{city!r} is in {len(all_groups)} countries or states")


def supports_group(group: str, folded: str, lexicon: Lexicon) -> bool:
    """Whether a folded text names the country (or, for "US-TX", the state)."""
    if group.startswith("US-"):
        state = lexicon.states.get(group[3:], "")
        return bool(state) and (
            is_named(state, folded) or bool(re.search(rf", {group[3:].lower()}\b", folded))
        )
    country = lexicon.countries.get(group)
    if country is None:
        return False
    names = (*country.names, country.adjective)
    return any(len(n) > 3 and is_named(n, folded) for n in names)


def check_geography(
    plan: Substitution, before: Mapping[str, str], lexicon: Lexicon, *, anchored: bool = False
) -> None:
    """Raise `Refusal` where the rest of the text says which city or country it must be.

    With an answer that was given (`anchored`), what is said of the place is what
    is asked, and only names that belong to the old or the new country count.
    """
    if plan.type == "CITY" and not anchored and not _same_country(plan, lexicon):
        raise Refusal("H12", f"{plan.substitute!r} is in another country than {plan.original!r}")
    if plan.type == "CITY" and not anchored:
        for text in before.values():
            if found := _CITY_PINNED.search(text) or _SIGHT.search(text):
                raise Refusal("H12", f"{found.group()!r} is said of a city")
    if plan.type != "COUNTRY" or ":" not in plan.detail:
        return
    folded = fold("\n".join(before.values()))
    old = lexicon.countries[plan.detail.split(":")[1]]
    new_code = (
        lexicon.country_names.get(plan.substitute.lower())
        or lexicon.adjectives.get(plan.substitute.lower())
        or lexicon.plurals.get(plan.substitute.lower())
    )
    pinned = [old, lexicon.countries[new_code]] if new_code else [old]
    for country in pinned:
        if found_name := _pin(country, folded, lexicon):
            raise Refusal("H12", f"{found_name!r} belongs to {country.names[0]}")
    for text in before.values() if not anchored else ():
        if found := _PINNED.search(text):
            raise Refusal("H12", f"{found.group()!r} is said of a country")


def _same_country(plan: Substitution, lexicon: Lexicon) -> bool:
    old = set(plan.detail.split("|")) if plan.detail else set(lexicon.groups(plan.original))
    new = set(lexicon.groups(plan.substitute))
    return plan.source in {"fictional", "corpus"} or not old or not new or bool(old & new)


def _pin(country: Country, folded: str, lexicon: Lexicon) -> str:
    own = {fold(n) for n in (*country.names, country.adjective, country.plural)}
    words = [country.capital, *country.languages, *lexicon.cities.get(country.code, ())]
    if country.code == "US":
        words += [
            *lexicon.states.values(),
            *(c for g, cs in lexicon.cities.items() if g[:3] == "US-" for c in cs[:6]),
        ]
    if country.code == "GB":
        words += [
            "England",
            "Scotland",
            "Wales",
            "Northern Ireland",
            "English",
            "Scottish",
            "Welsh",
        ]
    for word in words:
        key = fold(word)
        if len(key) > 3 and key not in own and key in folded and is_named(word, folded):
            return word
    money = fold(country.currency.split(" ")[-1])
    if money not in {"euro", "dollar", "pound", "franc", "peso"} and is_named(money, folded):
        return money
    if (
        country.adjective
        and country.adjective in country.languages
        and re.search(
            r"(?:speak|spoke|language|translat|learn|fluent|in|talk|writ|read|t(?:ea|au)ght?|study|"
            rf"understand|word)\w* (?:\w+ )?{fold(country.adjective)}\b|"
            rf"{fold(country.adjective)} ?[.,;:!?)]",
            folded,
        )
    ):
        return country.adjective
    return ""
