"""What replaces an entity: the substitute, and what each form of the name becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..recognise.spans import Span

__all__ = ["Change", "Substitution"]

Change = tuple[str, int, int, str, str]  # path, start, end, old, new


@dataclass(frozen=True, slots=True)
class Substitution:
    """What is replaced by what.

    `forms` maps exact strings; letter case is followed by `find_changes`. For
    dates and numbers it is filled from what stands in the texts.
    """

    span: Span  # the original as it was recognised
    substitute: str
    forms: Mapping[str, str] = field(default_factory=dict)
    new_type: str = ""  # only where it differs (policy type-swap)
    source: str = "lexicon"  # where the substitute came from
    kept: frozenset[str] = frozenset()  # folded words that stay: a family name that others bear

    @property
    def type(self) -> str:
        """The original's type."""
        return self.span.type

    @property
    def original(self) -> str:
        """The original as it was written."""
        return self.span.text
