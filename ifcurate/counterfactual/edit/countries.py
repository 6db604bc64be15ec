"""Countries that may replace a country, and the forms of both names."""

from __future__ import annotations

from collections.abc import Iterator

from ..lexicon.kinds import drawn, fictional_names
from ..lexicon.tables import ARTICLE_COUNTRIES, LEXICON, Country
from ..recognise.spans import Span

#: Names with more than one meaning.
_UNCLEAR = {"Jordan", "Chad", "Georgia", "Turkey", "Türkiye", "Guinea", "Congo"}


def other_countries(span: Span, policy: str, key: str) -> Iterator[str]:
    """Yield names (or adjectives, plurals) of countries, those that fit best first."""
    if policy == "fictional":
        yield from drawn(key, fictional_names("country"))
        return
    old = LEXICON.countries[span.code]
    usual = [c for _, c in sorted(LEXICON.countries.items()) if c is not old and _is_usual(c)]
    for country in sorted(drawn(key, usual), key=lambda c: _differences(c, old)):
        forms = {"name": country.names[0], "adjective": country.adjective, "plural": country.plural}
        if forms[span.shape]:
            yield forms[span.shape]


def _is_usual(country: Country) -> bool:
    """Return whether it is large, and its name has one word or an article, and one meaning."""
    name = country.names[0]
    plain = country.code in ARTICLE_COUNTRIES or " " not in name
    return plain and country.population > 1_000_000 and name not in _UNCLEAR


def _differences(new: Country, old: Country) -> tuple[bool, bool, bool]:
    """Return in what two countries differ: "the" before the name, kinds of forms, continent."""
    articles = [c.code in ARTICLE_COUNTRIES for c in (new, old)]
    # "Peruvian", "Peruvians", but "Chinese" in both cases
    forms = [(c.adjective != "", c.plural != "", c.plural == c.adjective + "s") for c in (new, old)]
    return articles[0] != articles[1], forms[0] != forms[1], new.continent != old.continent


def country_forms(span: Span, name: str, *, made_up: bool) -> dict[str, str]:
    """Old forms of the country with the new ones: name, plural, adjective."""
    old = LEXICON.countries[span.code]
    forms = (span.text if span.shape == "name" else old.names[0], old.plural, old.adjective)
    new_forms = (name, name + "ns", name + "n")
    if not made_up:
        new = LEXICON.countries[LEXICON.country(name)[1]]
        new_forms = (new.names[0], new.plural, new.adjective)
    return {a: b for a, b in zip(forms, new_forms, strict=True) if a and b}
