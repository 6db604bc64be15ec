"""The case that the checks judge: an example before and after its edits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..edit.edits import Edit, moved
from ..edit.views import TextRange, View
from ..recognise.spans import VALUES, Recogniser, Substitution


@dataclass(frozen=True, slots=True)
class Case:
    """One example before and after its edits; a counterfactual if it passes all checks."""

    view: View  # the example before the edits
    after: Mapping[str, str]  # the strings of its row after the edits
    edits: Sequence[Edit]
    plan: Substitution
    recogniser: Recogniser  # for the check of types
    gender: str = ""
    grounding: float = 0.0  # share of the response's content words that were given

    @property
    def before(self) -> Mapping[str, str]:
        """Every string of the row by its path, before the edits."""
        return self.view.texts

    @property
    def substitute(self) -> str:
        """The full form of the substitute; a date or an amount in the notation of the row."""
        return self.edits[0].new if self.plan.type in VALUES else self.plan.substitute

    @property
    def answers(self) -> list[Edit]:
        """The edits of the response, in order."""
        return [e for e in self.edits if e.path == self.view.response_path]

    @property
    def longest_answer(self) -> Edit:
        """The edit of the response whose original is the longest; the first of these."""
        return max(self.answers, key=lambda e: (len(e.old), -e.start))

    @property
    def context(self) -> list[TextRange]:
        """The ranges of the context at their places after the edits."""
        edits = self.edits
        return [(p, moved(a, p, edits), moved(b, p, edits)) for p, a, b in self.view.context]
