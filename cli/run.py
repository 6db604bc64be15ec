"""`ifcurate run`: data, score, split and filter from one recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import common
from .allowed import Allowed, FailOnError
from .common import note, out


def run(
    recipe: Annotated[
        str | None,
        typer.Argument(help="A YAML file, or the name of a recipe that comes with ifcurate."),
    ] = None,
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Run folder; one of ifcurate-runs/ by default.")
    ] = None,
    fail_on_error: FailOnError = "1%",
    json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Run a recipe: data, score, split and filter. Steps that are done are skipped.

    Without a name, lists the recipes that come with ifcurate.
    """
    from ifcurate.runs.stop import stop_on_signal
    from ifcurate.steps.recipes import list_recipes, load_recipe, run_recipe

    if recipe is None:
        for name, description in list_recipes().items():
            out.print(f"[bold]{name:10}[/bold] {description}")
        return
    from .filter import print_filter
    from .local import announce
    from .rescore import print_rescored
    from .score import show_scores
    from .show import ScoringProgress
    from .split import print_split

    allowed = Allowed.parse(fail_on_error)
    silent = quiet or json
    loaded = load_recipe(recipe)
    bars: list[ScoringProgress] = []

    def start(examples, scorer, where):  # type: ignore[no-untyped-def]
        announce(examples, scorer, where, quiet=silent)
        bars.append(ScoringProgress(examples, quiet=silent))
        bars[0].__enter__()

    try:
        with stop_on_signal(common.say_stopping) as stop:
            result = run_recipe(
                loaded,
                folder=out_folder,
                command=common.command_line(),
                on_start=start,
                on_progress=lambda progress: bars[0].update(progress),
                stop=stop,
            )
    finally:
        for bar in bars:
            bar.__exit__(None, None, None)
    if json:
        common.print_json(
            {
                "run": str(result.run.folder),
                "score_counts": result.run.manifest.counts,
                "split": result.filtered.split.model_dump(),
                "filter": result.filtered.manifest.model_dump(),
                "skipped": list(result.skipped),
            }
        )
        allowed.check_run(result.run)
        return
    if result.skipped:
        note(f"done before, skipped: {', '.join(result.skipped)}", quiet=quiet)
    if not quiet:
        show_scores(result.run, json=False, quiet=False, hints=False)
        if result.split is not None:
            print_split(result.run, result.split, hints=False)
            print_rescored(result.filtered.split.checks)
        print_filter(result.filtered)
    allowed.check_run(result.run)
