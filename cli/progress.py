"""The progress of scoring on stderr: a line that changes in a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn

from .common import report

if TYPE_CHECKING:
    from ifcurate.runs.work import Progress as RunProgress

__all__ = ["ScoringProgress", "say_time"]

_EVERY: Final = 30.0  # seconds between two lines in a log
_FIRST: Final = 1.0  # seconds of scoring before the first line in a log


class ScoringProgress:
    """Rows, tokens per second and time left.

    `total` is the number of rows, None where it is unknown. In a log or on a pipe, the first
    line is written as soon as there is a speed, then one every 30 seconds.
    """

    def __init__(self, total: int | None, *, quiet: bool) -> None:
        self.rows = 0
        self._total = total
        self._quiet = quiet
        self._live = report.is_terminal and not quiet
        self._said = ""
        self._ended = threading.Event()
        self._began = threading.Event()  # there is a speed to write
        columns: list[ProgressColumn] = [SpinnerColumn(), TextColumn("{task.description}")]
        if report.width >= 80 and total:
            columns.insert(1, BarColumn(bar_width=report.width - 62))
        self._bar = Progress(*columns, console=report, transient=True, disable=not self._live)

    def __enter__(self) -> Self:
        self._started = self._began_at = time.monotonic()
        self._task = self._bar.add_task("scoring", total=self._total)
        self._bar.start()
        if not self._quiet and not self._live:
            threading.Thread(target=self._write_lines, daemon=True).start()
        return self

    def update(self, progress: RunProgress) -> None:
        """Show how far the run is. It may be called from any thread."""
        first = self.rows == 0
        self.rows = progress.rows
        now = time.monotonic()
        if not progress.tokens + progress.tokens_ahead:
            self._began_at = now  # rows that the engine does not score say nothing of its speed
        seconds = now - self._started
        done = progress.rows + progress.rows_ahead
        self._said = self._describe(progress, seconds, now - self._began_at)
        self._bar.update(self._task, completed=done, description=self._said)
        if first and progress.resumed_rows and not self._quiet:
            report.print("resuming an interrupted run")
        if seconds > _FIRST and done > progress.resumed_rows:
            self._began.set()

    def _describe(self, progress: RunProgress, seconds: float, scoring: float) -> str:
        """Rows, speed, and the time left where the number of rows is known.

        `seconds` is the time so far, `scoring` the part of it with the engine at work.
        """
        done = progress.rows + progress.rows_ahead
        tokens = progress.tokens + progress.tokens_ahead
        speed = f", {tokens / max(scoring, 1e-6):,.0f} tokens/s" if tokens else ""
        if not self._total or done > self._total:  # the rows of CSV are counted roughly
            return f"{done:,} rows{speed}"
        left = _time_left(progress, self._total, seconds, scoring)
        shown = "" if left is None else f", {say_time(left)} left"
        return f"{done:,} of {self._total:,} rows{speed}{shown}"

    def _write_lines(self) -> None:
        """Write a line now and then, until the end; runs in a thread of its own."""
        while not self._began.wait(0.2):
            if self._ended.is_set():
                return
        while not self._ended.is_set():
            report.print(f"scored  {self._said}", soft_wrap=True)
            self._ended.wait(_EVERY)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._bar.stop()


def _time_left(progress: RunProgress, total: int, seconds: float, scoring: float) -> float | None:
    """The seconds that the other rows take; None where nothing was done yet.

    The speed in tokens decides, as rows take no time when they are not scored. An engine
    elsewhere does not say what it was given; there the rows decide.
    """
    tokens = progress.tokens + progress.tokens_ahead
    left = progress.tokens_left(total)
    if tokens and left is not None:
        return left * scoring / tokens
    new = progress.rows + progress.rows_ahead - progress.resumed_rows
    return (total - progress.rows - progress.rows_ahead) * seconds / new if new > 0 else None


def say_time(seconds: float) -> str:
    """A time in its largest fitting unit: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
