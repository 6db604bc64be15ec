"""The command line, on top of the library.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted with the work saved.
Results go to files and stdout, progress and errors to stderr.
"""

from __future__ import annotations

from typing import Annotated

import typer

from .augment import augment
from .common import Group, show_version
from .filter import filter_rows
from .inspect import inspect_data
from .merge import merge
from .models import list_models
from .report import report
from .run import run
from .score import score
from .split import split

__all__ = ["app", "main"]

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "IFCURATE",
        "max_content_width": 100,
    },
)


@app.callback()
def ifcurate(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=show_version,
            is_eager=True,
            allow_from_autoenv=False,
            help="Show the version and exit.",
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks.", envvar="IFCURATE_DEBUG")
    ] = False,
) -> None:
    """Curate instruction-tuning data by how much each response needs its context.

    Each example is scored by a model's loss on the response with and without its
    context; rows whose context only repeats what the model knows teach it to ignore
    contexts, and are told apart.

        ifcurate score alpaca.jsonl --model llama-2-7b
        ifcurate filter --keep context-critical
        ifcurate augment --entity-substitution

    Later commands work on the newest run of the folder. Every option can also be set in
    the environment: IFCURATE_SCORE_MODEL is score's --model.
    """


app.command("inspect")(inspect_data)
app.command("score")(score)
app.command("merge")(merge)
app.command("split")(split)
app.command("filter")(filter_rows)
app.command("augment")(augment)
app.command("run")(run)
app.command("report")(report)
app.command("models")(list_models)


def main() -> None:
    """Entry point of the `ifcurate` script."""
    try:
        app(prog_name="ifcurate")
    except KeyboardInterrupt:  # before or after a command, which has its own answer
        raise SystemExit(130) from None
