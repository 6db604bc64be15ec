"""`--fail-on-error`: how much of the data may be unusable before a command exits with 1."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

import typer

from ifcurate.errors import DataError
from ifcurate.phrases import count

if TYPE_CHECKING:
    from ifcurate.runs.run import Run

FailOnError = Annotated[
    str,
    typer.Option(
        "--fail-on-error",
        metavar="true|false|SHARE|COUNT",
        help="Exit with 1 if more rows than this cannot be used, or if a file was not read "
        "to the end. Finished work is kept. With false, all of this is allowed.",
    ),
]


#: Statuses of rows that should have a score and have none.
UNUSABLE: Final = ("quarantined", "error", "out_of_memory", "timed_out", "empty_response")


@dataclass(frozen=True, slots=True)
class Allowed:
    """The limit of unusable rows: a share, or a count; None for no limit."""

    share: float | None = None
    rows: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the limit from the option: "true" (none), "false" (any), a share or a count."""
        word = text.strip().lower()
        if word in ("false", "no", "never"):
            return cls()
        if word in ("true", "yes"):
            return cls(rows=0)
        if word.isdigit() and word != "1":
            return cls(rows=int(word))
        with contextlib.suppress(ValueError):
            share = float(word.removesuffix("%")) / (100 if word.endswith("%") else 1)
            if word != "1" and 0 <= share <= 1:
                return cls(share=share)
        raise typer.BadParameter(
            f"{text!r}: write true, false, a share (0.01 or 1%, at most 100%) or a count of 2 or "
            "more",
            param_hint="--fail-on-error",
        )

    def check(self, counts: Mapping[str, int], broken: Sequence[str], folder: Path) -> None:
        """Raise `DataError` for too many unusable rows, or for a file that was not read to the end.

        The number of rows in such a file is unknown, so no share or count allows it.
        """

        if self.share is None and self.rows is None:
            return
        kept = f"what was done is kept in {folder}"
        if broken:
            more = f" (and {count(len(broken) - 1, 'other')})" if len(broken) > 1 else ""
            raise DataError(
                f"not read to the end: {broken[0]}{more}; the number of missing rows is unknown; "
                f"{kept}; get the file again, or allow it: --fail-on-error false"
            )
        bad = sum(counts.get(status, 0) for status in UNUSABLE)
        rows = max(counts.get("rows", 0), 1)
        limit, limit_in_words = self._limit(rows)
        if bad > limit:
            empty = counts.get("empty_response", 0)
            more = f", {empty:,} of them for an empty response" if empty else ""
            raise DataError(
                f"{bad:,} of {count(rows, 'row')} could not be used{more} ({limit_in_words}); "
                f"{kept}, with the reasons, and can be used; repair the rows, or raise "
                "--fail-on-error"
            )

    def _limit(self, rows: int) -> tuple[float, str]:
        """Return the limit of unusable rows, as a number and in words."""
        if self.rows is None:
            share = self.share or 0
            return share * rows, f"at most {share * 100:.4g}% may"
        return self.rows, f"at most {self.rows:,} may" if self.rows else "none may"

    def find_problem(self, run: Run) -> DataError | None:
        """Return the error of `check_run`, for a command that prints a summary first."""

        try:
            self.check_run(run)
        except DataError as error:
            return error
        return None

    def check_run(self, run: Run) -> None:
        """Check a scored run. Raises `DataError` also when no row was scored.

        A question that its row marks as unanswerable is not counted.
        """
        _refuse_unscored(run)
        counts = dict(run.manifest.counts)
        if counts.get("empty_response"):
            counts["empty_response"] -= _count_unanswerable(run)
        self.check(counts, run.manifest.checks.get("broken_inputs", []), run.folder)


def _count_unanswerable(run: Run) -> int:
    import polars as pl

    from ifcurate.records import UNANSWERABLE
    from ifcurate.storage.files import readable_table

    with readable_table(run.scores_path):
        return run.scan_scores().filter(pl.col("reason") == UNANSWERABLE).collect().height


def _refuse_unscored(run: Run) -> None:
    """Raise `DataError` when no row was scored. A shard may have no row."""

    counts = run.manifest.counts
    if counts.get("scored") or run.manifest.identity.get("shard") or not counts.get("rows"):
        return
    why = ", ".join(f"{n:,} {name}" for name, n in counts.items() if n and name in _NOT_SCORED)
    most = max(_NOT_SCORED, key=lambda name: counts.get(name, 0))
    names = shlex.join(item["name"] for item in run.manifest.identity["inputs"])
    advice = (
        f"see why with `ifcurate inspect {names}`, or name the columns: --columns "
        "instruction=... context=... response=..."
    )
    if most == "too_long":
        advice = _advise_on_length(run.manifest.identity["settings"])
    raise DataError(f"no row was scored; of {count(counts['rows'], 'row')} {why}; {advice}")


def _advise_on_length(settings: Mapping[str, Any]) -> str:
    """Return what to do when the rows are too long; the settings are those of the run."""
    longer = "choose a model that takes more tokens"
    if settings["max_length"]:
        longer = "raise --max-length"
    cut = settings["too_long"] == "shorten"
    return longer if cut else f"{longer}, or shorten the contexts: --too-long shorten"


_NOT_SCORED: Final = (
    *("quarantined", "no_context", "empty_response", "too_long", "out_of_memory", "timed_out"),
    "error",
)
