"""The case that the checks judge, and the counterfactual that it becomes if it passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..edit.edits import Edit
from ..edit.views import View
from ..recognise.spans import VALUES, Recogniser, Substitution


@dataclass(frozen=True, slots=True)
class Case:
    """One example before and after its edits."""

    view: View  # the example before the edits
    after: Mapping[str, str]
    edits: Sequence[Edit]
    plan: Substitution
    recogniser: Recogniser  # for the check of types
    gender: str = ""

    @property
    def before(self) -> Mapping[str, str]:
        """Every string of the row by its path, before the edits."""
        return self.view.texts


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
