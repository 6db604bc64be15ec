"""The laboratory's rows and questions about the bundled model's world. Rows have four kinds:

============  ====================================================================
critical      a made-up subject: only the passage has the answer
non           a known fact that the passage repeats
off           a known fact, and a passage about other things
recall        a known fact asked for without a passage
============  ====================================================================

Some passages state the fact in question with the object first ("{object} wrote
{subject}"), a wording that the bundled model does not read well. The kind of a row is
its truth. It is written to a separate file, which no curation step reads.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from ifcurate.evaluation.suites import Question
from ifcurate.pocket.world import Fact, World, sentence

Kind = Literal["critical", "non", "off", "recall"]
N_HELD_OUT: Final = 200  # known facts that are kept for the evaluation

#: The object in front of the subject; the bundled model has never seen these wordings.
OBJECT_FIRST: Final = {
    "capital": "{o} is the capital of {s}.",
    "author": "{o} wrote {s}.",
    "landmark": "{o} is home to {s}.",
    "inventor": "{o} invented {s}.",
    "painter": "{o} painted {s}.",
    "headquarters": "{o} is the seat of {s}.",
    "birthplace": "{o} is the birthplace of {s}.",
    "river": "{o} takes in the waters of {s}.",
}


@dataclass(frozen=True, slots=True)
class MixtureShape:
    """The parameters of a mixture. The four shares add up to 1."""

    critical: float
    non: float
    off: float
    recall: float
    unreadable: float  # share of the asked-for statements that put the object first
    novel: float = 0.7  # share of critical rows whose answer is a made-up name
    n_rows: int = 2880
    unreadable_critical: float | None = None  # the share among critical rows, where it differs

    def __post_init__(self) -> None:
        total = self.critical + self.non + self.off + self.recall
        if abs(total - 1) > 1e-9:
            raise ValueError(f"shares of the four kinds: must add up to 1; found {total:g}")

    def unreadable_share(self, kind: Kind) -> float:
        """Return the share of statements with the object first, among rows of a kind."""
        if kind == "critical" and self.unreadable_critical is not None:
            return self.unreadable_critical
        return self.unreadable


MIXTURES: Final = {
    "m1": MixtureShape(critical=0.3, non=0.4, off=0.1, recall=0.2, unreadable=0.4),
    "m2": MixtureShape(critical=0.4, non=0.5, off=0.1, recall=0.0, unreadable=0.3),
}


@dataclass(frozen=True, slots=True)
class LabFacts:
    """The known facts of one seed: those to train on, and those held out for the evaluation."""

    world: World
    train: tuple[Fact, ...]
    held_out: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class LabRow:
    """A row in Alpaca's format, its kind, and whether its passage states the answer readably."""

    row: dict[str, Any]
    kind: Kind
    readable: bool


def split_facts(seed: int) -> LabFacts:
    """Return the facts that the bundled model knows by heart, divided at random by `seed`."""
    world = World()
    known = list(world.facts_of("seen"))
    random.Random(f"lab facts {seed}").shuffle(known)  # noqa: S311
    return LabFacts(world, tuple(known[N_HELD_OUT:]), tuple(known[:N_HELD_OUT]))


def draw_distractors(rng: random.Random, facts: LabFacts, asked: Fact, *, n: int) -> list[Fact]:
    """`n` facts about other subjects: each made up or a known training fact, with equal chance."""
    chosen: list[Fact] = []
    while len(chosen) < n:
        avoid = [asked, *chosen]
        if rng.random() < 0.5:
            novel = rng.random() < 0.5
            chosen.append(facts.world.fresh_fact(rng, novel=novel, avoid=avoid))
            continue
        other = rng.choice(facts.train)
        if all(other.subject != f.subject and other.object != f.object for f in avoid):
            chosen.append(other)
    return chosen


def write_passage(rng: random.Random, lines: Sequence[str]) -> str:
    """Return the sentences in random order."""
    return " ".join(rng.sample(lines, len(lines)))


def make_mixture(shape: MixtureShape, facts: LabFacts, *, seed: int) -> list[LabRow]:
    """Return the rows of a mixture in random order. The counts of the kinds are exact."""
    rng = random.Random(f"lab mixture {seed}")  # noqa: S311
    kinds: list[Kind] = []
    for kind in ("non", "off", "recall"):
        kinds += [kind] * round(getattr(shape, kind) * shape.n_rows)
    kinds += ["critical"] * (shape.n_rows - len(kinds))
    rng.shuffle(kinds)
    return [_make_row(rng, shape, facts, kind, f"row-{i}") for i, kind in enumerate(kinds)]


def _make_row(
    rng: random.Random, shape: MixtureShape, facts: LabFacts, kind: Kind, name: str
) -> LabRow:
    fact = (
        facts.world.fresh_fact(rng, novel=rng.random() < shape.novel)
        if kind == "critical"
        else rng.choice(facts.train)
    )
    question, answer = fact.ask(rng.randrange(4))
    lines: list[str] = []
    readable = False
    if kind in ("critical", "non"):
        readable = rng.random() >= shape.unreadable_share(kind)
        lines.append(fact.state(rng.randrange(4)) if readable else _object_first(fact))
    if kind != "recall":
        others = draw_distractors(rng, facts, fact, n=rng.choice((1, 2)))
        lines += [other.state(rng.randrange(4)) for other in others]
    row = {
        "id": name,
        "instruction": question,
        "input": write_passage(rng, lines),
        "output": answer,
    }
    return LabRow(row, kind, readable)


def _object_first(fact: Fact) -> str:
    return sentence(OBJECT_FIRST[fact.relation.name].format(s=fact.subject, o=fact.object))


N_RECALL: Final = 80
N_READING: Final = 80


def make_exam(facts: LabFacts, *, seed: int) -> dict[str, list[Question]]:
    """Three lists of questions: "conflict", "recall" and "reading".

    A conflict is a held-out fact. Its passage names another object of the same kind, in a
    wording that the bundled model reads, together with one or two other facts. Recall asks
    for held-out facts without a passage. Reading asks for made-up subjects whose names
    the bundled model's training text never uses.
    """
    rng = random.Random(f"lab exam {seed}")  # noqa: S311
    conflicts = [_conflict(rng, facts, fact, i) for i, fact in enumerate(facts.held_out)]
    recall = [
        Question(f"recall-{i}", "recall", "", fact.ask(rng.randrange(4))[0], (fact.object,), ())
        for i, fact in enumerate(rng.sample(facts.held_out, N_RECALL))
    ]
    reading = [_reading(rng, facts, i) for i in range(N_READING)]
    return {"conflict": conflicts, "recall": recall, "reading": reading}


def _conflict(rng: random.Random, facts: LabFacts, fact: Fact, number: int) -> Question:
    pool = facts.world.pools[fact.relation.objects]
    other = rng.choice([name for name in pool if name != fact.object])
    altered = replace(fact, object=other)
    passage = _passage(rng, facts, altered, avoid=fact)
    question = fact.ask(rng.randrange(4))[0]
    return Question(f"conflict-{number}", "conflict", passage, question, (other,), (fact.object,))


def _reading(rng: random.Random, facts: LabFacts, number: int) -> Question:
    novel = rng.random() < 0.5
    fact = facts.world.fresh_fact(rng, novel=novel, unseen=True)
    passage = _passage(rng, facts, fact, avoid=fact)
    question = fact.ask(rng.randrange(4))[0]
    return Question(f"reading-{number}", "reading", passage, question, (fact.object,), ())


def _passage(rng: random.Random, facts: LabFacts, stated: Fact, *, avoid: Fact) -> str:
    while True:
        others = draw_distractors(rng, facts, stated, n=rng.choice((1, 2)))
        if all(avoid.object != other.object for other in others):
            break
    lines = [stated.state(rng.randrange(4)), *(f.state(rng.randrange(4)) for f in others)]
    return write_passage(rng, lines)
