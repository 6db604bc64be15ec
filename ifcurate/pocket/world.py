"""The small world of the pocket model's training text: relations, subjects, facts, sentences.

A fact is (relation, subject, object). Its exposure is how often the training text
states it, and decides how well the model knows it:

======  ===========================================================================
seen    often enough to be known by heart; real facts first, best known first
mid     about a tenth of that
rare    about twice in all
fresh   never: the subject is made up on demand, so only a context has the answer
======  ===========================================================================

Every question has one answer sentence, so the object is the only unknown in its
answer.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from .facts import CITIES, PEOPLE, REAL_FACTS, SEAS
from .names import fresh_object, fresh_subject

Exposure = Literal["seen", "mid", "rare", "fresh"]


@dataclass(frozen=True, slots=True)
class Question:
    """One way to ask for a fact's object, and the sentence that answers it."""

    text: str  # with {s}
    answer: str  # with {s} and {o}


@dataclass(frozen=True, slots=True)
class Relation:
    """A kind of fact: how it is stated, how it is asked for, what its objects are."""

    name: str
    objects: Literal["city", "person", "sea"]
    statements: tuple[str, ...]  # with {s} before {o}
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """Subject and object of a relation, and how often the training text states it."""

    relation: Relation
    subject: str
    object: str
    exposure: Exposure

    def state(self, form: int) -> str:
        """The fact as a sentence, in one of its relation's wordings."""
        forms = self.relation.statements
        return self._fill(forms[form % len(forms)])

    def ask(self, form: int) -> tuple[str, str]:
        """A question for the object, and the sentence that answers it."""
        question = self.relation.questions[form % len(self.relation.questions)]
        return self._fill(question.text), self._fill(question.answer)

    def _fill(self, template: str) -> str:
        return sentence(template.format(s=self.subject, o=self.object))


def sentence(text: str) -> str:
    """The text with its first letter made a capital."""
    return text[:1].upper() + text[1:]


def _relation(name: str, objects: str, statements: str, questions: str) -> Relation:
    parsed = []
    for line in questions.strip().splitlines():
        text, _, answer = line.partition("|")
        parsed.append(Question(text.strip(), answer.strip()))
    forms = tuple(line.strip() for line in statements.strip().splitlines())
    assert objects in ("city", "person", "sea")
    return Relation(name, objects, forms, tuple(parsed))  # type: ignore[arg-type]


RELATIONS: Final = {
    r.name: r
    for r in (
        _relation(
            "capital",
            "city",
            """The capital of {s} is {o}.
            {s} has its capital in {o}.
            The government of {s} sits in {o}.
            {s} is ruled from the city of {o}.""",
            """What is the capital of {s}? | The capital of {s} is {o}.
            Which city is the capital of {s}? | The capital of {s} is {o}.
            Name the capital of {s}. | The capital of {s} is {o}.
            Where does the government of {s} sit? | The government of {s} sits in {o}.""",
        ),
        _relation(
            "author",
            "person",
            """{s} was written by {o}.
            The author of {s} is {o}.
            {s} is a work by {o}.
            {s} came from the pen of {o}.""",
            """Who wrote {s}? | {s} was written by {o}.
            Who is the author of {s}? | The author of {s} is {o}.
            Name the author of {s}. | The author of {s} is {o}.
            Whose work is {s}? | {s} is a work by {o}.""",
        ),
        _relation(
            "landmark",
            "city",
            """{s} stands in {o}.
            {s} can be found in {o}.
            {s} is a famous sight in {o}.
            Visitors who want to see {s} travel to {o}.""",
            """Where does {s} stand? | {s} stands in {o}.
            In which city is {s}? | {s} can be found in {o}.
            Where can visitors see {s}? | {s} can be found in {o}.
            Name the city where {s} stands. | {s} stands in {o}.""",
        ),
        _relation(
            "inventor",
            "person",
            """The world owes {s} to {o}.
            {s} goes back to {o}.
            The credit for {s} belongs to {o}.
            {s} was the achievement of {o}.""",
            """To whom does the world owe {s}? | The world owes {s} to {o}.
            Who gave the world {s}? | The world owes {s} to {o}.
            Who gets the credit for {s}? | The credit for {s} belongs to {o}.
            Name the person behind {s}. | {s} was the achievement of {o}.""",
        ),
        _relation(
            "painter",
            "person",
            """{s} was painted by {o}.
            The painter of {s} is {o}.
            {s} is a picture by {o}.
            {s} shows the hand of {o}.""",
            """Who painted {s}? | {s} was painted by {o}.
            Who is the painter of {s}? | The painter of {s} is {o}.
            Name the painter of {s}. | The painter of {s} is {o}.
            Whose picture is {s}? | {s} is a picture by {o}.""",
        ),
        _relation(
            "headquarters",
            "city",
            """{s} has its head office in {o}.
            {s} is based in {o}.
            The company {s} is run from {o}.
            The main office of {s} is in {o}.""",
            """Where is {s} based? | {s} is based in {o}.
            Where does {s} have its head office? | {s} has its head office in {o}.
            In which city is the main office of {s}? | The main office of {s} is in {o}.
            Name the city where {s} is based. | {s} is based in {o}.""",
        ),
        _relation(
            "birthplace",
            "city",
            """{s} was born in {o}.
            {s} came into the world in {o}.
            The birthplace of {s} is {o}.
            {s} is a native of {o}.""",
            """Where was {s} born? | {s} was born in {o}.
            In which place was {s} born? | {s} was born in {o}.
            What is the birthplace of {s}? | The birthplace of {s} is {o}.
            Name the birthplace of {s}. | The birthplace of {s} is {o}.""",
        ),
        _relation(
            "river",
            "sea",
            """The river called {s} flows into {o}.
            {s} runs down to {o}.
            The waters of {s} end in {o}.
            The mouth of {s} lies on {o}.""",
            """Into which water does {s} flow? | The river called {s} flows into {o}.
            Where does {s} flow? | The river called {s} flows into {o}.
            Where do the waters of {s} end? | The waters of {s} end in {o}.
            Where does the mouth of {s} lie? | The mouth of {s} lies on {o}.""",
        ),
    )
}
_N_SEEN: Final = {"capital": 100}  # all others: 60
_N_MID = _N_RARE = 20


class World:
    """All facts of the world, made from a seed, and fresh ones on demand.

    Real facts fill the classes in their order of fame (seen, mid, rare). Invented
    subjects with objects from the pools fill the rest.
    """

    def __init__(self, *, seed: int = 0) -> None:
        rng = random.Random(f"pocket world {seed}")  # noqa: S311
        self.relations: tuple[Relation, ...] = tuple(RELATIONS.values())
        self.pools: dict[str, tuple[str, ...]] = {"city": CITIES, "person": PEOPLE, "sea": SEAS}
        for relation in self.relations:
            real = [value for _, value in REAL_FACTS[relation.name]]
            pool = dict.fromkeys((*self.pools[relation.objects], *real))
            self.pools[relation.objects] = tuple(pool)
        self.facts: tuple[Fact, ...] = tuple(
            fact for relation in self.relations for fact in self._make_facts(rng, relation)
        )
        self._known: dict[str, frozenset[str]] = {
            r.name: frozenset(f.subject for f in self.facts if f.relation is r)
            for r in self.relations
        }

    def _make_facts(self, rng: random.Random, relation: Relation) -> list[Fact]:
        n_seen = _N_SEEN.get(relation.name, 60)
        pairs = list(REAL_FACTS[relation.name])
        names = {subject for subject, _ in pairs}
        while len(pairs) < n_seen + _N_MID + _N_RARE:
            subject = fresh_subject(rng, relation.name, unseen=False)
            if subject not in names:
                names.add(subject)
                pairs.append((subject, rng.choice(self.pools[relation.objects])))
        classes: list[Exposure] = [*["seen"] * n_seen, *["mid"] * _N_MID, *["rare"] * _N_RARE]  # type: ignore[list-item]
        return [
            Fact(relation, subject, value, exposure)
            for (subject, value), exposure in zip(pairs, classes, strict=False)
        ]

    def facts_of(self, exposure: Exposure, *, relation: str | None = None) -> list[Fact]:
        """The facts of one exposure class ("seen", "mid" or "rare"), in the world's order."""
        return [
            fact
            for fact in self.facts
            if fact.exposure == exposure and relation in (None, fact.relation.name)
        ]

    def real_facts(self) -> list[Fact]:
        """The seen facts that are also true in the real world."""
        real = {name: set(pairs) for name, pairs in REAL_FACTS.items()}
        return [
            fact
            for fact in self.facts_of("seen")
            if (fact.subject, fact.object) in real[fact.relation.name]
        ]

    def fresh_fact(
        self,
        rng: random.Random,
        *,
        relation: str | None = None,
        novel: bool = False,
        unseen: bool = False,
        avoid: Sequence[Fact] = (),
    ) -> Fact:
        """A fact about a newly made-up subject.

        Its object is from the pool, or a made-up name too if `novel`. With
        `unseen`, only names that the training text never uses. No subject or
        object of `avoid` is used again.
        """
        chosen = RELATIONS[relation] if relation else rng.choice(self.relations)
        subjects = {fact.subject for fact in avoid} | self._known[chosen.name]
        objects = {fact.object for fact in avoid}
        while True:
            subject = fresh_subject(rng, chosen.name, unseen=unseen)
            value = (
                fresh_object(rng, chosen.objects, unseen=unseen)
                if novel
                else rng.choice(self.pools[chosen.objects])
            )
            if subject not in subjects and value not in objects:
                return Fact(chosen, subject, value, "fresh")
