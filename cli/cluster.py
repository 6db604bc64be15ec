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
    from ifcurate.runs.ray_cluster import Cluster
    from ifcurate.runs.run import Run


def read_cluster(options: ClusterOptions, *, on_gpu: bool) -> Cluster:
    """Return the cluster that the options describe."""
    from ifcurate.runs.ray_cluster import Cluster

    low, _, high = options.num_engines.partition("-")
    gpus = options.gpus_per_engine
    return Cluster(
        address=options.address,
        min_engines=int(low),
        max_engines=int(high or low),
        cpus_per_engine=options.cpus_per_engine,
        gpus_per_engine=float(on_gpu) if gpus is None else gpus,
    )


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
    from ifcurate.runs.ray_cluster import EngineSpec, score_run_on_ray
    from ifcurate.scoring.opening import check_apart

    def start(where: Path, fitted: Cluster, identity: dict[str, Any]) -> None:
        used = identity["engine"]
        say(
            f"model {used['model']} ({used['engine']}, {used['dtype']}), on a Ray cluster with "
            f"{fitted.min_engines} to {fitted.max_engines} engines"
        )
        say(f"run   {where}")

    checks = check_apart(engine, settings, examples, say)
    options = engine.for_engine(max_length=settings.max_length)
    spec = EngineSpec(engine.engine, str(options.pop("model", "")), options)
    with watch(n_rows) as (progress, stop):
        return score_run_on_ray(
            examples,
            spec,
            settings,
            target.out,
            read_cluster(cluster, on_gpu=engine.on_gpu),
            name=target.name,
            tokens=target.tokens,
            overwrite=target.overwrite,
            command=common.command_line(),
            checks=checks,
            on_start=start,
            on_progress=progress.update,
            stop=stop,
        )
