"""The entities of an example that could be substituted: those in both context and response.

Mentions of one entity are grouped ("Mary Shelley" and "Shelley", "Peru" and "Peruvian", two
notations of a day).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace

from ifcurate.options.augment import TYPES

from ..lexicon.wording import FUNCTION_WORDS, word_places
from ..recognise.spans import VALUES, Span
from ..recognise.values import NUMBER_WORDS
from .forms import name_forms
from .views import View, within

_ORDER = {t: i for i, t in enumerate(TYPES)}
_CAPITALISED = re.compile(r"(?<![^\W_])[A-ZÀ-ÖØ-ÞĀ-Ž][^\W_]*")
_DIGIT = re.compile(r"\d")
_VALUE = re.compile(rf"\d|\b(?:{'|'.join(NUMBER_WORDS)})\b", re.I)


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity: the span that represents it, and all its mentions."""

    span: Span
    mentions: tuple[Span, ...]
    rivals: tuple[str, ...] = ()  # names of other people that share a part of this one
    alone: bool = False  # no other person is named


def may_share(view: View, types: Set[str]) -> bool:
    """Return whether an entity of these types can occur in both context and response.

    This is a fast test before recognition: an amount has a number, and a name has a capitalised
    word that is not a function word. Only the forms of a country may have no word in common.
    """
    response, context = view.response, view.context_text
    pattern = _VALUE if "NUMBER" in types else _DIGIT
    if types & VALUES and pattern.search(response) and pattern.search(context):
        return True
    named = _name_words(response)
    return bool(named) and ("COUNTRY" in types or not named.isdisjoint(_name_words(context)))


def _name_words(text: str) -> set[str]:
    """Return the capitalised words that can be part of a name, in lower case."""
    return {w.lower() for w in _CAPITALISED.findall(text)} - FUNCTION_WORDS


def shared_entities(view: View, spans: Sequence[Span]) -> list[Entity]:
    """Entities with a mention in the context and one in the response.

    The order depends only on the example: whole responses first, then by type, then by place in
    the response.
    """
    response = view.response.strip().rstrip(".").removeprefix("the ").lower()
    spans = [*spans, *_in_response(view, spans)]
    ranked: list[tuple[tuple[int, int, int], Entity]] = []
    for entity in _group(spans):
        answers = [m for m in entity.mentions if m.path == view.response_path]
        if not answers or not any(within(m, view.context) for m in entity.mentions):
            continue
        whole = min(int(m.text.lower() != response) for m in answers)
        rank = (whole, _ORDER.get(entity.span.type, 99), min(m.start for m in answers))
        ranked.append((rank, entity))
    return [entity for _, entity in sorted(ranked, key=lambda pair: pair[0])][:6]


def _in_response(view: View, spans: Sequence[Span]) -> Iterator[Span]:
    """Names of the context, and parts of them, that the recogniser missed in the response."""
    text, path = view.texts[view.response_path], view.response_path
    taken = [(s.start, s.end) for s in spans if s.path == path]
    first: dict[str, Span] = {}  # the first span of each name
    for span in spans:
        if span.path != path and span.type not in VALUES:
            first.setdefault(span.text, span)
    for span in first.values():
        person = span.type == "PERSON"  # by any form of the name
        for form in name_forms(span.text).values() if person else [span.text]:
            for a, b in word_places(form, text):
                if all(b <= start or end <= a for start, end in taken):
                    taken.append((a, b))
                    yield replace(span, path=path, start=a, end=b, text=form)


def _group(spans: Sequence[Span]) -> list[Entity]:
    groups: dict[tuple[str, str], list[Span]] = {}
    for span in spans:
        if span.type != "PERSON":
            key = span.code if span.type == "COUNTRY" else span.value or span.text.lower()
            groups.setdefault((span.type, key), []).append(span)
    entities = []
    for members in groups.values():
        # the name of a country represents its other forms
        chosen = min(members, key=lambda s: s.shape not in {"", "name"})
        entities.append(Entity(chosen, tuple(members)))
    return entities + _people([s for s in spans if s.type == "PERSON"])


def _people(spans: Sequence[Span]) -> list[Entity]:
    """People by their longest name; a partial name belongs to the only person who has it."""
    members: dict[str, list[Span]] = {}  # key: the name in lower case
    for span in spans:
        members.setdefault(span.text.lower(), []).append(span)
    ordered = sorted(members, key=lambda n: (-len(n.split(" ")), -len(n), n))
    by_form: dict[str, list[str]] = {}  # a form -> the longest names with it
    by_word: dict[str, list[str]] = {}  # a word -> all names with it
    owned: dict[str, list[str]] = {}  # a longest name -> all names of that person
    for name in ordered:
        for word in set(name.split(" ")):
            by_word.setdefault(word, []).append(name)
        fits = by_form.get(name, [])
        if len(fits) == 1:
            owned[fits[0]].append(name)
        elif not fits:
            owned[name] = [name]
            for form in set(name_forms(members[name][0].text).values()):
                by_form.setdefault(form.lower(), []).append(name)
    people = []
    for head, names in owned.items():
        mentions, span = tuple(s for name in names for s in members[name]), members[head][0]
        genders = {m.gender for m in mentions} & {"m", "f"}
        if len(genders) == 1 and span.gender not in {"m", "f"}:
            span = replace(span, gender=genders.pop())
        words = {w.lower() for w in name_forms(span.text).values()}
        rivals = {n for w in words for n in by_word.get(w, ()) if n not in names}
        alone = len(members) == len(names)
        people.append(Entity(span, mentions, tuple(sorted(rivals)), alone))
    return people
