"""Conflict suites: the built-in ones, and any file of contexts, questions and two answers.

A file is JSON (a list) or JSON Lines. Each row has ``question``, ``answer`` (the
context's) and ``memory_answer`` or ``parametric_answer`` (a text, whose aliases are
split, or a list), and ``context`` unless the question contains it. `ifcurate augment`
writes its suite in this form.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from ifcurate.errors import DataError
from ifcurate.evaluation.answers import names, split_aliases
from ifcurate.options.evaluate import SUITES
from ifcurate.phrases import count, did_you_mean
from ifcurate.records import Example
from ifcurate.storage.files import read_json_rows

_MEMORY: Final = ("memory_answer", "parametric_answer", "memory_answers")


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
    """Return the question as an example, to be rendered like a training row."""
    instruction = question.question if with_context else question.bare_question or question.question
    return Example(
        id=question.id,
        instruction=instruction,
        context=question.context if with_context else "",
        response=response,
        source=question.suite,
    )


@dataclass(frozen=True, slots=True)
class Suite:
    """A named list of questions, and notes on their quality."""

    name: str
    questions: tuple[Question, ...]
    notes: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Changes when any question or answer changes."""
        text = json.dumps(
            [
                [q.context, q.question, q.context_answers, q.memory_answers, q.bare_question]
                for q in self.questions
            ]
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_suite(name: str, *, limit: int | None = None) -> Suite:
    """Return a built-in suite by its name, or a file. Raises `DataError` that names the row."""
    if name in SUITES and not Path(name).is_file():
        text = (files(__package__ or "") / "built_in" / f"{name}.jsonl").read_text("utf-8")
        rows, title = [json.loads(line) for line in text.splitlines()], name
    else:
        rows, title = _read_rows(name), Path(name).stem
    notes: list[str] = []
    questions = [_parse(name, title, number, row) for number, row in enumerate(rows)]
    without = sum(not names(q.context or q.question, q.context_answers) for q in questions)
    if without:
        notes.append(
            f"{title}: {count(without, 'context')} of {len(questions)} without the context answer"
        )
    equal = sum(any(names(a, q.memory_answers) for a in q.context_answers) for q in questions)
    if equal:
        notes.append(
            f"{title}: {count(equal, 'question')} of {len(questions)} whose context "
            "answer names the memorised one, so that a text names both"
        )
    return Suite(title, tuple(questions[:limit]), tuple(notes))


def _read_rows(name: str) -> list[Any]:
    path = Path(name)
    if not path.is_file():
        raise DataError(
            f"suite {name}: neither built in nor a file; built in are {', '.join(SUITES)}"
            f"{did_you_mean(name, SUITES)}"
        )
    try:
        rows = read_json_rows(path)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: not a suite: {error}; give a JSON list or JSON Lines of question, answer "
            "and memory_answer"
        ) from error
    if not rows:
        raise DataError(f"{path}: not a suite; found no row; give rows of question and answers")
    return rows


def _check_row(where: str, row: Any) -> Mapping[str, Any]:
    if not isinstance(row, Mapping):
        raise DataError(f"{where}: must be an object; found {type(row).__name__}")
    if not all((row.get("question"), row.get("answer"), any(row.get(name) for name in _MEMORY))):
        raise DataError(
            f"{where}: question, answer and memory_answer are needed; found "
            f"{', '.join(str(k) for k, v in row.items() if v) or 'nothing'}; add what is missing "
            "or empty"
        )
    return row


def _parse(where: str, suite: str, number: int, value: Any) -> Question:
    row = _check_row(f"{where} row {number}", value)
    memory = next(row[name] for name in _MEMORY if row.get(name))
    return Question(
        id=str(row.get("id") or f"{suite}-{number}"),
        suite=suite,
        context=str(row.get("context") or ""),
        question=str(row["question"]),
        context_answers=_answers(row["answer"]),
        memory_answers=_answers(memory),
        bare_question=str(row.get("bare_question") or ""),
    )


def _answers(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return split_aliases(value)
    if isinstance(value, Sequence):
        return tuple(str(item) for item in value)
    return (str(value),)


def note_duplicates(suites: Sequence[Suite]) -> list[str]:
    """Notes about questions that are in more than one suite, or in one suite twice."""
    seen: dict[tuple[str, str], str] = {}
    shared: dict[tuple[str, str], int] = {}
    for suite in suites:
        for question in suite.questions:
            key = (question.context, question.question)
            if key in seen:
                pair = (seen[key], suite.name)
                shared[pair] = shared.get(pair, 0) + 1
            seen.setdefault(key, suite.name)
    return [
        f"{count(n, 'question')} of {second} "
        + ("occur in it twice" if first == second else f"also occur in {first}")
        for (first, second), n in shared.items()
    ]
