"""`ifcurate run` and `ifcurate curate`: all steps, from a recipe or from one line."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ifcurate.options.recipe import CurateOptions, RecipeOptions, RunRecipeOptions
from ifcurate.phrases import count

from . import common
from .allowed import Allowed, FailOnError
from .options import with_options
from .printing import out, plain, print_json, print_line, say
from .recipes import print_recipes

if TYPE_CHECKING:
    from ifcurate.data.sources import Examples
    from ifcurate.pipeline.recipe import Recipe
    from ifcurate.pipeline.running import RecipeRun


@with_options
def run(
    options: RunRecipeOptions,
    recipe: Annotated[
        str | None,
        typer.Argument(help="A YAML file, or the name of a recipe that comes with ifcurate."),
    ] = None,
    fail_on_error: FailOnError = "1%",
    json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Run a recipe: score, split, filter, augment, mix, export, card, report.

    Finished steps are skipped. Paths in a recipe start at the current folder. Without a name,
    the command lists the recipes that come with ifcurate.

        ifcurate run alpaca --set split.fraction=0.3
    """
    if recipe is not None:
        say(f"recipe {recipe}")  # at once: the imports take a second
    from ifcurate.pipeline.loading import list_recipes, load_recipe

    if recipe is None:
        print_recipes(list_recipes())
        return
    changes = options.changes or []
    given = [*changes, *([f"score.model={options.model}"] if options.model else [])]
    loaded = load_recipe(recipe, given)
    name = Path(recipe).stem
    _do(loaded, options, fail_on_error, name=name, json=json, quiet=quiet)


@with_options
def curate(
    data: Annotated[
        list[str],
        typer.Argument(
            help="Files, globs, Hub names, or names of `ifcurate cards list`.", show_default=False
        ),
    ],
    options: CurateOptions,
    fail_on_error: FailOnError = "1%",
    json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Go from raw data to a mixture with card and report, and print the recipe that was run.

    Rows whose context only repeats what the model knows are dropped. All other rows stay.

        ifcurate curate alpaca.jsonl --model smollm2-135m --to trl
    """
    say(f"reading {', '.join(data)}")  # at once: the imports take a second
    from ifcurate.pipeline.loading import create_recipe
    from ifcurate.pipeline.recipe import render_recipe

    value: dict[str, Any] = {
        "data": {"paths": list(data)},
        "score": {"model": options.model},
        "filter": {"drop": "non-context-critical"},
        "mix": {"components": ["kept"]},
        **({"export": {"trainer": options.to}} if options.to else {}),
        "report": {},
    }
    recipe = create_recipe(value, "curate", options.changes or ())
    if not json:
        where = f" --out {shlex.quote(str(options.out))}" if options.out else ""
        print_line(f"# the recipe; ifcurate run FILE{where} repeats it", style="bold")
        print_line(render_recipe(recipe))
    _do(recipe, options, fail_on_error, json=json, quiet=quiet)


def _do(
    recipe: Recipe,
    options: RecipeOptions,
    fail_on_error: str,
    *,
    name: str = "",
    json: bool,
    quiet: bool,
) -> None:
    """Plan or run a recipe, and print the result."""
    if options.dry_run:
        _print_plan(recipe, json=json)
        return
    from ifcurate.pipeline.recipe import advising_keys

    allowed = Allowed.parse(fail_on_error)
    result = _run(recipe, options.out, name)
    if json:
        _print_json(result)
    else:
        if result.skipped:
            say(f"done before, skipped: {', '.join(result.skipped)}")
        if not quiet:
            _print_result(result)
    with advising_keys("data"):
        allowed.check_run(result.run)


def _run(recipe: Recipe, folder: Path | None, name: str) -> RecipeRun:
    """Run it, with the progress of scoring on stderr."""
    from ifcurate.pipeline.running import run_recipe
    from ifcurate.runs.stop import stop_on_signal

    from .data import announce_data
    from .local import announce
    from .progress import ScoringProgress

    n_rows: int | None = None
    bar: ScoringProgress

    def read(examples: Examples) -> None:
        nonlocal n_rows
        n_rows = announce_data(examples)

    def start(examples: Any, scorer: Any, where: Path) -> None:
        nonlocal bar
        announce(examples, scorer, where)
        bar = shown.enter_context(ScoringProgress(n_rows))

    def step(name: str) -> None:
        shown.close()
        say(f"step  {name}")

    with stop_on_signal(common.say_stopping) as stop, contextlib.ExitStack() as shown:
        return run_recipe(
            recipe,
            folder=folder,
            name=name,
            command=common.command_line(),
            say=say,
            on_read=read,
            on_start=start,
            on_progress=lambda progress: bar.update(progress),
            on_step=step,
            stop=stop,
        )


def _print_plan(recipe: Recipe, *, json: bool) -> None:
    from dataclasses import asdict

    from ifcurate.pipeline.planning import plan_recipe

    plan = plan_recipe(recipe)
    if json:
        print_json(asdict(plan))
        return
    for step in plan.steps:
        print_line(f"{step.name:8} {plain(step.what)}")
    out.print()
    if plan.n_tokens is not None:
        rows = count(plan.n_scored or 0, "row")
        out.print(f"about {rows} to score, {plan.n_tokens:,} tokens in both variants")
    if plan.n_operations is not None:
        from .progress import say_time

        time = say_time(plan.n_operations / 100e12)
        out.print(
            f"about {plan.n_operations:.2g} floating-point operations: {time} at 100 TFLOP/s; "
            "`ifcurate score --estimate` measures the speed here"
        )
    elif plan.n_tokens is not None:
        out.print("the size of the model is not known, so the time is not estimated")


def _print_json(result: RecipeRun) -> None:
    print_json(
        {
            "run": str(result.run.folder),
            "score_counts": result.run.manifest.counts,
            "split": result.filtered.split.model_dump(),
            "filter": result.filtered.manifest.model_dump(),
            "augmented": str(result.augmented) if result.augmented else None,
            "mixture": result.mixture.manifest.model_dump() if result.mixture else None,
            "export": result.exported.manifest.model_dump() if result.exported else None,
            "report": str(result.report) if result.report else None,
            "skipped": list(result.skipped),
        }
    )


def _print_result(result: RecipeRun) -> None:
    """Every step's summary; the report's path is the last line."""
    from .demo import print_truth
    from .export import print_export
    from .filter import print_filter
    from .mix import print_mixture
    from .score import show_scores
    from .split import print_rescored, print_split

    show_scores(result.run, json=False, quiet=False, hints=False)
    if result.split is not None:
        print_split(result.run, result.split, hints=False)
        print_rescored(result.filtered.split.checks)
    print_filter(result.filtered, hints=False)
    if result.augmented is not None:
        print_line(f"augmented {result.augmented}")
    if result.mixture is not None:
        print_mixture(result.mixture, hints=result.exported is None)
    if result.exported is not None:
        print_export(result.exported)
    print_truth(result.run)
    if result.report is not None:
        print_line(f"page     {result.report}")
