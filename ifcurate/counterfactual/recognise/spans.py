"""Typed spans, what replaces them, and the protocols of recognisers and planners.

A recogniser only proposes spans over the original texts. It edits nothing, and every result
must pass `verify`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

NUMERIC = frozenset({"MONEY", "YEAR", "NUMBER", "QUANTITY"})
VALUES = NUMERIC | {"DATE"}
#: Types without a list of names: their substitutes follow the pattern of the name.
PATTERNED = frozenset({"ORG", "FAC", "WORK", "EVENT", "PRODUCT"})

Shape = Literal["", "full", "given", "family", "name", "adjective", "plural"]


@dataclass(frozen=True, slots=True)
class Span:
    """A typed part of one text of a row, in characters, end exclusive."""

    path: str  # path of the text in the row
    start: int
    end: int
    type: str  # one of TYPES
    text: str  # the characters themselves
    shape: Shape = ""  # PERSON: full, given, family; COUNTRY: name, adjective, plural
    gender: str = ""  # PERSON: "m", "f", "b" (both) or "" (not known)
    groups: tuple[str, ...] = ()  # CITY: countries, or states as "US-TX"
    code: str = ""  # COUNTRY: its code; LOC: its class in the lexicon
    value: str = ""  # dates and amounts: the normal form


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
    source: str = "lexicon"  # origin of the substitute

    @property
    def type(self) -> str:
        """The original's type."""
        return self.span.type

    @property
    def original(self) -> str:
        """The original as it was written."""
        return self.span.text


@runtime_checkable
class Planner(Protocol):
    """A recogniser that plans complete substitutions.

    The engine edits and the verifier checks as usual.
    """

    attempts: int  # most plans for one example
    concurrency: int  # most threads that call `plan` at a time

    def plan(self, view: Any, refusals: Sequence[Any], avoid: Sequence[str]) -> Substitution:
        """Return a plan for a `View`, given the `Refusal`s of the plans before."""

    def count(self, refusal: Any) -> None:
        """Count a plan that a check refused."""


@runtime_checkable
class Recogniser(Protocol):
    """Proposes spans; its name is part of every record."""

    @property
    def name(self) -> str:
        """The name in the records, such as "lexicon" or "spacy:en_core_web_trf"."""

    def spans(self, texts: Mapping[str, str]) -> Sequence[Span]:
        """Typed spans of the texts (by path), in any order; they may overlap."""
