"""`ifcurate split`: labels from scores, in seconds, without a model."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ifcurate.options.split import RescoreOptions, SplitOptions
from ifcurate.phrases import count

from . import common
from .options import with_options
from .printing import make_table, note, out, plain, print_json, print_line, say

_MOST_HISTOGRAMS = 3

if TYPE_CHECKING:
    from ifcurate.runs.run import Run
    from ifcurate.split.cuts import Cut
    from ifcurate.split.rules import SplitSummary
    from ifcurate.steps.splitting import RowScorer


@with_options
def split(
    options: SplitOptions,
    again: RescoreOptions,
    name: Annotated[
        str,
        typer.Option("--as", help="A name for this split. A run can have several splits."),
    ] = "",
    overwrite: common.Overwrite = False,
    run: common.RunOption = None,
    json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Label every scored row context-critical or non-context-critical.

    This takes seconds and needs no model (unless you give --rescore-band), so you can try several
    rules. The output shows the kept count for cuts near this one, and the rows nearest to the cut.

        ifcurate split --rule gain
        ifcurate split --rule paper --fraction 30% --as paper30
    """
    from ifcurate.runs.splits import stale_folders
    from ifcurate.steps.splitting import split_run

    opened = common.open_run(run)
    with _prepare_rescoring(again) as rescored:
        made, manifest = split_run(
            opened,
            rescore=rescored,
            name=name,
            overwrite=overwrite,
            command=common.command_line(),
            options=options,
        )
    for folder, why in stale_folders(opened, name).items():
        note(f"stale: {folder} was filtered by an earlier split; {why}")
    if json:
        print_json(
            {
                "run": str(opened.folder),
                "split": str(opened.folder / manifest.outputs["split"]),
                "counts": made.counts(),
                "parameters": made.parameters,
                "cuts": [cut.as_dict() for cut in made.cuts],
                "sensitivity": made.sensitivity.to_dicts(),
                "nearest": made.nearest.to_dicts(),
                "formula": manifest.formula,
                **manifest.checks,
            }
        )
    elif not quiet:
        print_split(opened, made, name=name)
        print_rescored(manifest.checks)
        if by_hand := manifest.checks.get("set_by_hand"):
            out.print(f"{count(by_hand, 'label')} set by hand, from overrides.json")


def print_split(run: Run, made: SplitSummary, *, name: str = "", hints: bool = True) -> None:
    """Counts, cuts, the count around the cut, the nearest rows, and the next command."""

    from ifcurate.runs.run import run_flag
    from ifcurate.runs.splits import split_paths

    out.print()
    table = make_table("label", "rows")
    for label, n in made.counts().items():
        table.add_row(label, f"{n:,}")
    out.print(table)
    if "max_overlap" in made.parameters:
        most = made.parameters["max_overlap"]
        out.print(
            f"  not-scored has {count(made.n_left_out, 'row')} that --max-overlap leaves out: more "
            f"than {most:.4g} of the context's words are elsewhere in the prompt"
        )
    out.print()
    for cut in made.cuts:
        _print_cut(cut)
    _print_histograms(made)
    for title, frame in (_around(made), *_near(made)):
        if not frame.is_empty():
            out.print()
            out.print(f"[bold]{escape(title)}[/bold]")
            out.print(_frame(frame))
    out.print()
    print_line(f"split  {split_paths(run, name)[0]}")
    if hints:
        which = f" --split {name}" if name else ""
        print_line(f"next   ifcurate filter{which} --keep context-critical{run_flag(run)}")


def _print_cut(cut: Cut) -> None:

    from ifcurate.split.cuts import GROUPS_CUT

    name = "" if cut.group == "all" else f"{escape(cut.group)}: "
    if cut.length_bin:
        name += f"{cut.length_bin}: "
    if cut.threshold is None:
        out.print(f"{name}nothing to cut")
        return
    # The valley's band has the spread of the draws and not the bias of the smoothing.
    word = "95% of resampled cuts" if cut.how == GROUPS_CUT else "95% interval"
    band = "" if cut.low is None else f", {word} {cut.low:.3f} to {cut.high:.3f}"
    out.print(
        f"{name}cut at {cut.statistic} = [bold]{cut.threshold:.4f}[/bold] "
        f"({escape(cut.how)}{band}): {cut.n_above:,} above, {cut.n_below:,} at or below"
    )
    for text in cut.notes:
        out.print(f"  [yellow]{escape(text)}[/yellow]")


def _print_histograms(made: SplitSummary) -> None:
    """Histograms of the numbers that were cut, with the cut, if there are only a few."""

    from .summaries import print_histogram

    cuts = [cut for cut in made.cuts if not cut.length_bin and cut.threshold is not None]
    shown = [(c, h) for c in cuts if (h := made.histograms.get((c.group, c.statistic)))]
    for cut, histogram in shown if len(shown) <= _MOST_HISTOGRAMS else []:
        place = "" if cut.group == "all" else f" in {escape(plain(cut.group))}"
        out.print()
        print_histogram(histogram, f"{cut.statistic}{place}, {cut.unit}", cut.threshold)


def _around(made: SplitSummary) -> tuple[str, Any]:
    """Return the counts around the cut, with a title and short names of columns."""
    short = {"n_context_critical": "critical", "n_non_context_critical": "non-critical"}
    frame = made.sensitivity.rename(short)
    if frame["parameter"].n_unique() != 1:
        return "around the cut", frame
    return f"around the cut: {frame['parameter'][0]}", frame.drop("parameter")


def _near(made: SplitSummary) -> Iterator[tuple[str, Any]]:
    """Yield the rows nearest to each cut, with a title that names the cut."""
    cuts = made.nearest.group_by("group", "statistic", maintain_order=True)
    several = made.nearest.n_unique(["group", "statistic"]) > 1
    for (group, statistic), rows in cuts:
        place = "" if group == "all" else f" in {plain(str(group))}"
        title = f"nearest rows by {statistic}{place}" if several else "nearest rows"
        yield title, rows.select("value", "label", "id", "preview")


def _frame(frame: Any) -> Table:
    """Return a small polars table as a Rich table; numbers are aligned right."""

    if "group" in frame.columns and frame["group"].n_unique() == 1:
        frame = frame.drop("group")
    table = Table(box=None, pad_edge=False)
    cells = [[_cell(value) for value in row] for row in frame.iter_rows()]
    left = out.width  # width for the preview, which gets the remaining space
    for i, (name, kind) in enumerate(frame.schema.items()):
        justify: Any = "right" if kind.is_numeric() else "left"
        most = max(10, left) if name == "preview" else None
        table.add_column(name, justify=justify, no_wrap=True, max_width=most)
        left -= max(len(name), *(len(row[i]) for row in cells)) + 2
    for row in cells:
        table.add_row(*row)
    return table


def _cell(value: Any) -> Text:

    if isinstance(value, float):
        return Text(f"{value:.4f}")
    if isinstance(value, int):
        return Text(f"{value:,}")
    return Text("" if value is None else plain(str(value)), overflow="ellipsis")


@contextlib.contextmanager
def _prepare_rescoring(options: RescoreOptions) -> Iterator[RowScorer | None]:
    """Prepare scoring again, with progress and Ctrl-C. Return None without `--rescore-band`."""
    if options.rescore_band is None:
        yield None
        return
    from ifcurate.runs.stop import stop_on_signal
    from ifcurate.steps.rescoring import Rescore

    reported = time.monotonic() - 30

    def progress(n_done: int, n: int) -> None:
        nonlocal reported
        if time.monotonic() - reported >= 30:
            reported = time.monotonic()
            of = count(n, "row")
            say(f"scored {n_done:,} of {of} near the cut again in float32")

    with stop_on_signal(common.say_stopping) as stop:
        yield Rescore(options, progress, stop).score


def print_rescored(checks: Mapping[str, Any]) -> None:
    """Print the effect of scoring again, in one line."""
    rescored = checks.get("rescored")
    if rescored is None:
        return
    if not rescored["rows"]:
        out.print(
            f"no row is within {rescored['band']:g} of the cut; none was scored again in float32"
        )
        return
    failed = f", {rescored['not_scored']:,} could not be" if rescored["not_scored"] else ""
    rows = count(rescored["rows"], "row")
    print_line(
        f"{rows} within {rescored['band']:g} of the cut scored again in float32 "
        f"({rescored['scored_now']:,} now{failed}); "
        f"{count(rescored['labels_changed'], 'label')} changed"
    )
