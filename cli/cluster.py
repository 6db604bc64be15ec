"""`ifcurate score --executor ray`: its options, and the run on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import common
from .local import watch
from .printing import say

if TYPE_CHECKING:
    from ifcurate.data.sources import Examples
    from ifcurate.options.score import ClusterOptions, EngineOptions, RunOptions, ScoreSettings
    from ifcurate.runs.run import Run


def score_on_cluster(
    examples: Examples,
    engine: EngineOptions,
    settings: ScoreSettings,
    cluster: ClusterOptions,
    target: RunOptions,
    *,
    n_rows: int | None,
) -> Run:
    """Score on a Ray cluster with progress on stderr."""
    from ifcurate.runs.ray_cluster import score_run_on_ray
    from ifcurate.scoring.opening import check_apart

    def start(where: Path, most: int, identity: dict[str, Any]) -> None:
        used = identity["engine"]
        say(
            f"model {used['model']} ({used['engine']}, {used['dtype']}), on a Ray cluster with "
            f"{cluster.engine_range[0]} to {most} engines"
        )
        say(f"run   {where}")

    checks = check_apart(engine, settings, examples, say)
    with watch(n_rows) as (progress, stop):
        return score_run_on_ray(
            examples,
            engine,
            settings,
            target,
            cluster,
            command=common.command_line(),
            checks=checks,
            on_start=start,
            on_progress=progress.update,
            stop=stop,
        )
