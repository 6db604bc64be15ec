"""The rows and questions in a laboratory's folder."""

from __future__ import annotations

from ifcurate.data.sources import read_examples
from ifcurate.evaluation.questions import Question
from ifcurate.lab.plan import Laboratory
from ifcurate.records import Example


def read_exam(lab: Laboratory) -> list[Question]:
    """All questions of the evaluation."""
    return [
        Question(
            q["id"], q["suite"], q["context"], q["question"],
            tuple(q["context_answers"]), tuple(q["memory_answers"]),
        )
        for own in lab.read_json(lab.exam).values()
        for q in own
    ]  # fmt: skip


def read_mixture(lab: Laboratory) -> list[Example]:
    """The mixture's examples, read like any other file."""
    return list(read_examples(str(lab.mixture)))
