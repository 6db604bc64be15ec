"""The outcome of each row, and the counts of a run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ifcurate.records import Example

from ..checks import Check
from ..verify.cases import Case
from .rows import edited_example

_BY_CODE = {check.code: check for check in Check}


@dataclass(frozen=True, slots=True)
class Written:
    """One counterfactual: the rows to write (a pair has two or three), and its suite row."""

    rows: tuple[dict[str, Any], ...]
    suite: dict[str, Any]
    original: Example
    made: Case

    @property
    def example(self) -> Example:
        """The counterfactual as an example, to score or mix; its id is that of the pair."""
        row = next(r for r in self.rows if r["ifcurate_role"] == "counterfactual")
        edited = edited_example(self.original, self.made)
        return replace(edited, id=row["ifcurate_pair"], row=row)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one row: the counterfactuals, or the failed check and the reason."""

    id: str
    source: str
    row_number: int
    written: tuple[Written, ...] = ()
    check: Check | None = None  # None if written
    reason: str = ""
    bad: bool = False  # the row could not be read
    loss: str = ""  # why its source was not read to the end

    @property
    def stage(self) -> str:
        """The code of the check that the row failed, "" if it was written."""
        return self.check.code if self.check else ""

    def as_record(self) -> dict[str, Any]:
        """Return a line of the journal: all that the files and the funnel need."""
        rejected = {
            "id": self.id,
            "source": self.source,
            "row": self.row_number,
            "stage": self.stage,
            "reason": self.reason,
        }
        return {
            "source": self.source,
            "bad": self.bad,
            "loss": self.loss,
            "rows": [row for written in self.written for row in written.rows],
            "suites": [written.suite for written in self.written],
            "types": [written.made.plan.type for written in self.written],
            "rejected": [] if self.written else [rejected],
        }


@dataclass(slots=True)
class Funnel:
    """Counts of rows by stage; `examples` counts counterfactuals."""

    read: int = 0
    unusable: int = 0  # not readable, or without an example
    has_context: int = 0
    entity: int = 0
    written: int = 0
    examples: int = 0
    checks: Counter[str] = field(default_factory=Counter)  # code of a check -> rows that failed it
    reasons: Counter[str] = field(default_factory=Counter)  # "H1: '...' is left" -> rows
    types: Counter[str] = field(default_factory=Counter)

    def add(self, record: Mapping[str, Any]) -> None:
        """Count one row from its record (`Outcome.as_record`)."""
        self.read += 1
        types = record["types"]
        self.written += bool(types)
        self.examples += len(types)
        self.types.update(types)
        check, reason = None, ""
        for rejected in record["rejected"]:
            check, reason = _BY_CODE[rejected["stage"]], rejected["reason"]
        self.unusable += check is Check.ROW
        self.has_context += check not in {Check.ROW, Check.CONTEXT}
        self.entity += check is None or check.judges
        if check is not None and check.judges:
            self.checks[check.code] += 1
            self.reasons[f"{check.code}: {_general(reason)}"] += 1

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the manifest and `--json`."""
        counts = ("read", "unusable", "has_context", "entity", "written", "examples")
        return {
            **{name: getattr(self, name) for name in counts},
            "types": dict(sorted(self.types.items())),
            "checks": {
                code: {"rows": n, "meaning": _BY_CODE[code].meaning}
                for code, n in self.checks.most_common()
            },
            "rejected": dict(sorted(self.reasons.items(), key=lambda r: (-r[1], r[0]))),
        }


def _general(reason: str) -> str:
    """Return the reason without names and numbers."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|[-+]?\d[\d.,%]*", "…", reason)[:80]


@dataclass(slots=True, repr=False)
class Augmentation:
    """All counterfactuals of a dataset, the rejected rows, and the funnel."""

    written: list[Written] = field(default_factory=list)
    rejected: list[Outcome] = field(default_factory=list)
    funnel: Funnel = field(default_factory=Funnel)

    def __repr__(self) -> str:
        return f"Augmentation({len(self.written):,} written, {len(self.rejected):,} rejected)"

    @property
    def examples(self) -> list[Example]:
        """The counterfactuals alone, in the order of the input."""
        return [written.example for written in self.written]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows to write, in the order of the input."""
        return [row for written in self.written for row in written.rows]
