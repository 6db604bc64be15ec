"""The case that the checks judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..edit.edits import Edit
from ..edit.substitution import Substitution
from ..edit.views import View
from ..lexicon.tables import Lexicon
from ..recognise.spans import Recogniser


@dataclass(frozen=True, slots=True)
class Case:
    """One example before and after its edits, with lexicon and recogniser."""

    view: View  # the example before the edits
    after: Mapping[str, str]
    edits: Sequence[Edit]
    plan: Substitution
    lexicon: Lexicon
    recogniser: Recogniser  # for the check of types
    gender: str = ""

    @property
    def before(self) -> Mapping[str, str]:
        """Every string of the row by its path, before the edits."""
        return self.view.texts
