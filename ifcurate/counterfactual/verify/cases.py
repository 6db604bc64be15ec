"""One example before and after its edits: what the checks look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..edit.edits import Edit
from ..edit.substitution import Substitution
from ..edit.views import View
from ..lexicon.tables import Lexicon
from ..recognise.spans import Recogniser

__all__ = ["Case"]


@dataclass(frozen=True, slots=True)
class Case:
    """One example before and after its edits, and what the checks consult."""

    view: View  # the example before the edits
    after: Mapping[str, str]
    edits: Sequence[Edit]
    plan: Substitution
    lexicon: Lexicon
    recogniser: Recogniser  # recognises the new text once more
    gender: str = ""

    @property
    def before(self) -> Mapping[str, str]:
        """Every string of the row by its path, before the edits."""
        return self.view.texts
