"""`ifcurate score --estimate`: the cost of a run."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from ifcurate.phrases import count

from .data import announce_data
from .printing import out, print_json, say
from .progress import say_time

if TYPE_CHECKING:
    from ifcurate.data.sources import Examples
    from ifcurate.options.score import ClusterOptions, EngineOptions, ScoreSettings
    from ifcurate.scoring.estimate import Estimate


def print_estimate(
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
    _print(measured)
    for text in remarks:
        out.print(f"  {text}", style="dim", markup=False)


def _print(estimate: Estimate) -> None:
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
