"""One example before and after its edits: what the checks look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..edit.edits import Edit
from ..edit.substitution import Substitution

__all__ = ["Case"]


@dataclass(frozen=True, slots=True)
class Case:
    """One example before and after its edits."""

    before: Mapping[str, str]  # every string of the row by its path
    after: Mapping[str, str]
    edits: Sequence[Edit]
    plan: Substitution
    context: Sequence[tuple[str, int, int]]  # stretches of `before` that are context
    response_path: str
    question: Sequence[tuple[str, int, int]]  # stretches that ask: no edit may fall there
    memory: Sequence[str] = ()  # remembered answers that stay as they are
    keep: frozenset[str] = field(default_factory=frozenset)  # paths no edit may touch
    gender: str = ""

    @property
    def question_text(self) -> str:
        """All that asks."""
        return "\n".join(self.before[p][a:b] for p, a, b in self.question)
