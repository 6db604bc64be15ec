"""`ifcurate split --rescore-band`: rows near the cut are scored again in float32."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ifcurate.phrases import count

from . import common
from .common import note, out

if TYPE_CHECKING:
    from ifcurate.options.split import RescoreOptions
    from ifcurate.steps.rescoring import Rescore


@contextlib.contextmanager
def prepare(options: RescoreOptions, *, quiet: bool) -> Iterator[Rescore | None]:
    """The request with its progress and its stop at Ctrl-C; None where nothing is asked for."""
    if options.rescore_band is None:
        yield None
        return
    from ifcurate.runs.stop import stop_on_signal
    from ifcurate.steps.rescoring import Rescore

    values = options.model_dump(exclude={"rescore_band"})
    said = time.monotonic() - 30

    def progress(n_done: int, n: int) -> None:
        nonlocal said
        if time.monotonic() - said >= 30:
            said = time.monotonic()
            of = count(n, "row")
            note(f"scored {n_done:,} of {of} near the cut again in float32", quiet=quiet)

    with stop_on_signal(common.say_stopping) as stop:
        yield Rescore(options.rescore_band, on_progress=progress, stop=stop, **values)


def print_rescored(checks: Mapping[str, Any]) -> None:
    """What scoring again changed, in one line."""
    found = checks.get("rescored")
    if found is None:
        return
    if not found["rows"]:
        out.print(f"no row lies within {found['band']:g} of the cut: none scored again in float32")
        return
    failed = f", {found['not_scored']:,} could not be" if found["not_scored"] else ""
    rows = count(found["rows"], "row")
    out.print(
        f"{rows} within {found['band']:g} of the cut scored again in float32 "
        f"({found['scored_now']:,} now{failed}); "
        f"{count(found['labels_changed'], 'label')} changed",
        soft_wrap=True,
    )
