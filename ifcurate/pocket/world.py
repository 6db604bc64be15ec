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
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Literal

from .names import fresh_object, fresh_subject

Exposure = Literal["seen", "mid", "rare", "fresh"]


@dataclass(frozen=True, slots=True)
class Relation:
    """A kind of fact: how it is stated, how it is asked for, what its objects are."""

    name: str
    objects: Literal["city", "person", "sea"]
    statements: tuple[str, ...]  # with {s} before {o}
    questions: tuple[tuple[str, str], ...]  # with {s}, and the answer with {s} and {o}


@dataclass(frozen=True, slots=True)
class Fact:
    """Subject and object of a relation, and how often the training text states it."""

    relation: Relation
    subject: str
    object: str
    exposure: Exposure

    def state(self, form: int) -> str:
        """Return the fact as a sentence, in one of its relation's wordings."""
        forms = self.relation.statements
        return self._fill(forms[form % len(forms)])

    def ask(self, form: int) -> tuple[str, str]:
        """Return a question for the object, and the sentence that answers it."""
        question, answer = self.relation.questions[form % len(self.relation.questions)]
        return self._fill(question), self._fill(answer)

    def _fill(self, template: str) -> str:
        return sentence(template.format(s=self.subject, o=self.object))


def sentence(text: str) -> str:
    """Return the text with its first letter made a capital."""
    return text[:1].upper() + text[1:]


def _parse_pairs(table: str) -> tuple[tuple[str, str], ...]:
    """Return the pairs of `subject: object; ...`, in their order."""
    pairs = (entry.partition(": ") for entry in _split(table))
    return tuple((subject, value) for subject, _, value in pairs)


def _split(names: str) -> list[str]:
    return " ".join(names.split()).split("; ")


_DATA: Final = tomllib.loads((files(__package__) / "world.toml").read_text("utf-8"))
RELATIONS: Final = {
    name: Relation(
        name, data["objects"], tuple(data["statements"]), tuple(map(tuple, data["questions"]))
    )
    for name, data in _DATA["relations"].items()
}
#: relation name -> its real (subject, object) pairs, best known first.
REAL_FACTS: Final = {name: _parse_pairs(data["facts"]) for name, data in _DATA["relations"].items()}
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
        self.pools: dict[str, tuple[str, ...]] = {
            kind: tuple(_split(names)) for kind, names in _DATA["more"].items()
        }
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
        """Return the facts of one exposure class ("seen", "mid" or "rare")."""
        return [
            fact
            for fact in self.facts
            if fact.exposure == exposure and relation in (None, fact.relation.name)
        ]

    def real_facts(self) -> list[Fact]:
        """Return the seen facts that are also true in the real world."""
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
        """Return a fact about a newly made-up subject.

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
