"""The result of reading a row: its examples, or the reason why it has none."""

from __future__ import annotations

from dataclasses import dataclass

from ifcurate.data.readers.files import RawRow
from ifcurate.records import Example


@dataclass(frozen=True, slots=True)
class ReadRow:
    """One row of the data, with its examples. Its `error` says why it has none."""

    raw: RawRow
    examples: tuple[Example, ...] = ()

    @property
    def bad(self) -> RawRow | None:
        """The row if it cannot be used."""
        return self.raw if self.raw.error else None
