"""The result of reading a row: its examples, or the reason why it has none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ifcurate.data.readers.files import RawRow
from ifcurate.phrases import count
from ifcurate.records import Example


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used, with its place and the reason."""

    source: str
    number: int
    line: int | None
    reason: str
    raw: bytes | None
    ends: bool = False  # it also represents the rows after it, which could not be read

    @property
    def loss(self) -> str:
        """The message that a source was not read completely; "" when only this row is bad."""
        before = count(self.number, "row") if self.number else "no row"
        return f"{self.source}: {self.reason} ({before} of it before)" if self.ends else ""

    def as_record(self) -> dict[str, Any]:
        """Return the row's record in the quarantine file."""
        raw = None if self.raw is None else self.raw.decode("utf-8", "backslashreplace")
        return {
            "source": self.source,
            "row": self.number,
            "line": self.line,
            "reason": self.reason,
            "raw": raw,
        }


@dataclass(frozen=True, slots=True)
class ReadRow:
    """One row of the data, with its examples or the reason why it has none."""

    raw: RawRow
    examples: tuple[Example, ...] = ()
    bad: BadRow | None = None
