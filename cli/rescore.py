"""`ifcurate split --rescore-band`: score rows near the cut again in float32."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ifcurate.phrases import count

from . import common
from .printing import out, print_line, say

if TYPE_CHECKING:
    from ifcurate.options.split import RescoreOptions
    from ifcurate.steps.rescoring import Rescore


@contextlib.contextmanager
def prepare(options: RescoreOptions) -> Iterator[Rescore | None]:
    """Prepare scoring again, with progress and Ctrl-C. Return None without `--rescore-band`."""
    if options.rescore_band is None:
        yield None
        return
    from ifcurate.runs.stop import stop_on_signal
    from ifcurate.steps.rescoring import Rescore

    reported = time.monotonic() - 30

    def progress(n_done: int, n: int) -> None:
        nonlocal reported
        if time.monotonic() - reported >= 30:
            reported = time.monotonic()
            of = count(n, "row")
            say(f"scored {n_done:,} of {of} near the cut again in float32")

    with stop_on_signal(common.say_stopping) as stop:
        yield Rescore(options, progress, stop)


def print_rescored(checks: Mapping[str, Any]) -> None:
    """Print the effect of scoring again, in one line."""
    rescored = checks.get("rescored")
    if rescored is None:
        return
    if not rescored["rows"]:
        out.print(
            f"no row is within {rescored['band']:g} of the cut; none was scored again in float32"
        )
        return
    failed = f", {rescored['not_scored']:,} could not be" if rescored["not_scored"] else ""
    rows = count(rescored["rows"], "row")
    print_line(
        f"{rows} within {rescored['band']:g} of the cut scored again in float32 "
        f"({rescored['scored_now']:,} now{failed}); "
        f"{count(rescored['labels_changed'], 'label')} changed"
    )
