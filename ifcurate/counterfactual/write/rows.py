"""Written rows: the input's own format, `ifcurate_` columns, and the answer fields.

A counterfactual row has every key of its original, with the edits applied. Its `ifcurate_*`
columns record the edits, so that they can be undone. `answer` and `memory_answer` have the names
of conflict suites, so that the file can be evaluated; a row with `parametric_answer` gets no
`memory_answer`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ifcurate.data.paths import context_passages
from ifcurate.records import ContextBlock, Example, Turn

from ..edit.edits import Edit, moved, with_texts
from ..edit.views import TextRange, View
from ..lexicon.wording import fold
from ..verify.cases import Counterfactual

UNANSWERABLE = "unanswerable"
#: The words that a prompt asks for if the context has no answer.
_DECLINE = re.compile(
    r"(?:(?:say|answer|respond|reply|write|output|return|print)(?: with| that it is)?|"
    r"(?:is|the answer should be)) [\"“'‘]([^\"”'’\n]{3,80})[\"”'’]"
)
_NO_ANSWER = re.compile(
    r"unanswer|no answer|not (?:answer|know|in the|contain|enough|possible|mention)|"
    r"can(?:no|')t|unknown|don't know|n/a|none|impossible|insufficient",
    re.I,
)


def abstention(question: str) -> str:
    """Return the words that a prompt asks for if there is no answer.

    "unanswerable" without such words.
    """
    asked = (m[1] for m in _DECLINE.finditer(question) if _NO_ANSWER.search(m[1]))
    return next(asked, UNANSWERABLE)


def counterfactual_row(
    example: Example, view: View, made: Counterfactual, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the row after the edits, with its record. `settings` are the columns of the run."""
    changed = {p: t for p, t in made.texts.items() if t != view.texts[p]}
    row = with_texts(example.row, changed)
    _move_answer_starts(row, example, made)
    row.setdefault("answer", made.answer)
    if "parametric_answer" not in row:
        row.setdefault("memory_answer", made.memory_answer)
    plan = made.plan
    return {
        **row,
        "ifcurate_role": "counterfactual",
        **settings,
        "ifcurate_type": plan.type,
        "ifcurate_new_type": plan.new_type or plan.type,
        "ifcurate_gender": made.gender,
        "ifcurate_original": plan.original,
        "ifcurate_substitute": made.substitute,
        "ifcurate_source": plan.source,
        "ifcurate_forms": [
            {"old": old, "new": new}
            for old, new in dict.fromkeys((e.old, e.new) for e in made.edits)
        ],
        "ifcurate_edits": [e.as_dict() for e in made.edits],
        "ifcurate_checks": list(made.checks),
        "ifcurate_grounding": round(made.grounding, 3),
    }


def original_row(example: Example, parent: str, pair: str) -> dict[str, Any]:
    """Return the original beside its counterfactual (`--emit pair`)."""
    return {**example.row, **_pair_columns("original", parent, pair)}


def _pair_columns(role: str, parent: str, pair: str) -> dict[str, str]:
    return {"ifcurate_role": role, "ifcurate_parent": parent, "ifcurate_pair": pair}


def abstain_row(
    example: Example, view: View, made: Counterfactual, parent: str, pair: str
) -> dict[str, Any] | None:
    """Return the question without its context, with an abstention.

    None if the rest has the answer.
    """
    texts: dict[str, str] = {}
    for block in sorted(example.blocks, key=lambda b: -b.outer_start):
        if block.path not in view.texts:  # passages in a list
            texts |= dict.fromkeys(context_passages(example.row, block.path), "")
            continue
        text = texts.get(block.path, view.texts[block.path])
        texts[block.path] = text[: block.outer_start] + text[block.outer_end :]
    decline = abstention(view.question_text)
    texts[example.response_path] = decline
    rest = [texts.get(p, t) for p, t in view.texts.items() if p not in view.keep]
    if any(fold(made.memory_answer) in fold(t) for t in rest):
        return None
    row = with_texts(example.row, texts)
    answers = row.get("answers")
    if isinstance(answers, Mapping) and "answer_start" in answers:
        row["answers"] = {**answers, "text": [decline], "answer_start": [-1]}
    return {**row, **_pair_columns("abstain", parent, pair)}


def suite_row(view: View, made: Counterfactual, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the example in the columns of conflict suites."""
    memory = row.get("memory_answer", row.get("parametric_answer", made.memory_answer))
    return {
        "id": row["ifcurate_pair"],
        "context": "\n\n".join(made.texts[p][a:b] for p, a, b in moved_context(view, made)),
        "question": view.question_text.strip(),
        "answer": made.answer,
        "memory_answer": memory,
    }


def moved_context(view: View, made: Counterfactual) -> list[TextRange]:
    """Return the ranges of the context at their places after the edits."""
    return [(p, moved(a, p, made.edits), moved(b, p, made.edits)) for p, a, b in view.context]


def edited_example(example: Example, view: View, made: Counterfactual) -> Example:
    """Return the example with every text after the edits, its blocks moved with them."""
    paths = {text: path for path, text in view.texts.items()}

    def new(text: str) -> str:
        path = paths.get(text)
        return text if path is None else made.texts[path]

    def turns(before: tuple[Turn, ...]) -> tuple[Turn, ...]:
        return tuple(replace(t, content=new(t.content)) for t in before)

    context, blocks = new(example.context), []
    for block in example.blocks:
        if block.path in view.texts:
            blocks.append(_moved_block(block, made.edits))
            continue
        passages = context_passages(example.row, block.path)
        context = "\n\n".join(made.texts[path] for path in passages)
        blocks.append(replace(block, end=len(context), outer_end=len(context)))
    return replace(
        example,
        instruction=new(example.instruction),
        context=context,
        response=made.texts[view.response_path],
        system=new(example.system),
        history=turns(example.history),
        trailing=turns(example.trailing),
        blocks=tuple(blocks),
    )


def _moved_block(block: ContextBlock, edits: Sequence[Edit]) -> ContextBlock:
    """Return a context block at its place after the edits."""
    start, end, outer_start, outer_end = (
        moved(at, block.path, edits)
        for at in (block.start, block.end, block.outer_start, block.outer_end)
    )
    return replace(block, start=start, end=end, outer_start=outer_start, outer_end=outer_end)


def _move_answer_starts(row: dict[str, Any], example: Example, made: Counterfactual) -> None:
    """Update SQuAD's `answer_start`, which counts characters of the context."""
    answers = row.get("answers")
    if not isinstance(answers, Mapping) or not isinstance(answers.get("answer_start"), list):
        return
    path = next((b.path for b in example.blocks), "")
    starts = [
        moved(start, path, made.edits) if isinstance(start, int) else start
        for start in answers["answer_start"]
    ]
    row["answers"] = {**answers, "answer_start": starts}
