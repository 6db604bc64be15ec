"""`ifcurate evaluate`: does a model answer from its context when its memory disagrees?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ifcurate.options.evaluate import EvaluateOptions

from . import common
from .options import with_options

_SHOWN = (
    ("counterfactual", "context"),
    ("parametric", "memory"),
    ("both", "both"),
    ("neither", "neither"),
    ("memorisation_ratio", "ratio"),
    ("counterfactual_by_logprob", "by p"),
)
_WITH_INTERVAL = ("counterfactual", "parametric", "memorisation_ratio")


@with_options
def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help="Short names, Hub ids, or folders of models."),
    ],
    *,
    options: EvaluateOptions,
    out: Annotated[
        Path, typer.Option(help="Folder for answers and measures. Default: evaluations.")
    ] = Path("evaluations"),
    json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Measure context reliance: which answer does a model give when context and memory disagree?

    **context** is counterfactual accuracy: the answer of the context is in the text. **memory**
    is parametric accuracy: the memorised answer is. **ratio** is the memorisation ratio. **by p**
    counts where the context's answer is the likelier one. Intervals are 95% bootstraps. The
    second line of a suite counts only questions whose memory answer the model gives without the
    context.

    An interrupted evaluation resumes: run the same command again.
    """
    from ifcurate.evaluation.evaluate import evaluate_model

    found = []
    for model in models:
        found.append(_one(evaluate_model, model, out, options, quiet=quiet or json))
    if json:
        common.print_json(found)
    elif not quiet:
        for result in found:
            print_measures(result)


def _one(function: Any, model: str, out: Path, options: EvaluateOptions, *, quiet: bool) -> Any:
    if quiet:
        return function(model, out, options=options)
    from rich.progress import Progress

    with Progress(console=common.report, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def show(suite: str, done: int, total: int) -> None:
            if suite not in tasks:
                tasks[suite] = bars.add_task(suite, total=total)
            bars.update(tasks[suite], completed=done)

        return function(model, out, options=options, progress=show)


def print_measures(result: dict[str, Any]) -> None:
    """One table of a model: a line per suite, and one for what the model knows."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"{escape(result['model'])}", title_justify="left", box=None)
    table.add_column("suite", no_wrap=True)
    for _, title in _SHOWN:
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    for name, suite in result["suites"].items():
        table.add_row(escape(name), *_cells(suite["all"]), str(suite["n"]))
        if "known" in suite:
            known = suite["known"]
            table.add_row("  known", *_cells(known), str(known["counterfactual"]["n"]))
    common.out.print(table)
    for note in [*result["notes"], *(n for s in result["suites"].values() for n in s["notes"])]:
        common.note(note)
    common.out.print(f"answers  {escape(result['folder'])}", soft_wrap=True)


def _cells(measures: dict[str, Any]) -> list[str]:
    cells = []
    for name, _ in _SHOWN:
        found = measures.get(name)
        if found is None or found["value"] is None:
            cells.append("-")
        else:
            low, high = 100 * found["low"], 100 * found["high"]
            interval = f" [dim]{low:.0f}-{high:.0f}[/dim]" if name in _WITH_INTERVAL else ""
            cells.append(f"{100 * found['value']:.1f}{interval}")
    return cells
