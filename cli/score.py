"""`ifcurate score`: the loss of every response with and without its context."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ifcurate.options.data import DataOptions
from ifcurate.options.score import ClusterOptions, EngineOptions, RunOptions, ScoreSettings

from . import common
from .allowed import Allowed, FailOnError
from .cluster import score_on_cluster
from .data import Data, announce_data, note_reading, read_data
from .engines import check_apart, open_engine
from .estimate import print_estimate
from .local import open_cache, score_with_progress
from .options import with_options
from .printing import note, print_json

if TYPE_CHECKING:
    from ifcurate.runs.run import Run


@with_options
def score(
    data: Data,
    *,
    engine: EngineOptions,
    settings: ScoreSettings,
    reading: DataOptions,
    target: RunOptions,
    cluster: ClusterOptions,
    estimate: Annotated[
        bool,
        typer.Option(
            "--estimate",
            rich_help_panel="Run",
            help="Measure the speed on a few rows, and show the tokens, the time and the memory of "
            "the run. Write nothing.",
        ),
    ] = False,
    fail_on_error: FailOnError = "1%",
    json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Score every example by the model's loss on its response with and without the context.

    Run the same command again to resume an interrupted run.

    **--method attention** adds the share of attention that falls on the context.

    A **high context_gain** (loss without minus loss with context, nats per token) means that
    the response needs its context. A gain near 0 means that the context only repeats what the
    model knows or can infer.
    """
    silent = quiet or json
    note_reading(data, reading, quiet=silent)  # at once: the imports take a second
    from ifcurate.memory import MemoryBudget
    from ifcurate.runs.scoring import Shard
    from ifcurate.scoring.scorer import Scorer

    allowed = Allowed.parse(fail_on_error)
    part = Shard.parse(target.shard) if target.shard else None
    for name in ("shard", "retry_failed"):
        if getattr(target, name) and cluster.executor == "ray":
            raise typer.BadParameter(
                "is not for a cluster, which scores all rows; leave it or --executor ray out",
                param_hint=f"--{name.replace('_', '-')}",
            )
    examples = read_data(data, reading)
    if estimate:
        print_estimate(examples, engine, settings, cluster, json=json, quiet=silent)
        return
    n_rows = announce_data(examples, quiet=silent)
    compared: dict[str, Any] = {"examples": examples, "settings": settings, "quiet": silent}
    if cluster.executor == "ray":
        checks = check_apart(engine, **compared)
        run = score_on_cluster(
            examples,
            engine,
            settings,
            cluster,
            target,
            checks=checks,
            n_rows=n_rows,
            quiet=silent,
        )
    else:
        if engine.model:
            note(f"loading {engine.model}", quiet=silent)
        loaded, checks = open_engine(engine, **compared)
        memory = MemoryBudget.create(engine.memory)
        scorer = Scorer.create(loaded, settings, memory=memory)
        with loaded, open_cache(scorer, target, quiet=silent) as store:
            run = score_with_progress(
                examples,
                scorer,
                target,
                n_rows=n_rows,
                shard=part,
                cache=store,
                checks=checks,
                quiet=silent,
            )
    problem = allowed.find_problem(run)
    show_scores(run, json=json, quiet=quiet, hints=problem is None)
    if problem:
        raise problem


def show_scores(run: Run, *, json: bool, quiet: bool, hints: bool = True) -> None:
    """Print the summary of a finished run; without `hints`, without the next command."""
    from ifcurate.scoring.summary import summarise_scores
    from ifcurate.steps.showing import add_texts
    from ifcurate.storage.files import readable_table

    from .summaries import print_score_summary

    if quiet and not json:
        return
    with readable_table(run.scores_path):
        summary = summarise_scores(run.scan_scores())
    rows = add_texts(run, [*summary.most, *summary.least])
    half = len(summary.most)
    summary = replace(summary, most=rows[:half], least=rows[half:])
    if json:
        print_json(
            {
                "run": str(run.folder),
                "scores": str(run.scores_path),
                "counts": run.manifest.counts,
                "notes": run.manifest.notes,
                **summary.as_dict(),
            }
        )
    else:
        print_score_summary(run, summary, hints=hints)
