"""`ifcurate score`: the loss of every response with and without its context."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import common
from .allowed import Allowed, FailOnError
from .cluster import ClusterOptions, score_on_cluster
from .data import Data, DataOptions
from .engines import check_apart, check_engine_options, engine_options, open_engine
from .groups import with_groups
from .local import open_cache, score_with_progress
from .model import ModelOptions, PromptOptions

if TYPE_CHECKING:
    from ifcurate.runs.run import Run

RUN_PANEL = "Run"


@with_groups
def score(
    data: Data,
    *,
    model: ModelOptions,
    prompt: PromptOptions,
    reading: DataOptions,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Run folder; one of ifcurate-runs/ when not given.", rich_help_panel=RUN_PANEL
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Score again what is there.", rich_help_panel=RUN_PANEL),
    ] = False,
    tokens: Annotated[
        bool,
        typer.Option(
            "--tokens", help="Also write the losses of every token.", rich_help_panel=RUN_PANEL
        ),
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Score the I-th of N equal parts of the rows, for a job array; "
            "`ifcurate merge` joins them.",
            rich_help_panel=RUN_PANEL,
        ),
    ] = None,
    cache: Annotated[
        bool,
        typer.Option(
            "--cache/--no-cache",
            help="Take the scores of rows that an earlier run scored with the same model, "
            "template and options, and keep those of this one.",
            rich_help_panel=RUN_PANEL,
        ),
    ] = True,
    cache_dir: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the cache; ifcurate-runs/ when not given.",
            rich_help_panel=RUN_PANEL,
        ),
    ] = None,
    cluster: ClusterOptions,
    fail_on_error: FailOnError = "1%",
    json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Score every example by the model's loss on its response with and without the context.

    The same command goes on where an interrupted one stopped.

    A **high context_gain** (loss without minus loss with context, nats per token) says that
    the response needs its context; around 0 the context only repeats what the model knows or
    can infer.
    """
    from ifcurate.runs.run import Shard
    from ifcurate.scoring.scorer import Scorer

    allowed = Allowed.parse(fail_on_error)
    part = Shard.parse(shard) if shard else None
    settings = prompt.settings()
    given = {**model.given(), "max_length": prompt.max_length}
    examples = reading.read(data)
    silent = quiet or json
    compared: dict[str, Any] = {
        "examples": examples,
        "settings": settings,
        "parity": model.parity,
        "tolerance": model.parity_tolerance,
        "quiet": silent,
    }
    if cluster.executor == "ray":
        if shard:
            raise typer.BadParameter(
                "a cluster scores all rows; use it without --executor ray", param_hint="--shard"
            )
        check_engine_options(model.engine, given)
        checks = check_apart(model.engine, given, **compared)
        run = score_on_cluster(
            examples,
            model.engine,
            engine_options(model.engine, given),
            settings,
            cluster.read(on_gpu=model.on_gpu),
            out,
            tokens=tokens,
            overwrite=overwrite,
            checks=checks,
            quiet=silent,
        )
    else:
        from ifcurate.engines.base import closing_engine

        loaded, checks = open_engine(model.engine, given, **compared)
        scorer = Scorer.create(loaded, settings)
        kept = open_cache(scorer, cache_dir, wanted=cache, quiet=silent)
        with closing_engine(loaded), kept as store:
            run = score_with_progress(
                examples,
                scorer,
                out,
                tokens=tokens,
                overwrite=overwrite,
                shard=part,
                cache=store,
                checks=checks,
                quiet=silent,
            )
    show_scores(run, json=json, quiet=quiet)
    allowed.check_run(run)


def show_scores(run: Run, *, json: bool, quiet: bool, hints: bool = True) -> None:
    """The summary of a finished run; without `hints` it does not say what to do next."""
    from ifcurate.scoring.summary import NEEDS, summarise_frames
    from ifcurate.split.sorting import Scratch

    from .show import print_score_summary

    if quiet and not json:
        return
    with Scratch(run.folder) as scratch:
        summary = summarise_frames(run.score_frames(NEEDS), scratch)
    if json:
        common.print_json(
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
