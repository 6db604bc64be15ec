"""`ifcurate score`: the loss of every response with and without its context."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from . import cluster, common
from .allowed import Allowed, FailOnError
from .engines import check_apart, check_engine_options, engine_options, open_engine, read_batch_size
from .local import open_cache, score_with_progress

if TYPE_CHECKING:
    from ifcurate.runs import Run

MODEL_PANEL = "Model"
PROMPT_PANEL = "Prompt"
RUN_PANEL = "Run"


def score(
    data: Annotated[
        list[str],
        typer.Argument(
            help="Files (json, jsonl, csv, parquet; .gz, .zst), globs, or a Hub name.",
            show_default=False,
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help="Short name (see `ifcurate models`), Hub id, or local folder.",
            rich_help_panel=MODEL_PANEL,
            show_default=False,
        ),
    ] = "",
    engine: Annotated[
        Literal["hf", "vllm", "server", "toy"],
        typer.Option(
            help="hf is transformers, in-process; vllm needs ifcurate\\[vllm] (on one CPU core, "
            "with a 15M model, hf was 1.8 to 5.9 times as fast; no GPU was measured); server is a "
            "completions endpoint that runs already; toy has no model, for dry runs.",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = "hf",
    revision: Annotated[
        str | None,
        typer.Option(help="Branch, tag or commit of the Hub.", rich_help_panel=MODEL_PANEL),
    ] = None,
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        typer.Option(
            help="What the model computes in.",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = "auto",
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:N.", rich_help_panel=MODEL_PANEL)
    ] = "auto",
    batch_size: Annotated[
        str,
        typer.Option(help="auto, or a number.", rich_help_panel=MODEL_PANEL),
    ] = "auto",
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="CPU threads of the model.", rich_help_panel=MODEL_PANEL),
    ] = None,
    trust_remote_code: Annotated[
        bool,
        typer.Option(
            "--trust-remote-code",
            help="Run Python code that the model's folder brings.",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = False,
    allow_pickle: Annotated[
        bool,
        typer.Option(
            "--allow-pickle",
            help="Load weights that are not safetensors.",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = False,
    base_url: Annotated[
        str,
        typer.Option(
            help="For server: http://host:8000/v1. A key is read from IFCURATE_API_KEY or "
            "OPENAI_API_KEY only.",
            rich_help_panel=MODEL_PANEL,
            show_default=False,
        ),
    ] = "",
    tokenizer: Annotated[
        str,
        typer.Option(
            help="For server: the tokenizer, when the model's name there is none.",
            rich_help_panel=MODEL_PANEL,
            show_default=False,
        ),
    ] = "",
    concurrency: Annotated[
        int,
        typer.Option(min=1, help="For server: requests at a time.", rich_help_panel=MODEL_PANEL),
    ] = 16,
    parity: Annotated[
        int,
        typer.Option(
            min=0,
            help="For vllm and server: rows on which the engine is first compared with hf on "
            "the same model; 0 leaves it out.",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = 8,
    parity_tolerance: Annotated[
        float | None,
        typer.Option(
            help="Nats at one token that may differ; by the dtype when not given.",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None,
    template: Annotated[
        str,
        typer.Option(
            help="auto (the tokenizer's chat template, else alpaca), alpaca, plain, tulu, chat, "
            "or a Jinja file.",
            rich_help_panel=PROMPT_PANEL,
        ),
    ] = "auto",
    ablation: Annotated[
        Literal["drop", "template", "shuffle"],
        typer.Option(
            help="What stands where the context was: drop (nothing), template (Alpaca's two "
            "official templates), shuffle (another row's context: does any text help?).",
            rich_help_panel=PROMPT_PANEL,
        ),
    ] = "drop",
    score_eot: Annotated[
        bool,
        typer.Option(
            "--score-eot/--no-score-eot",
            help="Take the token that ends the response into the loss.",
            rich_help_panel=PROMPT_PANEL,
        ),
    ] = False,
    too_long: Annotated[
        Literal["skip", "shorten"],
        typer.Option(
            help="A row too long for the model: skip it, or shorten its context in the middle. "
            "The response is never cut.",
            rich_help_panel=PROMPT_PANEL,
        ),
    ] = "skip",
    max_length: Annotated[
        int | None,
        typer.Option(
            min=8, help="Fewer tokens than the model takes.", rich_help_panel=PROMPT_PANEL
        ),
    ] = None,
    token_gain: Annotated[
        float,
        typer.Option(
            help="Nats: tokens with a larger gain count in gain_token_fraction.",
            rich_help_panel=PROMPT_PANEL,
        ),
    ] = 0.5,
    format: common.Format = "auto",
    columns: common.Columns = None,
    turns: common.Turns = "last",
    context: common.ContextKinds = "auto",
    min_confidence: common.MinConfidence = 0.5,
    limit: common.Limit = None,
    subset: common.Subset = "",
    hub_split: common.HubSplit = "train",
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
    executor: cluster.Executor = "local",
    address: cluster.Address = None,
    num_engines: cluster.NumEngines = "1",
    gpus_per_engine: cluster.GpusPerEngine = None,
    cpus_per_engine: cluster.CpusPerEngine = 1.0,
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
    from ifcurate.runs import Shard
    from ifcurate.scoring import Scorer, ScoreSettings

    allowed = Allowed.parse(fail_on_error)
    batch = read_batch_size(batch_size)
    part = Shard.parse(shard) if shard else None
    settings = ScoreSettings(
        template=template,
        ablation=ablation,
        score_eot=score_eot,
        too_long=too_long,
        max_length=max_length,
        token_gain=token_gain,
    )
    examples = common.read_data(
        data,
        format=format,
        columns=columns,
        turns=turns,
        context=context,
        min_confidence=min_confidence,
        limit=limit,
        subset=subset,
        hub_split=hub_split,
    )
    given: dict[str, Any] = {
        "model": model,
        "revision": revision,
        "dtype": dtype,
        "device": device,
        "batch_size": batch,
        "max_length": max_length,
        "threads": threads,
        "trust_remote_code": trust_remote_code,
        "allow_pickle": allow_pickle,
        "base_url": base_url,
        "tokenizer": tokenizer,
        "concurrency": concurrency,
    }
    silent = quiet or json
    if executor == "ray":
        if shard:
            raise typer.BadParameter(
                "a cluster scores all rows; use it without --executor ray", param_hint="--shard"
            )
        check_engine_options(engine, given)
        checks = check_apart(
            engine,
            given,
            examples=examples,
            settings=settings,
            parity=parity,
            tolerance=parity_tolerance,
            quiet=silent,
        )
        on_gpu = engine == "vllm" or device.startswith("cuda")
        run = cluster.score_on_cluster(
            examples,
            engine,
            engine_options(engine, given),
            settings,
            cluster.read_cluster(
                address, num_engines, gpus_per_engine, cpus_per_engine, on_gpu=on_gpu
            ),
            out,
            tokens=tokens,
            overwrite=overwrite,
            checks=checks,
            quiet=silent,
        )
        show_scores(run, json=json, quiet=quiet)
        allowed.check(run)
        return
    loaded, checks = open_engine(
        engine,
        given,
        examples=examples,
        settings=settings,
        parity=parity,
        tolerance=parity_tolerance,
        quiet=silent,
    )
    scorer = Scorer.create(loaded, settings)
    with open_cache(scorer, cache_dir, wanted=cache, quiet=silent) as store:
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
    allowed.check(run)


def show_scores(run: Run, *, json: bool, quiet: bool) -> None:
    """The summary of a finished run."""
    from ifcurate.summaries import NEEDS, summarise_scores

    from .show import print_score_summary

    if quiet and not json:
        return
    summary = summarise_scores(run.scores(NEEDS))
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
        print_score_summary(run, summary)
