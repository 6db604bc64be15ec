"""`ifcurate split`: labels from scores, in seconds, without a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from . import common, rescore
from .common import out

if TYPE_CHECKING:
    from ifcurate.runs.run import Run
    from ifcurate.split.rules import SplitSummary


def split(
    rule: Annotated[
        Literal["paper", "gain", "both", "auto"],
        typer.Option(
            help="paper: drop the share with the lowest loss without context. gain: keep what the "
            "context helps by more than a threshold. both: hard without the context and helped by "
            "it. auto: the cut from the distribution, with its uncertainty."
        ),
    ] = "paper",
    fraction: Annotated[
        str, typer.Option(help="For paper and both: the share below the cut, 0.25 or 25%.")
    ] = "0.25",
    threshold: Annotated[
        float | None, typer.Option(help="For gain and both: the cut, nats per token.")
    ] = None,
    statistic: Annotated[
        Literal[
            "context_gain",
            "max_token_gain",
            "loss_without_context",
            "max_token_loss_without_context",
        ]
        | None,
        typer.Option(help="The number that is cut; each rule has its own.", show_default=False),
    ] = None,
    per: Annotated[
        Literal["all", "source"], typer.Option(help="One cut for all, or one per source.")
    ] = "all",
    length_control: Annotated[
        bool,
        typer.Option(
            "--length-control",
            help="Put the same share below the cut at every response length.",
        ),
    ] = False,
    length_bins: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="For --length-control: how many bins of response length, 5 unless you say.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="For auto's bootstrap.")] = 0,
    rescore_band: rescore.Band = None,
    model: rescore.Model = "",
    template: rescore.Template = "",
    device: rescore.Device = "auto",
    batch_size: rescore.BatchSize = "auto",
    threads: rescore.Threads = None,
    trust_remote_code: rescore.TrustRemoteCode = False,
    allow_pickle: rescore.AllowPickle = False,
    run: common.RunOption = None,
    json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Label every scored row context-critical or non-context-critical.

    Needs no model (unless --rescore-band is given) and can be done again at will. Shows how the
    kept count moves around the cut, and the rows nearest to it.
    """
    from ifcurate.steps.run_steps import split_run

    options: dict[str, Any] = {
        "rule": rule,
        "fraction": common.fraction(fraction),
        "threshold": threshold,
        "statistic": statistic,
        "per": per,
        "length_control": length_control,
        "seed": seed,
        **({} if length_bins is None else {"length_bins": length_bins}),
    }
    if length_bins is not None and not length_control:
        raise typer.BadParameter(
            "there are bins of response length only with --length-control; give both, or neither",
            param_hint="--length-bins",
        )
    given = {
        "model": model or None,
        "template": template or None,
        "device": device,
        "batch_size": batch_size,
        "threads": threads,
        "trust_remote_code": trust_remote_code,
        "allow_pickle": allow_pickle,
    }
    silent = quiet or json
    found = common.open_run(run, quiet=silent)
    with rescore.asked(rescore_band, given, quiet=silent) as wish:
        made, manifest = split_run(found, rescore=wish, command=common.command_line(), **options)
    if json:
        common.print_json(
            {
                "run": str(found.folder),
                "split": str(found.folder / "split.parquet"),
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
        print_split(found, made)
        rescore.print_rescored(manifest.checks)


def print_split(run: Run, made: SplitSummary, *, hints: bool = True) -> None:
    """Counts, cuts, how the count moves, and the rows at the cut; and what to do next."""
    from rich.markup import escape
    from rich.table import Table

    counts = Table(box=None, pad_edge=False)
    counts.add_column("label")
    counts.add_column("rows", justify="right")
    for label, n in made.counts().items():
        counts.add_row(label, f"{n:,}")
    out.print()
    out.print(counts)
    out.print()
    for cut in made.cuts:
        name = "" if cut.group == "all" else f"{escape(cut.group)}: "
        if cut.length_bin:
            name += f"{cut.length_bin}: "
        if cut.threshold is None:
            out.print(f"{name}nothing to cut")
            continue
        band = "" if cut.low is None else f", 95% interval {cut.low:.3f} to {cut.high:.3f}"
        out.print(
            f"{name}cut at {cut.statistic} = [bold]{cut.threshold:.4f}[/bold] "
            f"({escape(cut.how)}{band}): {cut.n_above:,} above, {cut.n_below:,} at or below"
        )
        for text in cut.notes:
            out.print(f"  [yellow]{escape(text)}[/yellow]")
    for title, frame in (("around the cut", made.sensitivity), *_near(made)):
        if frame.is_empty():
            continue
        out.print()
        out.print(f"[bold]{escape(title)}[/bold]")
        out.print(_frame(frame))
    out.print()
    out.print(f"split  {escape(str(run.folder / 'split.parquet'))}", soft_wrap=True)
    if hints:
        out.print("next   ifcurate filter --keep context-critical")


def _near(made: SplitSummary) -> Iterator[tuple[str, Any]]:
    """The rows nearest to each cut, with a title that says to which."""
    cuts = made.nearest.group_by("group", "statistic", maintain_order=True)
    several = made.nearest.n_unique(["group", "statistic"]) > 1
    for (group, statistic), rows in cuts:
        place = "" if group == "all" else f" in {common.plain(str(group))}"
        title = f"nearest rows by {statistic}{place}" if several else "nearest rows"
        yield title, rows.select("value", "label", "id", "preview")


def _frame(frame: Any) -> Any:
    """A small polars table as a rich one; numbers to the right, three decimals."""
    from rich.table import Table
    from rich.text import Text

    frame = frame.drop([c for c in ("group",) if c in frame.columns and frame[c].n_unique() == 1])
    table = Table(box=None, pad_edge=False)
    for name, kind in frame.schema.items():
        numeric = kind.is_numeric()
        table.add_column(name, justify="right" if numeric else "left", no_wrap=name != "preview")
    for row in frame.iter_rows():
        cells = []
        for value in row:
            shown = f"{value:.4f}" if isinstance(value, float) else "" if value is None else value
            cells.append(
                Text(f"{shown:,}" if isinstance(shown, int) else common.plain(str(shown))[:50])
            )
        table.add_row(*cells)
    return table
