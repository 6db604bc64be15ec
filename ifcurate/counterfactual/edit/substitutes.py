"""Substitutes: of the same fine type, gender, number of name parts and letter case.

The order in which substitutes are tried is a function of (content, entity,
seed, variant) alone: it never depends on other rows, on the order of rows, on
shards or workers. Policies: `lexicon` (real names), `corpus` (names of this
data set, pool frozen first), `fictional` (made-up names), `type-swap` (another
type, after Longpre et al. 2021, arXiv 2109.05052), `alias` (the same entity by
another name, as a control).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from ..lexicon.fictional import fictional_names
from ..lexicon.tables import ARTICLE_COUNTRIES, Lexicon
from ..lexicon.wording import PARTICLES
from ..recognise.spans import Span
from .countries import country_forms, fictional_country_forms, fitting_countries
from .drawing import draw
from .forms import HONOURS, Refusal, Substitution, name_forms
from .shifted import shifted_values

__all__ = ["POLICIES", "Pools", "draw", "propose"]

POLICIES = ("lexicon", "corpus", "fictional", "type-swap", "alias")
_TRIES = 12
_LATIN = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿ' -]+\Z")
_INITIAL = re.compile(r"(?:[A-Z]\.)+\Z|[A-Z]\Z|(?:Jr|Sr|I{1,3}|IV|VI{0,3})\.?\Z")


@dataclass(frozen=True)
class Pools:
    """Entities of the data set by type and shape; frozen before the first substitution."""

    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @staticmethod
    def key(span: Span) -> str:
        """What a substitute must share: type, shape, gender, number of words, country."""
        detail = span.detail
        if span.type == "COUNTRY":
            detail = detail.split(":")[0]
        return f"{span.type}|{detail}|{len(span.text.split())}"

    @classmethod
    def freeze(cls, spans: Iterable[Span]) -> Pools:
        """Pools of all spans given, sorted, so that their order does not matter."""
        found: dict[str, set[str]] = {}
        for span in spans:
            named = span.type in {"PERSON", "CITY", "COUNTRY"}
            if named and span.text[:1].isupper() and not span.text.isupper():
                found.setdefault(cls.key(span), set()).add(span.text)
        return cls({key: tuple(sorted(names)) for key, names in sorted(found.items())})


def propose(
    span: Span,
    texts: Mapping[str, str],
    lexicon: Lexicon,
    *,
    policy: str,
    key: str,
    gender: str = "",
    pools: Pools | None = None,
    article: bool = False,
    untitled: bool = False,
) -> Iterator[Substitution]:
    """Substitutions to try for the entity of a span, best first, a dozen at most.

    `gender` is "m", "f" or "" (either will do); `untitled` gives "Empress Catherine
    the Great" a plain first and last name. Raises `Refusal` when the
    policy has nothing for this type.
    """
    if policy == "alias":
        yield from _aliases(span, lexicon)
        return
    if policy == "type-swap":
        yield from _swapped(span, lexicon, key)
        return
    if span.type not in {"PERSON", "CITY", "COUNTRY"}:
        yield from shifted_values(span, texts, key)
        return
    if policy == "corpus":
        names = (pools or Pools()).names.get(Pools.key(span), ())
        tries: Iterator[str] = (names[i] for i in draw(key, len(names)))
    elif span.type == "PERSON":
        pattern = replace(span, text="Ann Other Person") if untitled else span
        tries = _people(pattern, lexicon, policy, key, gender, _possessive(span, texts))
    elif span.type == "CITY":
        tries = _cities(span, lexicon, policy, key)
    else:
        tries = fitting_countries(span, lexicon, policy, key, article, texts)
    for count, name in enumerate(tries):
        if count >= _TRIES:
            return
        if name.lower() != span.text.lower():
            yield _substitution(span, name, lexicon, policy)


def _substitution(span: Span, name: str, lexicon: Lexicon, policy: str) -> Substitution:
    forms: dict[str, str] = {span.text: name}
    if span.type == "PERSON":
        forms = _person_forms(span.text, name)
        if name_forms(span.text).get("bare") and name.split(" ")[0] != span.text.split(" ")[0]:
            forms = _untitled_forms(span.text, name)
    elif span.type == "COUNTRY" and policy != "fictional":
        forms = country_forms(span, name, lexicon)
    elif span.type == "COUNTRY":
        forms = fictional_country_forms(span, name, lexicon)
    return Substitution(span.type, span.text, forms[span.text], span.detail, forms, source=policy)


def _untitled_forms(old: str, new: str) -> dict[str, str]:
    """Forms for "Empress Catherine the Great" or "Queen Elizabeth II" and a plain new name.

    The new name has a middle part that only the full form shows, so that
    "Catherine Great" and the full form do not become the same.
    """
    words = [w for w in old.split(" ")[1:] if w != "the"]
    first, last = new.split(" ")[0], new.split(" ")[-1]
    bare = f"{first} {last}"
    forms = {old: new, " ".join(old.split(" ")[1:]): bare, words[0]: first}
    if len(words) > 1 and not _INITIAL.match(words[-1]):
        forms |= {" ".join(words): bare, words[-1]: last}
    return forms


def _person_forms(old: str, new: str) -> dict[str, str]:
    before, after = name_forms(old), name_forms(new)
    forms = {}
    for role, form in before.items():
        target = after.get({"particle": "last", "middle_plain": "middle_last"}.get(role, role))
        if target is None and role in {"first_last", "bare"}:
            target = new
        if target is None:
            raise Refusal("H4", f"{new!r} has no part for {form!r}")
        forms[form] = target
    return forms


def _possessive(span: Span, texts: Mapping[str, str]) -> bool:
    """Whether the new name must end in s ("Engels' book"); otherwise it must not."""
    forms = {f for f in name_forms(span.text).values() if " " not in f} | {span.text}
    for form in sorted(f for f in forms if f.endswith("s")):
        for text in texts.values():
            if form in text and re.search(rf"(?<!\w){re.escape(form)}['’](?!s\b)", text):
                return True
    return False


@lru_cache(maxsize=16)
def _by_ending(names: tuple[str, ...], final_s: bool) -> tuple[str, ...]:
    return tuple(n for n in names if n.endswith("s") == final_s)


def _people(
    span: Span, lexicon: Lexicon, policy: str, key: str, gender: str, final_s: bool
) -> Iterator[str]:
    made_up = policy == "fictional"
    if not gender:
        gender = "mf"[next(draw(key + "|gender", 2))]
    firsts: Sequence[str] = (
        fictional_names(f"first:{gender}") if made_up else lexicon.first_pool[gender]
    )
    lasts: Sequence[str] = fictional_names("last") if made_up else lexicon.last_pool
    if len(span.text.split(" ")) == 1 and not span.detail.startswith("family"):
        firsts = _by_ending(tuple(firsts), final_s) or firsts
    else:
        lasts = _by_ending(tuple(lasts), final_s) or lasts
    words = span.text.split(" ")
    shape = span.detail.split(":")[0]
    orders = [list(_take(draw(f"{key}|{i}", len(firsts)), 16)) for i in range(len(words))]
    families = list(_take(draw(f"{key}|last", len(lasts)), 16))
    for n in range(_TRIES):
        if shape == "family":
            yield lasts[families[n]]
            continue
        if len(words) == 1:
            yield firsts[orders[0][n]]
            continue
        new: list[str] = []
        end = words.index("the") if "the" in words else len(words)
        titled = words[0].lower() in HONOURS
        plain = [
            i
            for i, w in enumerate(words[:end])
            if not _INITIAL.match(w) and w.lower() not in PARTICLES and i >= titled
        ]
        for index, word in enumerate(words):
            if _INITIAL.match(word) or index >= end or (titled and index == 0):
                new.append(word)
            elif word.lower() in PARTICLES:
                continue
            elif plain and index == plain[-1] and not (titled and len(plain) == 1):
                new.append(lasts[families[n]])
            else:
                new.append(firsts[orders[index][n]])
        yield " ".join(new)


def _take(numbers: Iterator[int], count: int) -> list[int]:
    taken = [n for n, _ in zip(numbers, range(count), strict=False)]
    return [taken[i % len(taken)] for i in range(count)]


def _cities(span: Span, lexicon: Lexicon, policy: str, key: str) -> Iterator[str]:
    if policy == "fictional":
        names: Sequence[str] = fictional_names("city")
    else:
        (group,) = span.detail.split("|")[:1]
        names = [n for n in lexicon.cities.get(group, ())[:60] if _good_city(n, lexicon)]
    shape = len(span.text.split(" "))
    same = [n for n in names if len(n.split(" ")) == shape]
    names = same if len(same) >= 3 else names
    for index in draw(key, len(names)):
        yield names[index]


def _good_city(name: str, lexicon: Lexicon) -> bool:
    low = name.lower()
    return (
        bool(_LATIN.match(name))
        and len(low) >= 4
        and not (
            low in lexicon.gender
            or low in lexicon.surnames
            or low in lexicon.wordy
            or low in lexicon.common
            or low in lexicon.country_names
            or low in lexicon.state_names
            or len(lexicon.groups(name)) != 1
            or re.match(r"(?:north|south|east|west|downtown|new|upper|lower|near|central) ", low)
        )
    )


def _aliases(span: Span, lexicon: Lexicon) -> Iterator[Substitution]:
    names: list[str] = []
    if span.type == "COUNTRY" and span.detail.startswith("name:"):
        country = lexicon.countries[span.detail[5:]]
        if country.code not in ARTICLE_COUNTRIES:
            names = [n for n in country.names if n != span.text]
    elif span.type == "CITY":
        key = span.text.lower()
        names = [
            a.title() if " " in a else a.capitalize()
            for a, n in lexicon.city_aliases.items()
            if n.lower() == key and "." not in a and len(a) > 3
        ]
        if key in lexicon.city_aliases:
            names.append(lexicon.city_aliases[key])
    if not names:
        raise Refusal("policy", f"no other name is known for {span.text!r}")
    for name in names:
        yield Substitution(
            span.type, span.text, name, span.detail, {span.text: name}, source="alias"
        )


def _swapped(span: Span, lexicon: Lexicon, key: str) -> Iterator[Substitution]:
    if span.type == "COUNTRY" and not span.detail.startswith("name:"):
        raise Refusal("policy", "an adjective cannot become a name")
    target = {"PERSON": "CITY", "CITY": "PERSON", "COUNTRY": "PERSON", "DATE": "CITY"}.get(
        span.type, "COUNTRY"
    )
    if target == "CITY":
        names = [
            n
            for g in ("FR", "DE", "GB", "IT", "ES")
            for n in lexicon.cities[g][:20]
            if _good_city(n, lexicon)
        ]
    elif target == "PERSON":
        firsts = (*lexicon.first_pool["f"], *lexicon.first_pool["m"])
        order = _take(draw(key + "|last", len(lexicon.last_pool)), _TRIES)
        picked = _take(draw(key, len(firsts)), _TRIES)
        names = [f"{firsts[a]} {lexicon.last_pool[b]}" for a, b in zip(picked, order, strict=True)]
    else:
        names = sorted(
            c.names[0]
            for c in lexicon.countries.values()
            if c.population > 5_000_000
            and c.code not in ARTICLE_COUNTRIES
            and " " not in c.names[0]
        )
    for count, index in enumerate(draw(key, len(names))):
        if count >= _TRIES:
            return
        yield Substitution(
            span.type,
            span.text,
            names[index],
            span.detail,
            {span.text: names[index]},
            new_type=target,
            source="type-swap",
        )
