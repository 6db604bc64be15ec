"""The laboratory's evaluation: conflicts, recall and reading, on facts that no row has."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

from ifcurate.evaluation.questions import Question
from ifcurate.lab.mixtures import LabFacts, draw_distractors, write_passage
from ifcurate.pocket.world import Fact

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
