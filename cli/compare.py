"""`ifcurate compare`: compare the order and the labels of two runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from . import common
from .printing import make_table, out, plain, print_json, print_line

if TYPE_CHECKING:
    from ifcurate.reports.compare import Comparison


def compare(
    first: Annotated[Path, typer.Argument(help="Run folder.")],
    second: Annotated[Path, typer.Argument(help="Another run of the same data.")],
    out_file: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Page to write. By default compare-NAME.html in the first run's folder.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is not this comparison.")
    ] = False,
    json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Compare the scores of two runs of the same data.

    Can a small model score for a large one? Does the template matter? The command shows the rank
    correlation of both scores, the share of labels that agree at every cut, and the examples
    that differ most. It writes a page with plots. `ifcurate report --compare RUN` adds the
    comparison to a report.

        ifcurate compare ifcurate-runs/A ifcurate-runs/B
    """
    from ifcurate.reports.compare import compare_runs, refuse_comparison, write_comparison
    from ifcurate.runs.run import find_run

    one, other = find_run(first), find_run(second)
    path = out_file or one.folder / f"compare-{other.folder.resolve().name}.html"
    refuse_comparison(one, other, path, overwrite=overwrite)
    comparison = compare_runs(one, other)
    write_comparison(comparison, path, overwrite=overwrite)
    if json:
        print_json({**comparison.as_dict(), "page": str(path)})
        return
    if not quiet:
        print_comparison(comparison)
    print_line(str(path) if quiet else f"page  {path}")


def print_comparison(comparison: Comparison) -> None:
    """Correlations, agreement, and the examples that differ most."""

    from ifcurate.reports.compare import NAMES, name_run

    for place, run, n in (
        ("first", comparison.first, comparison.n_first),
        ("second", comparison.second, comparison.n_second),
    ):
        out.print(Text(f"{place:7} {plain(name_run(run))}: {n:,} scored"), soft_wrap=True)
    out.print(f"{'both':7} {comparison.n_common:,} scored in both\n")
    shares = (0.1, 0.25, 0.5, 0.75)
    table = make_table("", "rank correlation", *(f"{share:.0%}" for share in shares), n_left=2)
    for name, value in comparison.correlations.items():
        agreed = dict(comparison.agreements.get(name, []))
        cells = [f"{100 * agreed[s]:.1f}%" if agreed else "-" for s in shares]
        table.add_row(NAMES[name], "-" if value is None else f"{value:.3f}", *cells)
    out.print(table)
    out.print(
        "[dim]at a share: examples with the same label if both runs put that share below the "
        "cut[/dim]\n"
    )
    rows = make_table("gain", "second", "rank %", "second", "example", n_left=5)
    for row in comparison.most_different(8).iter_rows(named=True):
        shown = plain(str(row["preview"] or row["id"]))[:70]
        numbers = (f"{row['context_gain']:+.3g}", f"{row['context_gain_2']:+.3g}")
        ranks = (f"{row['rank']:.0f}", f"{row['rank_2']:.0f}")
        rows.add_row(*numbers, *ranks, Text(shown))
    out.print("[bold]examples that differ most[/bold]")
    out.print(rows)
    out.print()
