"""Questions of a suite: the context and common knowledge give different answers."""

from __future__ import annotations

from dataclasses import dataclass

from ifcurate.records import Example


@dataclass(frozen=True, slots=True)
class Question:
    """One question about a context, with both answers that a model may give.

    The first of each tuple is the answer in full; the others are its aliases.
    """

    id: str
    suite: str
    context: str  # "" where a question is asked without one
    question: str
    context_answers: tuple[str, ...]
    memory_answers: tuple[str, ...]
    bare_question: str = ""  # asked without the context; the question itself when empty


def to_example(question: Question, *, response: str = "", with_context: bool = True) -> Example:
    """The question as an example, to be rendered like a training row."""
    instruction = question.question if with_context else question.bare_question or question.question
    return Example(
        id=question.id,
        instruction=instruction,
        context=question.context if with_context else "",
        response=response,
        source=question.suite,
    )
