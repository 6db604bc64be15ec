"""Where the context stands inside a prompt that carries it in its own text.

Prompts mark their context in few ways: a label ("Passage:"), a heading, tags, fences,
an instruction that points at it ("Summarise this email: ...", "According to the text
above, ..."), or only by being a long text beside a short question. Each way is one
rule of `rules.RULES`; the first rule that finds something decides. The result
is characters of the text as given, so that cutting ``text[outer_start:outer_end]``
leaves the prompt that the writer would have sent without the context.

Everything is linear in the length of the text, and no string raises.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .layouts import (
    find_above,
    find_fenced,
    find_lead,
    find_long,
    find_next_line,
    find_quote,
    find_table,
)
from .lines import Found, is_directive, is_no_context
from .marks import (
    Mark,
    find_inline_label,
    find_labelled,
    find_marks,
    find_numbered,
    find_ruled,
    find_tags,
)
from .rules import RULES

__all__ = ["RULES", "Found", "find_context", "find_document", "is_no_context"]


def find_context(text: str, *, min_confidence: float = 0.5) -> list[Found]:
    """Find the context in one user message or prompt.

    Returns non-overlapping stretches in their order; usually none or one, sometimes two
    (a background and a situation). Rules below `min_confidence` are left out.
    """
    for candidates in _in_prompt(text):
        found = [f for f in candidates if f.confidence >= min_confidence]
        if found:
            return _arrange(text, found)
    return []


def find_document(text: str) -> list[Found]:
    """Find the documents or the knowledge that a system message carries.

    Its instructions stay: a message that only says how to behave gives an empty list.
    """
    for candidates in _in_system(text):
        found = [
            f
            for f in candidates
            if f.rule not in ("code", "sentence") and not is_directive(text[f.start : f.end])
        ]
        if found:
            return _arrange(text, found)
    return []


def _in_prompt(text: str) -> Iterator[list[Found]]:
    """What each rule finds, in the order in which they are trusted."""
    yield find_tags(text)
    yield find_ruled(text)
    marks = find_marks(text)
    yield _find_named(text, marks)
    yield find_inline_label(text)
    yield find_numbered(text, marks)
    yield find_lead(text, marks)
    yield find_fenced(text)
    yield find_above(text, marks)
    yield find_table(text)
    yield find_quote(text)
    yield find_long(text, marks)
    yield find_next_line(text)


def _in_system(text: str) -> Iterator[list[Found]]:
    """The same for a system message, where only marks and leads count."""
    yield find_tags(text)
    yield find_ruled(text)
    marks = find_marks(text)
    yield find_labelled(text, marks)[0]
    yield find_numbered(text, marks)
    yield find_lead(text, marks)
    yield find_fenced(text)


def _find_named(text: str, marks: list[Mark]) -> list[Found]:
    """Labelled texts; a long hint counts as one beside the text that it belongs to."""
    found, hints = find_labelled(text, marks)
    if numbered := find_numbered(text, marks) if len(found) > 1 else []:
        first, last = numbered[0].outer_start, numbered[0].end
        found = [f for f in found if f.end <= first or f.start >= last] + numbered
    if hints and not found:
        found = find_lead(text, marks) or find_above(text, marks)
    return found + [h for h in hints if all(h.start >= f.end or h.end <= f.start for f in found)]


def _arrange(text: str, found: list[Found]) -> list[Found]:
    """In order, without overlaps, and with the white space that would be left over.

    Of the gaps before and after a cut the wider one stays; none at the start of the text;
    at its end, what the text ended with.
    """
    runs: list[list[Found]] = []  # cuts with nothing but white space between them
    floor = 0
    for f in sorted(found, key=lambda f: (f.start, -f.end)):
        if f.start < floor:
            continue
        f = replace(f, outer_start=max(f.outer_start, floor))
        if runs and not text[floor : f.outer_start].strip():
            runs[-1][-1] = replace(runs[-1][-1], outer_end=f.outer_start)
            runs[-1].append(f)
        else:
            runs.append([f])
        floor = f.outer_end
    for run in runs:
        start, end = run[0].outer_start, run[-1].outer_end
        before = len(text[:start].rstrip())
        after = len(text) - len(text[end:].lstrip())
        if after == len(text) or (
            before > 0 and text.count("\n", before, start) < text.count("\n", end, after)
        ):
            run[0] = replace(run[0], outer_start=before)
        else:
            run[-1] = replace(run[-1], outer_end=after)
    return [f for run in runs for f in run]
