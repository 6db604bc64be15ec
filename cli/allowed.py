"""`--fail-on-error`: how much of the data may be unusable before a command exits with 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Self

import typer

from .common import fraction

if TYPE_CHECKING:
    from ifcurate.runs.run import Run

FailOnError = Annotated[
    str,
    typer.Option(
        "--fail-on-error",
        metavar="true|false|SHARE|COUNT",
        help="Exit 1 when more rows than this cannot be used, or a file was not read whole; "
        "false: never. What was done is kept.",
    ),
]


#: Statuses of rows that give no score although they should.
UNUSABLE: Final = ("quarantined", "error", "out_of_memory", "empty_response")


@dataclass(frozen=True, slots=True)
class Allowed:
    """The most rows that may be unusable: a share, or a count; None for any number."""

    share: float | None = None
    rows: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """From the option: "true" (fail at the first), "false" (never), a fraction or a count."""
        word = text.strip().lower()
        if word in ("false", "no", "never"):
            return cls()
        if word in ("true", "yes", "0"):
            return cls(rows=0)
        if word.endswith("%") or "." in word:
            return cls(share=fraction(word))
        if word.isdigit() and word != "1":
            return cls(rows=int(word))
        raise typer.BadParameter(
            f"{text!r}: write true, false, a fraction (0.01 or 1%) or a count of 2 or more",
            param_hint="--fail-on-error",
        )

    def check(self, counts: Mapping[str, int], broken: Sequence[str], folder: Path) -> None:
        """Raise `DataError` for more unusable rows than that, or for a file not read whole.

        Nobody knows how many rows such a file had, so no share or count allows it.
        """
        from ifcurate.errors import DataError
        from ifcurate.phrases import count

        if self.share is None and self.rows is None:
            return
        kept = f"what was done is kept in {folder}"
        if broken:
            more = f" (and {count(len(broken) - 1, 'other')})" if len(broken) > 1 else ""
            raise DataError(
                f"not read whole: {broken[0]}{more}; nobody knows how many rows are missing; "
                f"{kept}; get the file again, or let it pass: --fail-on-error false"
            )
        bad = sum(counts.get(status, 0) for status in UNUSABLE)
        rows = max(counts.get("rows", 0), 1)
        if self.rows is not None:
            most, said = float(self.rows), f"at most {self.rows:,} may" if self.rows else "none may"
        else:
            most = (self.share or 0) * rows
            said = f"at most {(self.share or 0) * 100:.4g}% may"
        if bad > most:
            empty = counts.get("empty_response", 0)
            more = f", {empty:,} of them for an empty response" if empty else ""
            raise DataError(
                f"{bad:,} of {count(rows, 'row')} could not be used{more} ({said}); {kept}, with "
                "the reasons; repair the rows, or raise --fail-on-error"
            )

    def check_run(self, run: Run) -> None:
        """`check` for a scored run, of which some row must have been scored."""
        _refuse_unscored(run)
        self.check(run.manifest.counts, run.manifest.checks.get("broken_inputs", []), run.folder)


def _refuse_unscored(run: Run) -> None:
    """Raise `DataError` when not a single row was scored; one shard of many may have none."""
    from ifcurate.errors import DataError
    from ifcurate.phrases import count

    counts = run.manifest.counts
    if counts.get("scored") or run.manifest.identity.get("shard") or not counts.get("rows"):
        return
    why = ", ".join(f"{n:,} {name}" for name, n in counts.items() if n and name in _NOT_SCORED)
    raise DataError(
        f"no row was scored; of {count(counts['rows'], 'row')} {why}; see why with "
        "`ifcurate inspect DATA`, or name the columns: --columns instruction=... context=... "
        "response=..."
    )


_NOT_SCORED: Final = (
    *("quarantined", "no_context", "empty_response", "too_long", "out_of_memory", "error"),
)
