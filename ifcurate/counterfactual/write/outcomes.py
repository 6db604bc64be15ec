"""What became of each row: what was written, or which check it failed; and the sums of a run."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ifcurate.records import Example

from ..edit.candidates import View
from ..engine import Counterfactual
from .rows import edited_example

__all__ = ["CHECKS", "Augmentation", "Funnel", "Outcome", "Written"]

#: Why a row is not written, by the id that `rejected.jsonl` has as its stage.
CHECKS: Final = {
    "H1": "a part or a short form of the original would be left in the text",
    "H2": "the substitute, or a part of it, stood in the row before",
    "H3": "the edits would change something else, or nothing",
    "H4": "two things would become one, or one thing two",
    "H5": "the new text is not recognised as what the original was",
    "H6": "the answer is not in context and response, or the question names it",
    "H7": "the response says what the context does not",
    "H8": "the entity is a part of something longer: a name, a title, an address",
    "H9": "JSON, a table, a list or code would have another shape",
    "H10": "an article, a possessive or the letter case would not fit",
    "H11": "pronouns or a title would not fit the name, or its gender is not known",
    "H12": "the geography would contradict itself, or is not clear",
    "H13": "dates or amounts would contradict each other, or are not clear",
    "H14": "the task depends on this very entity: rewriting, code, sums",
    "H15": "the context is too short (fewer than 20 words), or says that there is none",
    "S1": "the model does not confirm it",
    "type": "the given answer is of no known type",
    "policy": "there is no substitute for it, or none that may be used",
    "plan": "the server gave no plan that can be used",
}


@dataclass(frozen=True, slots=True)
class Written:
    """One counterfactual: the rows to write (a pair has two or three), and its suite row."""

    rows: tuple[dict[str, Any], ...]
    suite: dict[str, Any]
    original: Example
    made: Counterfactual
    view: View

    @property
    def example(self) -> Example:
        """The counterfactual as an example, to be scored or mixed; its id is the pair's."""
        row = next(r for r in self.rows if r["ifcurate_role"] == "counterfactual")
        edited = edited_example(self.original, self.view, self.made)
        return replace(edited, id=row["ifcurate_pair"], row=row)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one row: what was written, and where and why it stopped otherwise."""

    id: str
    source: str
    row_number: int
    written: tuple[Written, ...] = ()
    stage: str = ""  # "row", "context", "entity", or a key of CHECKS; "" when written
    reason: str = ""

    def as_record(self) -> dict[str, Any]:
        """A line of `rejected.jsonl`."""
        return {
            "id": self.id,
            "source": self.source,
            "row": self.row_number,
            "stage": self.stage,
            "reason": self.reason,
        }


@dataclass(slots=True)
class Funnel:
    """Where the rows went; every count is of rows, `examples` of counterfactuals written."""

    read: int = 0
    unusable: int = 0  # could not be read, or give no example
    has_context: int = 0
    entity: int = 0
    written: int = 0
    examples: int = 0
    checks: Counter[str] = field(default_factory=Counter)  # key of CHECKS: rows that failed it
    reasons: Counter[str] = field(default_factory=Counter)  # "H1: '...' is left": rows
    types: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Count one row."""
        self.read += 1
        self.unusable += outcome.stage == "row"
        self.has_context += outcome.stage not in {"row", "context"}
        self.entity += outcome.stage not in {"row", "context", "entity"}
        self.written += bool(outcome.written)
        self.examples += len(outcome.written)
        for written in outcome.written:
            self.types[written.made.plan.type] += 1
        if outcome.stage not in {"", "row", "context", "entity"}:
            self.checks[outcome.stage] += 1
            self.reasons[f"{outcome.stage}: {_general(outcome.reason)}"] += 1

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the manifest and `--json`."""
        return {
            "read": self.read,
            "unusable": self.unusable,
            "has_context": self.has_context,
            "entity": self.entity,
            "written": self.written,
            "examples": self.examples,
            "types": dict(sorted(self.types.items())),
            "checks": {
                name: {"rows": n, "meaning": CHECKS.get(name, "")}
                for name, n in self.checks.most_common()
            },
            "rejected": dict(sorted(self.reasons.items(), key=lambda r: (-r[1], r[0]))),
        }


def _general(reason: str) -> str:
    """The reason without the names and numbers of the one row."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|[-+]?\d[\d.,%]*", "…", reason)[:80]


@dataclass(slots=True)
class Augmentation:
    """All counterfactuals of a data set, what was rejected with why, and the funnel."""

    written: list[Written] = field(default_factory=list)
    rejected: list[Outcome] = field(default_factory=list)
    funnel: Funnel = field(default_factory=Funnel)

    @property
    def examples(self) -> list[Example]:
        """The counterfactuals alone, in the order of the input."""
        return [written.example for written in self.written]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows to write, in the order of the input."""
        return [row for written in self.written for row in written.rows]
