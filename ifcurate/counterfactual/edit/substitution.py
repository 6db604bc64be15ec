"""A substitution: the substitute, and the new form of each old form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..recognise.spans import Span

Change = tuple[str, int, int, str, str]  # path, start, end, old, new


@dataclass(frozen=True, slots=True)
class Substitution:
    """What is replaced by what.

    `forms` maps exact strings; `find_changes` follows the letter case. It is empty for dates
    and amounts, whose notation decides.
    """

    span: Span  # the original entity as recognised
    substitute: str
    forms: Mapping[str, str] = field(default_factory=dict)
    new_type: str = ""  # only if it differs (policy type-swap)
    source: str = "lexicon"  # where the substitute came from
    kept: frozenset[str] = frozenset()  # folded words that are not replaced

    @property
    def type(self) -> str:
        """The original's type."""
        return self.span.type

    @property
    def original(self) -> str:
        """The original as it was written."""
        return self.span.text
