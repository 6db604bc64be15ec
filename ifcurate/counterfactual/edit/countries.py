"""Countries that may replace a country: by continent, article, and the forms in the text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ..lexicon.kinds import drawn, fictional_names
from ..lexicon.tables import ARTICLE_COUNTRIES, LEXICON, Country
from ..lexicon.wording import starts_with_vowel
from ..recognise.spans import Span


def fitting_countries(
    span: Span, policy: str, key: str, article: bool, texts: Mapping[str, str]
) -> Iterator[str]:
    """Names (or adjectives, plurals) of countries that fit the span and the text, in order."""
    if policy == "fictional":
        yield from drawn(key, () if article else fictional_names("country"))
        return
    for country in drawn(key, _fitting(span, article, texts)):
        forms = {"name": country.names[0], "adjective": country.adjective, "plural": country.plural}
        yield forms[span.shape]


def _fitting(span: Span, article: bool, texts: Mapping[str, str]) -> list[Country]:
    """Countries that fit, sorted by code; of the same continent if there are three of them."""
    old = LEXICON.countries[span.code]
    present = _forms_present(span, old, texts)
    countries = (country for _, country in sorted(LEXICON.countries.items()))
    usual = [c for c in countries if _is_usual(c, article) and _has_forms(c, old, present)]
    fit = [c for c in usual if _articles_fit(old, c, texts)]
    near = [c for c in fit if c.continent == old.continent]
    return near if len(near) >= 3 else fit


def _forms_present(span: Span, old: Country, texts: Mapping[str, str]) -> set[str]:
    """Return the adjective and the plural, if the text has them: each needs a counterpart."""
    own = {"adjective": old.adjective, "plural": old.plural}.get(span.shape, "")
    present = {f for f in (old.adjective, old.plural) if f and any(f in t for t in texts.values())}
    return (present | {own}) - {""}


def _is_usual(country: Country, article: bool) -> bool:
    """Return whether it is large, its name has one meaning, and it takes "the" like the old one."""
    name = country.names[0]
    return (
        country.population > 1_000_000
        and (country.code in ARTICLE_COUNTRIES) == article
        and (article or " " not in name)
        and name not in {"Jordan", "Chad", "Georgia", "Turkey", "Türkiye", "Guinea", "Congo"}
    )


def _has_forms(new: Country, old: Country, present: set[str]) -> bool:
    """Return whether it is another country, with a counterpart of every form in the text."""
    if new is old or (present and not new.adjective) or (old.plural in present and not new.plural):
        return False
    # "Peruvian", "Peruvians", but "Chinese" in both cases
    regular = [c.plural == c.adjective + "s" for c in (new, old)]
    return len(present) < 2 or regular[0] == regular[1]


def _articles_fit(old: Country, new: Country, texts: Mapping[str, str]) -> bool:
    """Return whether every "a" or "an" before the old name or adjective fits the new one."""
    for before, after in ((old.names[0], new.names[0]), (old.adjective, new.adjective)):
        if not before or not after or starts_with_vowel(before) == starts_with_vowel(after):
            continue
        article = re.compile(rf"(?<!\w)an? {re.escape(before)}(?!\w)", re.I)
        if any(article.search(t) for t in texts.values()):
            return False
    return True


def country_forms(span: Span, name: str, *, made_up: bool) -> dict[str, str]:
    """Old forms of the country with the new ones: name, plural, adjective."""
    old = LEXICON.countries[span.code]
    forms = (span.text if span.shape == "name" else old.names[0], old.plural, old.adjective)
    new_forms = (name, name + "ns", name + "n")
    if not made_up:
        new = LEXICON.countries[LEXICON.country(name)[1]]
        new_forms = (new.names[0], new.plural, new.adjective)
    return {a: b for a, b in zip(forms, new_forms, strict=True) if a and b}
