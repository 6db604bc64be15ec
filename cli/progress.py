"""The progress of scoring on stderr: a line that changes in a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, Self

from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn

from .printing import report

if TYPE_CHECKING:
    from ifcurate.runs.work import Progress as RunProgress

_EVERY: Final = 30.0  # seconds between two lines in a log
_FIRST: Final = 1.0  # seconds of scoring before the first line in a log
_SECOND: Final = 5.0  # seconds from there to the second one


class ScoringProgress:
    """Rows, tokens per second and time left.

    `total` is the number of rows, None where it is unknown. `retries` is for failed rows of a
    finished run. In a log or on a pipe, the first
    line is written as soon as there is a speed, a better one after 5 seconds, then one every
    30 seconds.
    """

    def __init__(self, total: int | None, *, retries: bool = False) -> None:
        self.rows = 0
        self._retries = retries
        self._total = total
        self._quiet = report.silent
        self._live = report.is_terminal and not report.silent
        self._said = ""
        self._ended = threading.Event()
        self._began = threading.Event()  # set when the speed is known
        columns: list[ProgressColumn] = [SpinnerColumn(), TextColumn("{task.description}")]
        if report.width >= 80 and total:
            columns.insert(1, BarColumn(bar_width=report.width - 62))
        self._bar = Progress(*columns, console=report, transient=True, disable=not self._live)

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        self._since = self._warm = 0, self._started  # where the measurement begins
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
        seconds = now - self._started
        done = progress.rows + progress.rows_ahead
        speed = self._measure_speed(progress.tokens + progress.tokens_ahead, now)
        self._said = self._describe(progress, seconds, speed)
        self._bar.update(self._task, completed=done, description=self._said)
        if first and progress.resumed_rows and not (self._quiet or self._retries):
            report.print("resuming an interrupted run")
        if seconds > _FIRST and done > progress.resumed_rows:
            self._began.set()

    def _measure_speed(self, tokens: int, now: float) -> float:
        """Tokens per second since the engine began.

        Rows without a score do not count. The first pack counts only until as much is scored
        after it, because the engine warms up.
        """
        if not tokens:
            self._since = self._warm = 0, now
        elif not self._warm[0]:
            self._warm = tokens, now
        elif tokens >= 2 * self._warm[0]:
            self._since = self._warm
        before, began = self._since
        return (tokens - before) / max(now - began, 1e-6)

    def _describe(self, progress: RunProgress, seconds: float, speed: float) -> str:
        """Rows, speed, and the time left where the number of rows is known.

        `seconds` is the time so far, `speed` is in tokens per second, 0 if it is unknown.
        """
        done = progress.rows + progress.rows_ahead
        shown = f", {speed:,.0f} tokens/s" if speed else ""
        if not self._total or done > self._total:  # the rows of CSV are counted roughly
            return f"{done:,} rows{shown}"
        left = _time_left(progress, self._total, seconds, speed)
        shown += "" if left is None else f", {say_time(left)} left"
        return f"{done:,} of {self._total:,} rows{shown}"

    def _write_lines(self) -> None:
        """Write a line at intervals until the end. Runs in a separate thread."""
        while not self._began.wait(0.2):
            if self._ended.is_set():
                return
        wait = min(_SECOND, _EVERY)  # the first estimate is rough
        while not self._ended.is_set():
            report.print(f"scored  {self._said}", soft_wrap=True)
            self._ended.wait(wait)
            wait = _EVERY

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._bar.stop()


def _time_left(progress: RunProgress, total: int, seconds: float, speed: float) -> float | None:
    """Return the seconds for the remaining rows; None before the first result.

    The estimate uses the speed in tokens, because rows that are not scored take no time. An
    engine on a cluster does not report its tokens, so the estimate uses the rows there.
    """
    left = progress.tokens_left(total)
    if speed and left is not None:
        return left / speed
    new = progress.rows + progress.rows_ahead - progress.resumed_rows
    return (total - progress.rows - progress.rows_ahead) * seconds / new if new > 0 else None


def say_time(seconds: float) -> str:
    """Return a time in its largest fitting unit: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
