"""Score in this process, with the cache, the progress, and a stop after a batch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import common
from .printing import note

if TYPE_CHECKING:
    from ifcurate.data.sources import Examples
    from ifcurate.options.score import RunOptions
    from ifcurate.runs.run import Run
    from ifcurate.runs.scoring import Shard
    from ifcurate.scoring.cache import ScoreCache
    from ifcurate.scoring.scorer import Scorer


@contextlib.contextmanager
def open_cache(scorer: Scorer, target: RunOptions, *, quiet: bool) -> Iterator[ScoreCache | None]:
    """The cache of scores. None if it is off, or if the default one cannot be used."""
    from ifcurate.errors import DataError
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
        note(str(error), quiet=quiet)
        yield None
        return
    with store:
        yield store


def score_with_progress(
    examples: Examples,
    scorer: Scorer,
    target: RunOptions,
    *,
    n_rows: int | None,
    shard: Shard | None,
    cache: ScoreCache | None,
    checks: dict[str, Any],
    quiet: bool,
) -> Run:
    """Score into a run folder with progress on stderr. Ctrl-C finishes the current batch."""
    from ifcurate.runs.run import RUNS_FOLDER
    from ifcurate.runs.score import run_name, score_identity, score_run
    from ifcurate.runs.stop import stop_on_signal

    from .progress import ScoringProgress

    identity = score_identity(examples, scorer, shard=shard)
    where = target.out or Path(RUNS_FOLDER) / run_name(identity, target.name)
    announce(examples, scorer, where, quiet=quiet)
    if n_rows is not None and shard is not None:
        n_rows = shard.count_rows(n_rows, scorer.settings.chunk_rows)
    with (
        ScoringProgress(n_rows, quiet=quiet) as progress,
        stop_on_signal(common.say_stopping) as stop,
    ):
        run = score_run(
            examples,
            scorer,
            where,
            tokens=target.tokens,
            overwrite=target.overwrite,
            shard=shard,
            cache=cache,
            stop=stop,
            command=common.command_line(),
            identity=identity,
            checks=checks,
            on_progress=progress.update,
        )
    if progress.rows == 0 and target.retry_failed:
        return _retry_with_progress(run, examples, scorer, n_rows=n_rows, quiet=quiet)
    if progress.rows == 0:
        note("already scored, with the same data, model and options; nothing to do", quiet=quiet)
    return run


def _retry_with_progress(
    run: Run, examples: Examples, scorer: Scorer, *, n_rows: int | None, quiet: bool
) -> Run:
    """Score the failed rows of a finished run again, with progress on stderr."""
    from ifcurate.phrases import count
    from ifcurate.runs.retry import retry_failed
    from ifcurate.runs.stop import stop_on_signal
    from ifcurate.storage.tables import FAILED

    from .progress import ScoringProgress

    failed = sum(run.manifest.counts.get(status, 0) for status in FAILED)
    note(f"{count(failed, 'failed row')} of this run to score again", quiet=quiet)
    with (
        ScoringProgress(n_rows, quiet=quiet) as progress,
        stop_on_signal(common.say_stopping) as stop,
    ):
        return retry_failed(
            run,
            examples,
            scorer,
            command=common.command_line(),
            on_progress=progress.update,
            stop=stop,
        )


def announce(examples: Examples, scorer: Scorer, where: Path, *, quiet: bool) -> None:
    """Print the model, the template and the run folder."""
    from ifcurate.data.readers.files import DEMO

    identity = scorer.engine.identity
    settings = scorer.settings
    note(
        f"model {identity.model} ({identity.engine}, {identity.dtype}), "
        f"template {scorer.template.name}, ablation {settings.ablation}",
        quiet=quiet,
    )
    if identity.model == "pocket" and any(not s.name.startswith(DEMO) for s in examples.sources):
        note(
            "pocket is for trying out the commands: its scores on your data are not meaningful",
            quiet=quiet,
        )
    note(f"run   {where}", quiet=quiet)
