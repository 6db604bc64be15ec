"""What a recogniser proposes, and the little that the engine asks of one.

A recogniser only proposes typed spans over the original texts. It edits
nothing and is trusted with nothing: what is written passes `verify`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

__all__ = [
    "DEFAULT_TYPES",
    "NUMERIC",
    "PATTERNED",
    "TYPES",
    "VALUES",
    "Planner",
    "Recogniser",
    "Shape",
    "Span",
]

#: What is substituted when nothing else is asked for; `docs/counterfactual.md` has the
#: breakage of every type on data that no rule had seen.
DEFAULT_TYPES = ("PERSON", "DATE", "YEAR", "ORG", "WORK", "FAC", "EVENT")
TYPES = (
    *DEFAULT_TYPES,
    *("CITY", "COUNTRY", "LOC", "PRODUCT", "MONEY", "YEAR", "QUANTITY", "NUMBER"),
)
NUMERIC = frozenset({"MONEY", "YEAR", "NUMBER", "QUANTITY"})
VALUES = NUMERIC | {"DATE"}
#: Types of names that no list has: their substitutes are made by a pattern.
PATTERNED = frozenset({"ORG", "FAC", "WORK", "EVENT", "PRODUCT"})

Shape = Literal["", "full", "given", "family", "part", "name", "adjective", "plural"]


@dataclass(frozen=True, slots=True)
class Span:
    """A typed stretch of one text of a row, in characters, end exclusive."""

    path: str  # where the text stands in the row
    start: int
    end: int
    type: str  # one of TYPES
    text: str  # the characters themselves
    shape: Shape = ""  # PERSON: full, given, family, part; COUNTRY: name, adjective, plural
    gender: str = ""  # PERSON: "m", "f", "b" (both) or "" (not known)
    groups: tuple[str, ...] = ()  # CITY: countries, or states as "US-TX"
    code: str = ""  # COUNTRY: its code; LOC: its class in the lexicon
    value: str = ""  # dates and amounts: the normal form


@runtime_checkable
class Planner(Protocol):
    """Something that plans a whole substitution; the engine edits and the verifier judges."""

    attempts: int  # plans asked for one example at most
    concurrency: int  # threads that may ask at a time

    def plan(self, view: Any, refusals: Sequence[Any], avoid: Sequence[str]) -> Any:
        """A `Substitution` for a `View`, given the `Refusal`s of the plans before."""

    def count(self, refusal: Any) -> None:
        """Count a plan that a check refused."""


class Recogniser(Protocol):
    """Something that proposes spans; `name` goes into every record."""

    @property
    def name(self) -> str:
        """What proposed the spans, e.g. "lexicon" or "spacy:en_core_web_trf"."""

    def spans(self, texts: Mapping[str, str]) -> Sequence[Span]:
        """Typed spans of the texts, keyed by path; any order, overlaps allowed."""
