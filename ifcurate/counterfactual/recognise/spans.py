"""What a recogniser proposes, and the little that the engine asks of one.

A recogniser only proposes typed spans over the original texts. It edits
nothing and is trusted with nothing: what is written passes `verify`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

__all__ = [
    "DEFAULT_TYPES",
    "EXPERIMENTAL_TYPES",
    "OPTIONAL_TYPES",
    "TYPES",
    "Planner",
    "Recogniser",
    "Span",
]

#: What is substituted when nothing else is asked for. Of what was read on data that no rule
#: had seen, 2 of 99 PERSON and 0 of 3 DATE were broken.
DEFAULT_TYPES = ("PERSON", "DATE")
#: To be asked for: of the few that could be read more than one in twenty was broken.
OPTIONAL_TYPES = ("CITY", "COUNTRY", "MONEY")
EXPERIMENTAL_TYPES = ("YEAR", "NUMBER", "QUANTITY")
TYPES = DEFAULT_TYPES + OPTIONAL_TYPES + EXPERIMENTAL_TYPES


@dataclass(frozen=True, slots=True)
class Span:
    """A typed stretch of one text of a row, in characters, end exclusive."""

    path: str  # where the text stands in the row
    start: int
    end: int
    type: str  # one of TYPES
    text: str  # the characters themselves
    detail: str = ""  # PERSON: shape and gender; CITY: groups; COUNTRY: code; values: normal form


@runtime_checkable
class Planner(Protocol):
    """Something that plans a whole substitution; the engine edits and the verifier judges."""

    attempts: int  # plans asked for one example at most

    def plan(self, view: Any, refusals: Sequence[Any], avoid: Sequence[str]) -> Any:
        """A `Substitution` for a `View`, given the `Refusal`s of the plans before."""


class Recogniser(Protocol):
    """Something that proposes spans; `name` goes into every record."""

    @property
    def name(self) -> str:
        """What proposed the spans, e.g. "lexicon" or "spacy:en_core_web_trf"."""

    def spans(self, texts: Mapping[str, str]) -> Sequence[Span]:
        """Typed spans of the texts, keyed by path; any order, overlaps allowed."""
