"""`ifcurate score`: the loss of every response with and without its context."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from ifcurate.errors import OptionError
from ifcurate.options.data import DataOptions
from ifcurate.options.score import ClusterOptions, EngineOptions, RunOptions, ScoreSettings
from ifcurate.phrases import count

from . import common
from .allowed import Allowed, FailOnError
from .cluster import score_on_cluster
from .data import Data, announce_data, note_reading, read_data
from .local import announce, open_cache, refuse_unfinished, retry_with_progress, watch
from .options import with_options
from .printing import out, print_json, say
from .progress import say_time

if TYPE_CHECKING:
    from ifcurate.data.sources import Examples
    from ifcurate.runs.run import Run
    from ifcurate.scoring.estimate import Estimate


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

        ifcurate score alpaca.jsonl --model smollm2-135m
        ifcurate score demo:alpaca.jsonl --model pocket --limit 100
    """
    if engine.missing:
        raise OptionError(f"score: {engine.missing}")
    note_reading(data, reading)  # at once: the imports take a second
    from ifcurate.runs.filling import choose_folder, score_identity, score_run
    from ifcurate.runs.folder import refuse_run
    from ifcurate.runs.work import Shard
    from ifcurate.scoring.opening import open_scorer

    allowed = Allowed.parse(fail_on_error)
    part = Shard.parse(target.shard) if target.shard else None
    _refuse_parts(target, cluster)
    if target.out is not None:
        refuse_run(target.out)
    examples = read_data(data, reading)
    if estimate:
        _print_estimate(examples, engine, settings, cluster, json=json)
        return
    n_rows = announce_data(examples)
    if cluster.executor == "ray":
        run = score_on_cluster(examples, engine, settings, cluster, target, n_rows=n_rows)
    else:
        if part is not None and n_rows is not None:
            n_rows = part.count_rows(n_rows, settings.chunk_rows)
        with (
            open_scorer(engine, settings, examples, say) as opened,
            open_cache(opened[0], target) as cache,
        ):
            scorer, checks = opened
            identity = score_identity(examples, scorer, shard=part)
            where = choose_folder(target.out, identity, target.name, tokens=target.tokens)
            if target.retry_failed:
                refuse_unfinished(where)
            announce(examples, scorer, where)
            with watch(n_rows) as (progress, stop):
                run = score_run(
                    examples,
                    scorer,
                    where,
                    tokens=target.tokens,
                    overwrite=target.overwrite,
                    shard=part,
                    cache=cache,
                    command=common.command_line(),
                    identity=identity,
                    checks=checks,
                    on_progress=progress.update,
                    stop=stop,
                )
            if target.retry_failed:
                run = retry_with_progress(run, examples, scorer, n_rows=n_rows)
            elif progress.rows == 0:
                say("already scored, with the same data, model and options; nothing to do")
    problem = allowed.find_problem(run)
    show_scores(run, json=json, quiet=quiet, hints=problem is None)
    if problem:
        raise problem


def _refuse_parts(target: RunOptions, cluster: ClusterOptions) -> None:
    """Refuse options that score a part of the rows on a cluster."""
    for name in ("shard", "retry_failed"):
        if cluster.executor == "ray" and getattr(target, name):
            raise typer.BadParameter(
                "is not for a cluster, which scores all rows; leave it or --executor ray out",
                param_hint=f"--{name.replace('_', '-')}",
            )


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
        print_json({**common.run_as_dict(run), **summary.as_dict()})
    else:
        print_score_summary(run, summary, hints=hints)


def _print_estimate(
    examples: Examples,
    engine: EngineOptions,
    settings: ScoreSettings,
    cluster: ClusterOptions,
    *,
    json: bool,
) -> None:
    """Tokens, time and memory of a run in this process, at the speed of a few of its rows."""
    from ifcurate.scoring.estimate import estimate_run
    from ifcurate.scoring.opening import open_engine
    from ifcurate.scoring.scorer import Scorer

    if cluster.executor == "ray":
        raise typer.BadParameter(
            "measures this process; leave it or --executor ray out", param_hint="--estimate"
        )
    announce_data(examples)
    say(f"loading {engine.model or engine.engine}")
    alone = engine.model_copy(update={"parity": 0})  # the comparison belongs to the run
    loaded, _ = open_engine(alone, settings, examples, say)
    with loaded:
        measured = estimate_run(examples, Scorer.create(loaded, settings))
        remarks = loaded.report().notes
    if json:
        print_json({**asdict(measured), "notes": remarks})
        return
    _print_figures(measured)
    for text in remarks:
        out.print(f"  {text}", style="dim", markup=False)


def _print_figures(estimate: Estimate) -> None:
    rows = "an unknown number" if estimate.rows is None else f"{estimate.rows:,}"
    part = (
        ""
        if estimate.rows == estimate.rows_read
        else f"; the other figures are estimates from {estimate.rows_read:,} of them"
    )
    out.print(f"rows      {rows}{part}")
    if estimate.scored is not None and estimate.tokens is not None:
        out.print(f"to score  {count(estimate.scored, 'example')}")
        low, high = (round(estimate.tokens * (1 + s * estimate.margin)) for s in (-1, 1))
        interval = f" (95% interval {max(low, 0):,} to {high:,})" if estimate.margin else ""
        out.print(f"tokens    {estimate.tokens:,}{interval}, with and without the context together")
    if estimate.tokens_per_second is not None:
        timed = count(estimate.rows_timed, "example")
        out.print(f"speed     {estimate.tokens_per_second:,.0f} tokens/s, measured on {timed}")
    if estimate.seconds is not None:
        out.print(f"time      about {say_time(estimate.seconds)}, once the model is loaded")
    for place, n in estimate.memory.items():
        where = "this process" if place == "process" else place
        out.print(f"memory    {n / 1e9:,.1f} GB at the peak of this measurement, {where}")
