"""Which country may stand for which: by continent, article, and the forms that the text has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ..lexicon.fictional import fictional_names
from ..lexicon.tables import ARTICLE_COUNTRIES, Country, Lexicon
from ..recognise.spans import Span
from ..verify.neighbours import starts_with_vowel
from .drawing import draw

__all__ = ["country_forms", "fictional_country_forms", "fitting_countries"]


def fitting_countries(
    span: Span, lexicon: Lexicon, policy: str, key: str, article: bool, texts: Mapping[str, str]
) -> Iterator[str]:
    """Names (or adjectives, plurals) of countries that fit the span and the text, in order."""
    if policy == "fictional":
        names = fictional_names("country")
        if article:
            return
        for index in draw(key, len(names)):
            yield names[index]
        return
    shape, code = span.detail.split(":")
    old = lexicon.countries[code]
    # only the forms that stand in the text must have a counterpart of the same shape
    present = {
        form
        for form in (old.adjective, old.plural)
        if form and any(form in t for t in texts.values())
    } | {{"adjective": old.adjective, "plural": old.plural}.get(shape, "")} - {""}
    fit = sorted(
        c.code
        for c in lexicon.countries.values()
        if c.code != code
        and c.population > 1_000_000
        and (c.code in ARTICLE_COUNTRIES) == article
        and (not present or c.adjective)
        and (old.plural not in present or c.plural)
        and (len(present) < 2 or _regular(c) == _regular(old))
        and c.names[0] not in {"Jordan", "Chad"}
        and (article or " " not in c.names[0])
        and c.names[0] not in {"Georgia", "Turkey", "Türkiye", "Guinea", "Congo"}
    )
    fit = [c for c in fit if _articles_fit(old, lexicon.countries[c], texts)]
    good = [c for c in fit if lexicon.countries[c].continent == old.continent]
    good = good if len(good) >= 3 else fit
    for index in draw(key, len(good)):
        country = lexicon.countries[good[index]]
        yield {"name": country.names[0], "adjective": country.adjective, "plural": country.plural}[
            shape
        ]


def _articles_fit(old: Country, new: Country, texts: Mapping[str, str]) -> bool:
    """Whether every "a" or "an" before the old name or adjective fits the new one."""
    for before, after in ((old.names[0], new.names[0]), (old.adjective, new.adjective)):
        if not before or not after or starts_with_vowel(before) == starts_with_vowel(after):
            continue
        article = re.compile(rf"(?<!\w)an? {re.escape(before)}(?!\w)", re.I)
        if any(article.search(t) for t in texts.values()):
            return False
    return True


def _regular(country: Country) -> bool:
    """Whether the people are called by the adjective with an s ("Peruvian", "Peruvians")."""
    return country.plural == country.adjective + "s"


def country_forms(span: Span, name: str, lexicon: Lexicon) -> dict[str, str]:
    """Old forms of the country with the new ones: name, adjective, plural."""
    shape, code = span.detail.split(":")
    old = lexicon.countries[code]
    table = {
        "name": lexicon.country_names,
        "adjective": lexicon.adjectives,
        "plural": lexicon.plurals,
    }[shape]
    new = lexicon.countries[table[name.lower()]]
    forms = {old.names[0] if shape != "name" else span.text: new.names[0]}
    for a, b in ((old.plural, new.plural), (old.adjective, new.adjective)):
        if a and b:
            forms[a] = b
    return forms


def fictional_country_forms(span: Span, name: str, lexicon: Lexicon) -> dict[str, str]:
    """The same for a made-up country."""
    shape, code = span.detail.split(":")
    old = lexicon.countries[code]
    forms = {span.text if shape == "name" else old.names[0]: name}
    if old.plural:
        forms[old.plural] = name + "ns"
    if old.adjective:
        forms[old.adjective] = name + "n"
    return forms
