"""Shared by all commands: consoles, errors and exit codes, options, small parsers."""

from __future__ import annotations

import errno
import logging
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ifcurate.errors import IfcurateError

from .commands import COMMANDS, GROUPS, TidyHelp, load_command, tidy_parameter
from .printing import note, out, print_error, report
from .usage import clean_usage_error

if TYPE_CHECKING:
    from ifcurate.runs.run import Run


def _silence(wanted: bool) -> bool:
    report.silent |= wanted
    return wanted


Json = Annotated[
    bool, typer.Option("--json", callback=_silence, help="Print only the result, as JSON.")
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", callback=_silence, help="No progress and no summary.")
]
RunArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="RUN",
        help="Run folder. By default the newest in ifcurate-runs/.",
        show_default=False,
    ),
]
RunOption = Annotated[
    Path | None,
    typer.Option(
        "--run",
        help="Run folder, or the name of a run in ifcurate-runs/. By default the newest.",
    ),
]

Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace files that were made from other data or settings."),
]


class Group(TidyHelp, TyperGroup):
    """All commands. It turns errors into messages and exit codes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for panel, commands in GROUPS.items():
            for name, line in commands.items():
                # The help needs a name and a line; `resolve_command` loads the command itself.
                self.commands[name] = TyperCommand(name, help=line, rich_help_panel=panel)

    def get_params(self, ctx: Any) -> Any:
        """Return the options, those that Typer adds too, as the help shows them."""
        return [tidy_parameter(parameter) for parameter in super().get_params(ctx)]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is called, imported now."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name in COMMANDS else command, rest

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options before the command."""
        try:
            return super().parse_args(ctx, args)
        except OSError as error:  # --version or --help on a full disk
            print_error(_explain(error)[0])
            raise typer.Exit(1) from error
        except Exception as error:
            clean_usage_error(error)
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run the command. A mistake of the user ends in a message, never in a traceback."""
        report.silent = False  # until the command reads its options
        if not ctx.params.get("debug"):
            # Each of its tries without a network is two lines; the error at the end is enough.
            logging.getLogger("huggingface_hub.utils._http").setLevel(logging.ERROR)
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # The reader of the output has closed it (`| head`).
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except (Exception, KeyboardInterrupt) as error:
            if hasattr(error, "exit_code") or isinstance(error, typer.Abort):
                clean_usage_error(error)  # Typer prints this error and sets the exit code
                raise
            if ctx.params.get("debug"):
                raise
            text, code = _explain(error)
            print_error(text)
            raise typer.Exit(code) from error


def _explain(error: BaseException) -> tuple[str, int]:
    """Return the message of an error, and the exit code."""
    if isinstance(error, IfcurateError):
        return str(error), 1
    if isinstance(error, KeyboardInterrupt):
        return "; ".join(["interrupted", *getattr(error, "__notes__", [])]), 130
    name = type(error).__name__
    text = f"{name}: {error}" if str(error) else name
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        place = f"{error.filename}" if error.filename else "the output"
        return (
            f"{place}: cannot be written: {error.strerror}; make room, and run the command again: "
            "finished work is kept"
        ), 1
    if isinstance(error, OSError | MemoryError):
        return f"{text}; --debug (before the command) shows where", 1
    return (
        f"{text}; this should not happen; finished work is kept; please report it, with the output "
        "of --debug (before the command)"
    ), 1


def say_stopping() -> None:
    """Print the answer to the first Ctrl-C."""
    report.print("finishing the current batch; press Ctrl-C again to stop at once")


def show_version(wanted: bool) -> None:
    """Show the version and exit: `--version`."""
    if wanted:
        from importlib.metadata import version

        out.print(f"ifcurate {version('ifcurate')}")
        raise typer.Exit


def command_line() -> str:
    """Return the command line, for manifests. No option takes a secret."""
    return shlex.join(["ifcurate", *sys.argv[1:]])


def run_as_dict(run: Run) -> dict[str, Any]:
    """Return what a scored run has, for JSON."""
    return {
        "run": str(run.folder),
        "scores": str(run.scores_path),
        "counts": run.manifest.counts,
        "notes": run.manifest.notes,
    }


def open_named_run(argument: Path | None, option: Path | None) -> Run:
    """Open the run of a command that takes it as an argument and as an option."""
    if argument and option:
        raise typer.BadParameter("names a run, and RUN another; give one", param_hint="--run")
    return open_run(argument or option)


def open_run(path: Path | None) -> Run:
    """Open the run that a later command reads. A note on stderr names it, also with `--quiet`."""
    from ifcurate.runs.run import find_run, list_runs

    run = find_run(path)
    inputs = ", ".join(item["name"] for item in run.manifest.identity["inputs"])
    model = run.manifest.identity["engine"]["model"]
    newest = ""
    if not path:
        over = "" if list_runs()[0].folder == run.folder else " over all rows"
        newest = f" (the newest here{over})"
    note(f"run {run.folder}{newest}: {inputs}, scored by {model}")
    return run
