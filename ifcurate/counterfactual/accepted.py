"""The result for an example that passed every check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .edit.edits import Edit
from .edit.substitution import Substitution
from .recognise.spans import VALUES


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """An accepted example: the strings of its row after the edits, and how they were made."""

    texts: Mapping[str, str]
    edits: tuple[Edit, ...]
    plan: Substitution
    gender: str
    answer: str  # the substitute as the response has it
    memory_answer: str  # the original as the response had it
    checks: tuple[str, ...]  # the codes of the checks it passed
    grounding: float  # share of the response's content words that occur in context or question

    @property
    def substitute(self) -> str:
        """The full form of the substitute; a date or an amount in the notation of the row."""
        return self.edits[0].new if self.plan.type in VALUES else self.plan.substitute
