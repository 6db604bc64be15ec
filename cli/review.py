"""`ifcurate review`: the report as an application on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from ifcurate.errors import IfcurateError
from ifcurate.options.review import ReviewOptions
from ifcurate.phrases import missing_package

from . import common
from .options import with_options
from .printing import print_line, say


@with_options
def review(
    options: ReviewOptions,
    folder: common.RunArgument = None,
    run: common.RunOption = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address, and do not open a browser.")
    ] = False,
    quiet: common.Quiet = False,
) -> None:
    """Move the cut with a slider and set labels by hand, in a browser on this machine.

    Each label that you set is saved at once in the run's folder (overrides.json). `ifcurate split`
    and `ifcurate filter` use it. You can also judge augmented examples. The application listens
    on the loopback address only, and its address contains a random token.

        ifcurate review
    """
    try:
        from ifcurate.review.application import serve_review
    except ImportError as error:
        raise IfcurateError(missing_package("review", "review", error)) from error

    opened = common.open_named_run(folder, run)

    def show(address: str) -> None:
        print_line(address)
        say("Ctrl-C stops it; every label is saved when it is set")
        if not no_browser:
            import webbrowser

            webbrowser.open(address)

    serve_review(opened, on_ready=show, options=options)
