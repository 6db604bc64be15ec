"""Substitutes of the same type, gender, number of name parts and letter case.

The order in which substitutes are tried depends only on content, entity, seed and variant. It
does not depend on other rows, their order, shards or workers. Policies: `lexicon` (real names),
`corpus` (names of this dataset), `fictional` (made-up names), `type-swap` (another type, after
Longpre et al. 2021, arXiv 2109.05052), `alias` (another name of the same entity, as a control).
There are no lists of organisations, buildings, events and works: `lexicon` and `fictional` put
another name into their pattern.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from ..checks import Check, Refusal
from ..lexicon.kinds import drawn, fictional_names, fictional_titles
from ..lexicon.tables import ARTICLE_COUNTRIES, LEXICON
from ..lexicon.wording import INITIALS, PARTICLES, SUFFIX, fold, word_sets
from ..recognise.patterns import distinctive
from ..recognise.spans import PATTERNED, VALUES, Span, Substitution
from .countries import country_forms, other_countries
from .dates_and_amounts import shifted_values
from .forms import name_forms

_TRIES = 12
_EITHER = word_sets("either_names")
_LATIN = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿ' -]{4,}\Z")
#: Names of the dataset by type and shape, collected before the first substitution.
Pools: TypeAlias = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a substitute must fit, besides the entity itself."""

    policy: str
    key: str  # decides the order in which names are tried
    gender: str = ""  # "m", "f", "b" (both), "" (any)


def fill_pools(spans: Iterable[Span]) -> Pools:
    """Pools of all given spans, sorted, so that their order does not matter."""
    pools: dict[str, set[str]] = {}
    for span in spans:
        if span.type not in VALUES and span.text[:1].isupper() and not span.text.isupper():
            pools.setdefault(_pool_key(span), set()).add(span.text)
    return {key: tuple(sorted(names)) for key, names in pools.items()}


def _pool_key(span: Span) -> str:
    """Return what a substitute must share: type, shape, gender, number of words, country."""
    words = "" if span.type in PATTERNED else len(span.text.split())
    return f"{span.type}|{span.shape}|{span.gender}|{','.join(span.groups)}|{words}"


def propose(
    span: Span, texts: Mapping[str, str], wanted: Wanted, pools: Pools
) -> Iterator[Substitution]:
    """Substitutions to try for the entity of a span, at most a dozen, best first.

    Raises `Refusal` if the policy has none for this type.
    """
    if wanted.policy == "alias":
        yield from _aliases(span)
    elif wanted.policy == "type-swap":
        yield from _swapped(span, wanted.key)
    elif span.type in VALUES:
        yield from shifted_values(span, texts, wanted.key)
    else:
        tries = _names(span, wanted, pools)
        for name in itertools.islice(tries, _TRIES):
            if name.lower() != span.text.lower():
                yield _substitution(span, name, wanted)


def _names(span: Span, wanted: Wanted, pools: Pools) -> Iterator[str]:
    policy, key = wanted.policy, wanted.key
    if policy == "corpus":
        return drawn(key, pools.get(_pool_key(span), ()))
    if span.type == "PERSON":
        return _people(span, wanted)
    if span.type == "CITY":
        return _cities(span, policy, key)
    if span.type == "COUNTRY":
        return other_countries(span, policy, key)
    names = LEXICON.classes.get(span.code, ())
    if names and policy != "fictional":
        return drawn(key, names)
    return _patterned(span, policy, key)


def _substitution(span: Span, name: str, wanted: Wanted) -> Substitution:
    forms: dict[str, str] = {span.text: name}
    if span.type == "PERSON":
        forms = person_forms(span.text, name)
    elif span.type == "COUNTRY":
        made_up = wanted.policy == "fictional"
        forms = country_forms(span, name, made_up=made_up)
    elif span.type in PATTERNED - {"WORK"} or span.type == "LOC":
        old, new = distinctive(span.text), distinctive(name)
        # "England" alone is not the Bank of England, and "Cambridge" no university.
        if old and new and not (LEXICON.is_place(old) or span.text.endswith(f" of {old}")):
            forms[old] = new
    return Substitution(span, forms[span.text], forms, source=wanted.policy)


def person_forms(old: str, new: str) -> dict[str, str]:
    """Return each form of one name with the other's form in the same role.

    Raises `Refusal` if missing.
    """
    before, after = name_forms(old), name_forms(new)
    if missing := before.keys() - after.keys():
        raise Refusal(Check.ONE_TO_ONE, f"{new!r} has no part for {before[min(missing)]!r}")
    return {old: new} | {form: after[role] for role, form in before.items()}


def _people(span: Span, wanted: Wanted) -> Iterator[str]:
    words = span.text.split(" ")
    firsts, lasts = _name_pools(span, wanted)
    families = _dozen(wanted.key + "|last", lasts)
    if span.shape == "family":
        yield from families
        return
    orders = [_dozen(f"{wanted.key}|{i}", firsts) for i in range(len(words))]
    family = name_forms(span.text).get("last", "")
    for last, *picked in zip(families, *orders, strict=True):
        if len({*picked}) == len(picked):  # no "Ernest Ernest Smith"
            yield _fill(words, picked, family, last)


def _name_pools(span: Span, wanted: Wanted) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """First names of the wanted gender, and family names."""
    made_up, gender = wanted.policy == "fictional", wanted.gender
    if not gender or (made_up and gender == "b"):
        gender = next(drawn(wanted.key + "|gender", "mf"))
    if made_up:
        return fictional_names(f"first_{gender}"), fictional_names("last")
    if " " not in span.text and _may_be_family(fold(span.text)):
        names = tuple(n.capitalize() for g in "mf" if gender in {g, "b"} for n in _EITHER[g])
        return names, LEXICON.last_pool
    return LEXICON.first_pool[gender], LEXICON.last_pool


def _dozen(key: str, names: Sequence[str]) -> list[str]:
    """Return a dozen names in random order; they repeat if there are fewer."""
    return list(itertools.islice(itertools.cycle(drawn(key, names)), _TRIES))


def _may_be_family(key: str) -> bool:
    """Return whether a single name may be a family name: "Locke", "Conrad", "Lee"."""
    return key not in LEXICON.gender or key in LEXICON.surnames or key in LEXICON.wordy


def _fill(words: Sequence[str], firsts: Sequence[str], family: str, last: str) -> str:
    """Return a name with the same parts; suffixes and dots are kept, particles are not."""
    new: list[str] = []
    for index, word in enumerate(words):
        if 0 < index == len(words) - 1 and SUFFIX.match(word):  # "Mehmet II"
            new.append(word)
        elif INITIALS.match(word):  # "K.L." for "J.K."
            new.append(re.sub("[A-Z]", lambda m: chr((ord(m[0]) - 64) % 26 + 65), word))
        elif word.lower() not in PARTICLES:
            new.append(last if word == family else firsts[index])
    return " ".join(new)


def _patterned(span: Span, policy: str, key: str) -> Iterator[str]:
    """Return the name with another distinctive part.

    Titles and names of firms are made up whole.
    """
    part = distinctive(span.text)
    if span.type == "WORK":
        article = "The " if span.text.startswith("The ") else ""
        return (article + title for title in drawn(key, fictional_titles()))
    if not part or part == span.text:
        return drawn(key, fictional_names("company"))
    names = LEXICON.last_pool if policy != "fictional" else fictional_names("last")
    if span.type in {"EVENT", "LOC"}:
        names = fictional_names("city")
    return (span.text.replace(part, name, 1) for name in drawn(key, names))


def _cities(span: Span, policy: str, key: str) -> Iterator[str]:
    names: Sequence[str] = fictional_names("city")
    if policy != "fictional":
        group = LEXICON.cities.get(span.groups[0], ())
        names = [n for n in group[:60] if _good_city(n)]
    same = [n for n in names if n.count(" ") == span.text.count(" ")]
    return drawn(key, same if len(same) >= 3 else names)


def _good_city(name: str) -> bool:
    low = name.lower()
    return (
        bool(_LATIN.match(name))
        and not any(low in t for t in (LEXICON.gender, LEXICON.surnames, LEXICON.wordy))
        and not any(low in t for t in (LEXICON.common, LEXICON.country_names, LEXICON.state_names))
        and len(LEXICON.groups(name)) == 1
        and not re.match(r"(?:north|south|east|west|downtown|new|upper|lower|near|central) ", low)
    )


def _aliases(span: Span) -> Iterator[Substitution]:
    names: list[str] = []
    if span.shape == "name" and span.code not in ARTICLE_COUNTRIES:
        names = [n for n in LEXICON.countries[span.code].names if n != span.text]
    elif span.type == "CITY":
        aliases, key = LEXICON.city_aliases, span.text.lower()
        others = [alias for alias, name in aliases.items() if name.lower() == key]
        names = [alias.title() for alias in others if len(alias) > 3 and "." not in alias]
        names += [aliases[key]] if key in aliases else []
    if not names:
        raise Refusal(Check.POLICY, f"no other name is known for {span.text!r}")
    for name in names:
        yield Substitution(span, name, {span.text: name}, source="alias")


def _swapped(span: Span, key: str) -> Iterator[Substitution]:
    """Yield cities instead of people, and people instead of all others."""
    if span.shape in {"adjective", "plural"}:
        raise Refusal(Check.POLICY, "an adjective cannot become a name")
    if span.type == "PERSON":
        cities = (n for g in ("FR", "DE", "GB", "IT", "ES") for n in LEXICON.cities[g][:20])
        target, names = "CITY", drawn(key, [n for n in cities if _good_city(n)])
    else:
        person = replace(span, text="Ann Person", shape="full")
        target, names = "PERSON", _people(person, Wanted("lexicon", key))
    for name in itertools.islice(names, _TRIES):
        yield Substitution(span, name, {span.text: name}, new_type=target, source="type-swap")
