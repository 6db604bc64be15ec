"""`ifcurate score --executor ray`: its options, and the run on a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from . import common
from .common import note

if TYPE_CHECKING:
    from ifcurate.data.sources import Examples
    from ifcurate.runs.ray_cluster import Cluster
    from ifcurate.runs.run import Run
    from ifcurate.scoring.scorer import ScoreSettings

CLUSTER_PANEL = "Cluster"


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """Where engines run, and how many."""

    executor: Annotated[
        Literal["local", "ray"],
        typer.Option(
            help="local is this process; ray is a Ray cluster, with an engine in each worker.",
            rich_help_panel=CLUSTER_PANEL,
        ),
    ] = "local"
    address: Annotated[
        str | None,
        typer.Option(
            help="Of the Ray cluster: auto, or HOST:PORT; RAY_ADDRESS, else a cluster of this "
            "machine.",
            rich_help_panel=CLUSTER_PANEL,
        ),
    ] = None
    num_engines: Annotated[
        str,
        typer.Option(
            metavar="N|MIN-MAX",
            help="Engines on the cluster; from MIN to MAX as there is work.",
            rich_help_panel=CLUSTER_PANEL,
        ),
    ] = "1"
    gpus_per_engine: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="GPUs of each engine; 0.5 lets two share one. 1 for --device cuda and vllm.",
            rich_help_panel=CLUSTER_PANEL,
            show_default=False,
        ),
    ] = None
    cpus_per_engine: Annotated[
        float, typer.Option(min=0, help="CPUs of each engine.", rich_help_panel=CLUSTER_PANEL)
    ] = 1.0

    def read(self, *, on_gpu: bool) -> Cluster:
        """The cluster that they describe."""
        from ifcurate.runs.ray_cluster import Cluster

        low, _, high = self.num_engines.partition("-")
        if not (low.isdigit() and (high or low).isdigit() and 1 <= int(low) <= int(high or low)):
            raise typer.BadParameter(
                f"{self.num_engines!r}: write a number, or MIN-MAX", param_hint="--num-engines"
            )
        gpus = self.gpus_per_engine
        return Cluster(
            address=self.address,
            min_engines=int(low),
            max_engines=int(high or low),
            cpus_per_engine=self.cpus_per_engine,
            gpus_per_engine=float(on_gpu) if gpus is None else gpus,
        )


def score_on_cluster(
    examples: Examples,
    engine: str,
    options: dict[str, Any],
    settings: ScoreSettings,
    cluster: Cluster,
    folder: Path | None,
    *,
    tokens: bool,
    overwrite: bool,
    checks: dict[str, Any],
    quiet: bool,
) -> Run:
    """Score on a Ray cluster and show how it goes on stderr."""
    from ifcurate.runs.ray_cluster import EngineSpec, score_run_on_ray
    from ifcurate.runs.stop import stop_on_signal

    from .show import ScoringProgress

    def start(where: Path, fitted: Cluster, identity: dict[str, Any]) -> None:
        for name, format in examples.formats.items():
            note(f"data  {name}: format {format}", quiet=quiet)
        used = identity["engine"]
        note(
            f"model {used['model']} ({used['engine']}, {used['dtype']}), on a Ray cluster with "
            f"{fitted.min_engines} to {fitted.max_engines} engines",
            quiet=quiet,
        )
        note(f"run   {where}", quiet=quiet)

    model = str(options.get("model") or "")
    spec = EngineSpec(engine, model, {k: v for k, v in options.items() if k != "model"})
    with (
        ScoringProgress(examples, quiet=quiet) as progress,
        stop_on_signal(common.say_stopping) as stop,
    ):
        return score_run_on_ray(
            examples,
            spec,
            settings,
            folder,
            cluster,
            tokens=tokens,
            overwrite=overwrite,
            command=common.command_line(),
            checks=checks,
            on_start=start,
            on_progress=progress.update,
            stop=stop,
        )
