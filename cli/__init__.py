"""The command line, on top of the library.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted with the work saved.
Results go to files and stdout, progress and errors to stderr.

`commands.COMMANDS` lists the commands and their modules.
"""

from __future__ import annotations

from typing import Annotated

import typer

from .common import Group, show_version

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=True,
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

    ifcurate scores each example by the loss of a model on the response, with and without the
    context. Rows whose context only repeats what the model knows teach a model to ignore
    contexts. ifcurate finds them.

        ifcurate score alpaca.jsonl --model smollm2-135m
        ifcurate filter --keep context-critical
        ifcurate augment --entity-substitution

    Later commands use the newest run in the folder. You can also set every option in the
    environment: IFCURATE_SCORE_MODEL is --model of score.
    """


def main() -> None:
    """Entry point of the `ifcurate` script."""
    try:
        app(prog_name="ifcurate")
    except KeyboardInterrupt:  # before or after a command; a command handles it itself
        raise SystemExit(130) from None
