"""Score in this process, with the cache, the progress, and a stop after a batch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ifcurate.errors import DataError, RunError
from ifcurate.phrases import count

from . import common
from .printing import say

if TYPE_CHECKING:
    from ifcurate.data.sources import Examples
    from ifcurate.options.score import RunOptions
    from ifcurate.runs.run import Run
    from ifcurate.scoring.cache import ScoreCache
    from ifcurate.scoring.scorer import Scorer

    from .progress import ScoringProgress


@contextlib.contextmanager
def open_cache(scorer: Scorer, target: RunOptions) -> Iterator[ScoreCache | None]:
    """The cache of scores. None if it is off, or if the default one cannot be used."""
    from ifcurate.runs.run import RUNS_FOLDER
    from ifcurate.scoring.cache import CACHE_NAME, ScoreCache

    if not target.cache:
        yield None
        return
    folder = target.cache_dir or Path(RUNS_FOLDER)
    try:
        store = ScoreCache.for_scorer(folder / CACHE_NAME, scorer)
    except DataError as error:
        if target.cache_dir is not None:
            raise
        say(str(error))
        yield None
        return
    with store:
        yield store


@contextlib.contextmanager
def watch(
    n_rows: int | None, *, retries: bool = False
) -> Iterator[tuple[ScoringProgress, Callable[[], bool]]]:
    """Progress on stderr, and whether to stop: Ctrl-C finishes the current batch."""
    from ifcurate.runs.stop import stop_on_signal

    from .progress import ScoringProgress

    with (
        ScoringProgress(n_rows, retries=retries) as progress,
        stop_on_signal(common.say_stopping) as stop,
    ):
        yield progress, stop


def refuse_unfinished(where: Path) -> None:
    """Raise `RunError` for `--retry-failed` where there is no finished run."""
    from ifcurate.storage.manifest import find_manifest

    done = find_manifest(where / "manifest.json")
    if done is None:
        raise RunError(
            f"{where}: there is no run whose failed rows could be scored again; name its folder "
            "with --out, or leave out --retry-failed to score all rows"
        )
    if not done.finished:
        raise RunError(
            f"{where}: the run is not finished; leave out --retry-failed to resume it first"
        )


def retry_with_progress(run: Run, examples: Examples, scorer: Scorer, *, n_rows: int | None) -> Run:
    """Score the failed rows of a finished run again, with progress on stderr."""
    from ifcurate.runs.retry import retry_failed
    from ifcurate.storage.tables import FAILED

    failed = sum(run.manifest.counts.get(status, 0) for status in FAILED)
    say(f"{count(failed, 'failed row')} of this run to score again")
    with watch(n_rows, retries=True) as (progress, stop):
        return retry_failed(
            run,
            examples,
            scorer,
            command=common.command_line(),
            on_progress=progress.update,
            stop=stop,
        )


def announce(examples: Examples, scorer: Scorer, where: Path) -> None:
    """Print the model, the template and the run folder."""
    from ifcurate.data.readers.files import DEMO

    identity = scorer.engine.identity
    settings = scorer.settings
    say(
        f"model {identity.model} ({identity.engine}, {identity.dtype}), "
        f"template {scorer.template.name}, ablation {settings.ablation}"
    )
    if identity.model == "pocket" and any(not s.name.startswith(DEMO) for s in examples.sources):
        say("pocket is for trying out the commands: its scores on your data are not meaningful")
    say(f"run   {where}")
