"""`ifcurate report`: one HTML file about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ifcurate.options.report import ReportOptions

from . import common
from .options import with_options
from .printing import note, print_json, print_line


@with_options
def report(
    options: ReportOptions,
    folder: common.RunArgument = None,
    out_file: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="File to write. By default report.html in the run's folder, and report-NAME.html "
            "for a split with a name.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is not a report of this run.")
    ] = False,
    run: common.RunOption = None,
    json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Write a report of a run: one HTML file that works offline.

    It shows the settings of the run, both losses, the gains by source, the kept share for each
    cut, and examples to search and open. If the run was scored with --tokens, responses are
    coloured by the gain of each token.

        ifcurate report
        ifcurate report ifcurate-runs/alpaca--pocket--21e821e1 -o report.html
    """
    from ifcurate.reports.page import write_report

    opened = common.open_named_run(folder, run)
    path = write_report(opened, out_file, overwrite=overwrite, say=note, options=options)
    if json:
        print_json({"run": str(opened.folder), "report": str(path)})
    else:
        print_line(str(path) if quiet else f"page  {path}")
