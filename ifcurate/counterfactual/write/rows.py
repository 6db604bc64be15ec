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
from ..lexicon.wording import fold
from ..verify.cases import Case
from ..verify.verifier import PASSED

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


def counterfactual_row(example: Example, case: Case, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row after the edits, with its record. `settings` are the columns of the run."""
    changed = {p: t for p, t in case.after.items() if t != case.before[p]}
    row = with_texts(example.row, changed)
    _move_answer_starts(row, example, case)
    row.setdefault("answer", case.longest_answer.new)
    if "parametric_answer" not in row:
        row.setdefault("memory_answer", case.longest_answer.old)
    plan = case.plan
    return {
        **row,
        "ifcurate_role": "counterfactual",
        **settings,
        "ifcurate_type": plan.type,
        "ifcurate_new_type": plan.new_type or plan.type,
        "ifcurate_gender": case.gender,
        "ifcurate_original": plan.original,
        "ifcurate_substitute": case.substitute,
        "ifcurate_source": plan.source,
        "ifcurate_forms": [
            {"old": old, "new": new}
            for old, new in dict.fromkeys((e.old, e.new) for e in case.edits)
        ],
        "ifcurate_edits": [e.as_dict() for e in case.edits],
        "ifcurate_checks": list(PASSED),
        "ifcurate_grounding": round(case.grounding, 3),
    }


def abstain_row(example: Example, case: Case) -> dict[str, Any] | None:
    """Return the question without its context, with an abstention.

    None if the rest has the answer.
    """
    view = case.view
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
    if any(fold(case.longest_answer.old) in fold(t) for t in rest):
        return None
    row = with_texts(example.row, texts)
    answers = row.get("answers")
    if isinstance(answers, Mapping) and "answer_start" in answers:
        row["answers"] = {**answers, "text": [decline], "answer_start": [-1]}
    return row


def suite_row(case: Case, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the example in the columns of conflict suites."""
    answer = case.longest_answer
    return {
        "id": row["ifcurate_pair"],
        "context": "\n\n".join(case.after[p][a:b] for p, a, b in case.context),
        "question": case.view.question_text.strip(),
        "answer": answer.new,
        "memory_answer": row.get("memory_answer", row.get("parametric_answer", answer.old)),
    }


def edited_example(example: Example, case: Case) -> Example:
    """Return the example with every text after the edits, its blocks moved with them."""
    paths = {text: path for path, text in case.before.items()}

    def new(text: str) -> str:
        path = paths.get(text)
        return text if path is None else case.after[path]

    def turns(before: tuple[Turn, ...]) -> tuple[Turn, ...]:
        return tuple(replace(t, content=new(t.content)) for t in before)

    context, blocks = new(example.context), []
    for block in example.blocks:
        if block.path in case.before:
            blocks.append(_moved_block(block, case.edits))
            continue
        passages = context_passages(example.row, block.path)
        context = "\n\n".join(case.after[path] for path in passages)
        blocks.append(replace(block, end=len(context), outer_end=len(context)))
    return replace(
        example,
        instruction=new(example.instruction),
        context=context,
        response=case.after[case.view.response_path],
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


def _move_answer_starts(row: dict[str, Any], example: Example, case: Case) -> None:
    """Update SQuAD's `answer_start`, which counts characters of the context."""
    answers = row.get("answers")
    if not isinstance(answers, Mapping) or not isinstance(answers.get("answer_start"), list):
        return
    path = next((b.path for b in example.blocks), "")
    starts = [
        moved(start, path, case.edits) if isinstance(start, int) else start
        for start in answers["answer_start"]
    ]
    row["answers"] = {**answers, "answer_start": starts}
