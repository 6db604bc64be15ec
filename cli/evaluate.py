"""`ifcurate evaluate`: does a model answer from its context when its memory disagrees?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from ifcurate.options.evaluate import EvaluateOptions

from . import common, printing
from .options import with_options

_SHOWN = (
    ("counterfactual", "context"),
    ("parametric", "memory"),
    ("both", "both"),
    ("neither", "neither"),
    ("memorisation_ratio", "ratio"),
    ("counterfactual_by_logprob", "context\nlikelier"),
)
_WITH_INTERVAL = ("counterfactual", "parametric", "memorisation_ratio")


@with_options
def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL", help="Short names, Hub ids, or folders of models."),
    ],
    *,
    options: EvaluateOptions,
    out: Annotated[Path, typer.Option(help="Folder for answers and measures.")] = Path(
        "evaluations"
    ),
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Follow a run in progress: evaluate new checkpoints as they appear."
        ),
    ] = False,
    page: Annotated[
        Path | None,
        typer.Option(help="Trajectory of two or more checkpoints. Default: OUT/trajectory.html."),
    ] = None,
    json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Measure context reliance: which answer does a model give when context and memory disagree?

    **context** is counterfactual accuracy: the text names the context's answer. **memory** is
    parametric accuracy: the text names the memorised answer. **ratio** is the memorisation ratio.
    **context likelier** is the share of questions for which the context's answer is the likelier
    one. The second line of a suite, known, counts only questions whose memorised answer the model
    gives without the context.

    Two or more folders named checkpoint-N are a trajectory. The output then shows where the peak
    is, whether the fall after it exceeds chance, and which checkpoint to keep.

    An interrupted evaluation resumes: run the same command again.

        ifcurate evaluate pocket --suite capitals --limit 20
        ifcurate evaluate runs/finetune/checkpoint-*
    """
    from ifcurate.evaluation.trajectory import TITLE, follow_checkpoints, make_page, say, summarise
    from ifcurate.pages.shell import refuse_page

    if page:
        refuse_page(page, TITLE)
    with _progress() as show:
        results = follow_checkpoints(models, out, options, watch=watch, progress=show)
    trajectory = summarise(results, options)
    written = make_page(trajectory, page or out / "trajectory.html") if trajectory else None
    if page and not trajectory:
        printing.note("no page: a trajectory needs two or more folders named checkpoint-N")
    if json:
        shown = asdict(trajectory) if trajectory else None
        printing.print_json({"models": results, "trajectory": shown})
        return
    if quiet:
        return
    for result in results:
        print_measures(result)
    if trajectory:
        printing.out.print()
        printing.print_line(say(trajectory))
        printing.print_line(f"page {written}")


@contextmanager
def _progress() -> Iterator[Any]:
    """A function that shows how far a suite is; None when nothing is to be shown."""
    if printing.report.silent:
        yield None
        return
    from rich.progress import Progress

    with Progress(console=printing.report, transient=True) as bars:
        task = bars.add_task("")

        def show(suite: str, done: int, total: int) -> None:
            bars.update(task, description=suite, completed=done, total=total)

        yield show


def print_measures(result: dict[str, Any]) -> None:
    """One table of a model: a line per suite, and one for what the model knows."""

    title = f"{escape(result['model'])}: % of n questions, with 95% intervals"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.collapse_padding = True
    table.add_column("suite", overflow="fold")  # a narrow window folds names, not numbers
    for _, title in _SHOWN:
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    for name, suite in result["suites"].items():
        table.add_row(escape(name), *_cells(suite["all"]), str(suite["n"]))
        if "known" in suite:
            known = suite["known"]
            table.add_row("  known", *_cells(known), str(known["counterfactual"]["n"]))
    printing.out.print(table)
    if any(suite.get("knows", {}).get("value") == 0 for suite in result["suites"].values()):
        printing.note("known is empty if the model gives no memory answer without the context")
    for note in [*result["notes"], *(n for s in result["suites"].values() for n in s["notes"])]:
        printing.note(note)
    printing.print_line(f"answers  {result['folder']}")


def _cells(measures: dict[str, Any]) -> list[str]:
    cells = []
    for name, _ in _SHOWN:
        measure = measures.get(name)
        if measure is None or measure["value"] is None:
            cells.append("-")
        else:
            low, high = 100 * measure["low"], 100 * measure["high"]
            interval = f" [dim]{low:.0f}-{high:.0f}[/dim]" if name in _WITH_INTERVAL else ""
            cells.append(f"{100 * measure['value']:.1f}{interval}")
    return cells
