"""A template that many rows share: its fixed parts, its slots, and which slots are context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import patterns
from .found import Found, make_found
from .lines import is_directive, is_instruction, is_question
from .words import BARE_LEAD, classify_label

__all__ = ["Shape", "find_in_shape", "label_before", "match_shape"]

_OPENING = "\"“«„'‘`「『"
_CLOSING = "\"”»“'’`」』"


@dataclass(frozen=True, slots=True)
class Shape:
    """A template that was learned from rows, and its slots that are context.

    `parts` are its fixed texts in order, with a slot between each two; the first and the
    last may be empty. `contexts` numbers the slots that are context, from 0.
    """

    parts: tuple[str, ...]
    contexts: tuple[int, ...]
    n_rows: int  # that it was learned from
    agreement: float  # share of them in which the rules alone find the same context
    confidence: float

    @property
    def n_fixed(self) -> int:
        """Characters of its fixed parts, blanks left out."""
        return sum(len("".join(part.split())) for part in self.parts)

    def describe(self) -> str:
        """One line for people: how many rows, and what is context."""
        shown = "⟨…⟩".join(" ".join(part.split()) for part in self.parts)
        shown = shown if len(shown) <= 100 else f"{shown[:60]} … {shown[-35:]}"
        if not self.contexts:
            return f"{self.n_rows} rows share a template without a context: {shown}"
        numbers = " and ".join(str(k + 1) for k in self.contexts)
        which = f"slot {numbers} is" if len(self.contexts) == 1 else f"slots {numbers} are"
        return f"{self.n_rows} rows share a template; {which} the context: {shown}"

    def as_record(self) -> dict[str, Any]:
        """Plain values, for a run's identity."""
        return {
            "parts": list(self.parts),
            "contexts": list(self.contexts),
            "n_rows": self.n_rows,
            "agreement": self.agreement,
            "confidence": self.confidence,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Shape:
        """The opposite of `as_record`."""
        values = {**record, "parts": tuple(record["parts"]), "contexts": tuple(record["contexts"])}
        return cls(**values)


def match_shape(text: str, shape: Shape) -> list[tuple[int, int]] | None:
    """The places of the slots in a text; None when it does not fit the template.

    Parts before the last context are taken where they first occur, parts after it where
    they last occur, so that words of the template inside a context do no harm.
    """
    end = len(text.rstrip())
    first, *inner, last = shape.parts
    if not text.startswith(first) or not text.endswith(last, 0, end):
        return None
    left, right = len(first), end - len(last)
    n_left = (max(shape.contexts) if shape.contexts else len(inner)) if inner else 0
    places: dict[int, tuple[int, int]] = {}
    for i in range(min(n_left, len(inner))):
        at = text.find(inner[i], left, right)
        if at < 0:
            return None
        places[i] = (at, at + len(inner[i]))
        left = places[i][1]
    for i in reversed(range(n_left, len(inner))):
        at = text.rfind(inner[i], left, right)
        if at < 0:
            return None
        places[i] = (at, at + len(inner[i]))
        right = at
    if left > right:
        return None
    edges = [len(first), *(edge for i in range(len(inner)) for edge in places[i]), end - len(last)]
    slots = [(edges[i], edges[i + 1]) for i in range(0, len(edges), 2)]
    if shape.contexts and not shape.n_fixed:
        for k, (start, stop) in enumerate(slots):
            if is_question(text[start:stop]) is (k in shape.contexts):
                return None  # only the question tells such a template from any other text
    return slots


def find_in_shape(text: str, shape: Shape, slots: Sequence[tuple[int, int]]) -> list[Found]:
    """The context of a row that fits a template, with its labels and quotes; [] for none."""
    found: list[Found] = []
    for number in shape.contexts:
        start, end = slots[number]
        left = max(0, start - len(shape.parts[number]))
        opening = start
        while opening > left and text[opening - 1] in _OPENING + " \t":
            opening -= 1
        quoted = any(ch in _OPENING for ch in text[opening:start])
        closing = end
        if quoted:
            while text[closing : closing + 1] and text[closing] in _CLOSING:
                closing += 1
            if closing > end and text[closing : closing + 1] == ",":
                closing += 1
        if not quoted:
            begins = _start_sentence(text, left, opening)
            start, opening = (start, opening) if begins == opening else (begins, begins)
            end = closing = _end_sentence(text, end, end + len(shape.parts[number + 1]))
        label = label_before(text, left, opening)
        made = make_found(text, start, end, "template", label_start=opening, at_least=1)
        for f in made:
            outer = opening if quoted else f.start
            if label is not None:
                outer = label
            found.append(
                Found(f.start, f.end, outer, max(f.outer_end, closing), f.rule, shape.confidence)
            )
    return found


def _start_sentence(text: str, left: int, start: int) -> int:
    """Where the passage begins whose first words all rows share: behind its label."""
    line_start = max(left, text.rfind("\n", left, start) + 1)
    label, colon, words = text[line_start:start].rpartition(":")
    if not colon or not words.strip() or classify_label(label.strip())[0] != "context":
        return start
    return start - len(words.lstrip())


def _end_sentence(text: str, end: int, right: int) -> int:
    """Where the line ends whose last words all rows share, if the slot ends in a sentence."""
    line, newline, _ = text[end:right].partition("\n")
    words = line.strip()
    goes_on = words and (words[0].islower() or words[0] in ".,;)。")
    if not (newline and goes_on and words.endswith((".", "!", "。", "！"))):
        return end
    if text[:end].rstrip().endswith((".", "!", "?", "。", "！", "？")):
        return end
    request = words.lstrip(".,;。 ")
    if request and (is_instruction(request) or is_question(request) or is_directive(request)):
        return end
    return end + len(line.rstrip())


def label_before(text: str, left: int, at: int) -> int | None:
    """Where the line before `at` starts when it only announces a text; else None."""
    head = text[left:at].rstrip(" \t\r\n-*•")
    line_start = left + head.rfind("\n") + 1
    line = text[line_start : left + len(head)]
    label = patterns.LABEL_LINE.fullmatch(line) or patterns.HEADING_LINE.fullmatch(line)
    if label and classify_label(label["name"].strip())[0] in ("context", "phrase"):
        return line_start
    if line and (BARE_LEAD.fullmatch(line) or classify_label(line.rstrip(":： "))[0] == "phrase"):
        return line_start
    return None
