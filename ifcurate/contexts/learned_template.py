"""A template that many rows share: its fixed parts, its slots, and which slots are context."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from .lines import label_before
from .quotes import OPENING_MARKS
from .spans import ContextSpan, make_spans

_CLOSING = "\"”»«“'’`」』"
_SIGNS = "=<>|#@^~{}[]→"
_ENDED_QUOTE = re.compile(r"[.!?…]?«")  # the end of »a German quotation«


#: The place of a request in the slot of the context; "" if there is none.
Asks = Literal["", "first", "last"]


@dataclass(frozen=True, slots=True)
class LearnedTemplate:
    """A template that was learned from rows, and its slots that are context.

    `parts` are its fixed texts in order, with a slot between each two; the first and the last
    may be empty. `contexts` are the numbers of the slots that are context, from 0.
    """

    parts: tuple[str, ...]
    contexts: tuple[int, ...]
    n_rows: int  # number of rows from which it was learned
    agreement: float  # share of them that alone give the same context
    confidence: float
    asks: Asks = ""  # the place of a request in the context's slot

    @property
    def n_fixed(self) -> int:
        """How many characters its fixed parts have, without blanks."""
        return sum(len("".join(part.split())) for part in self.parts)

    def describe(self) -> str:
        """Return one line for display: how many rows, and which slots are context."""
        shown = "⟨…⟩".join(" ".join(part.split()) for part in self.parts)
        shown = shown if len(shown) <= 100 else f"{shown[:60]} … {shown[-35:]}"
        if not self.contexts:
            return f"{self.n_rows} rows share a template without a context: {shown}"
        numbers = " and ".join(str(k + 1) for k in self.contexts)
        which = f"slot {numbers} is" if len(self.contexts) == 1 else f"slots {numbers} are"
        place = {"": "", "first": " after its request", "last": " before its request"}[self.asks]
        return f"{self.n_rows} rows share a template; {which} the context{place}: {shown}"

    def as_record(self) -> dict[str, Any]:
        """Return plain values for a run's identity, without those at their default."""
        record = {**asdict(self), "parts": list(self.parts), "contexts": list(self.contexts)}
        return {key: value for key, value in record.items() if key != "asks" or value}


def are_distinct(parts: Sequence[str]) -> bool:
    """Return whether fixed parts have letters, digits or signs that sentences do not have."""
    return any(ch.isalnum() or ch in _SIGNS for part in parts for ch in part)


def match_template(text: str, template: LearnedTemplate) -> list[tuple[int, int]] | None:
    """Return the slots of a text; None when it does not fit the template."""
    end = len(text.rstrip())
    first, *inner, last = template.parts
    if not text.startswith(first) or not text.endswith(last, 0, end):
        return None
    places = _place_inner(text, inner, template.contexts, len(first), end - len(last))
    if places is None:
        return None
    edges = [len(first), *(edge for place in places for edge in place), end - len(last)]
    slots = list(zip(edges[::2], edges[1::2], strict=True))
    return slots


def _place_inner(
    text: str, inner: Sequence[str], contexts: Sequence[int], left: int, right: int
) -> list[tuple[int, int]] | None:
    """Return the places of the inner fixed parts in `left:right`; None when one is missing.

    Parts before the last context are matched where they first occur, parts after it where they
    last occur. Words of the template inside a context then do no harm.
    """
    n_left = min(max(contexts), len(inner)) if contexts else len(inner)
    before: list[tuple[int, int]] = []
    for part in inner[:n_left]:
        at = text.find(part, left, right)
        if at < 0:
            return None
        left = at + len(part)
        before.append((at, left))
    behind: list[tuple[int, int]] = []
    for part in reversed(inner[n_left:]):
        at = text.rfind(part, left, right)
        if at < 0:
            return None
        behind.append((at, at + len(part)))
        right = at
    return [*before, *reversed(behind)] if left <= right else None


def find_in_template(
    text: str, template: LearnedTemplate, slots: Sequence[tuple[int, int]]
) -> list[ContextSpan]:
    """Find the context of a row that fits a template, with its labels and quotes, or [].

    `slots` are those of the row, without the request that a slot holds.
    """
    spans: list[ContextSpan] = []
    for number in template.contexts:
        start, end = slots[number]
        # The fixed part before the slot; none where the request is between.
        left = start if template.asks == "first" else start - len(template.parts[number])
        spans += _find_in_slot(text, (start, end), max(0, left), template.confidence)
    return spans


def _find_in_slot(
    text: str, slot: tuple[int, int], left: int, confidence: float
) -> list[ContextSpan]:
    """Find the text of a slot, with the label and the quotes in the fixed parts from `left` on."""
    start, end = slot
    marks = OPENING_MARKS + ("»" if _ENDED_QUOTE.match(text, end) else "")
    opening = left + len(text[left:start].rstrip(marks + " \t\u00a0\u202f"))
    quoted = any(ch in marks for ch in text[opening:start])
    closing = _after_quotes(text, end) if quoted else end
    # The label is part of a sentence in "Use the article: ... to answer this".
    continues = text[closing : closing + 1] == " " and text[closing + 1 : closing + 2].islower()
    label = None if continues else label_before(text, left, opening)
    made = make_spans(text, start, end, "template", confidence, cut_start=opening, at_least=1)
    return [
        replace(
            span,
            outer_start=label if label is not None else opening if quoted else span.start,
            outer_end=max(span.outer_end, closing),
        )
        for span in made
    ]


def _after_quotes(text: str, at: int) -> int:
    """Return the position after the quotation marks at `at`."""
    marks = text[at : at + 10]
    blank = marks[:1] in (" ", "\u00a0", "\u202f") and marks[1:2] == "»"
    return at + len(marks) - len(marks[blank:].lstrip(_CLOSING))
