"""The commands, each with its module and one line of help.

A command module is imported when its command is called. `ifcurate --help` needs only this table.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

import typer
from rich.table import Table
from rich.text import Text
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typer.main import get_command_from_info, get_group
from typer.models import CommandInfo

#: Group of the help -> its commands, each with its line of help.
GROUPS: Final = {
    "Curate": {
        "score": "Score every example with and without its context.",
        "split": "Label rows context-critical or non-context-critical.",
        "filter": "Write the kept rows, and the dropped rows with reasons.",
        "augment": "Write counterfactual examples.",
        "mix": "Mix components into one file of training data.",
        "export": "Write a mixture for a trainer.",
        "push": "Upload a mixture and its card to the Hub.",
        "merge": "Join the shards of a run.",
        "run": "Run all steps from one recipe.",
        "curate": "Go from raw data to a mixture in one line.",
    },
    "Inspect": {
        "inspect": "Show the data as it is read, with contexts marked.",
        "show": "Show one example as the model read it.",
        "report": "Write a report of a run as one HTML file.",
        "compare": "Compare the scores of two runs.",
        "review": "Move the cut and set labels by hand, in a browser.",
        "verify": "Check a mixture against its manifest.",
        "runs": "List the runs in this folder.",
        "recipes": "List, show and copy recipes.",
        "cards": "List known datasets, and show their cards.",
        "models": "List the short names of models.",
    },
    "Evaluate": {
        "evaluate": "Measure context reliance on conflict suites.",
        "finetune": "Finetune a model on a mixture (train extra).",
        "benchmark": "Run standard benchmarks (eval extra).",
        "lab": "Show how context reliance rises and falls in finetuning.",
    },
}
COMMANDS: Final = [name for commands in GROUPS.values() for name in commands]
#: Command -> its module and name, where they are not its own name.
_PLACES: Final = {
    "filter": ("filter", "filter_rows"),
    "curate": ("run", "curate"),
    "inspect": ("inspect", "inspect_data"),
    "recipes": ("recipes", "app"),
    "cards": ("cards", "app"),
    "models": ("models", "list_models"),
    "finetune": ("finetune", "finetune_model"),
    "lab": ("lab", "app"),
}

#: Options of most commands. They are in the last group of a help with groups.
_GENERAL: Final = frozenset({"fail_on_error", "json", "quiet", "short_help", "help"})
_LAST: Final = "Messages and errors"
#: Groups that come last, in this order.
_LATE: Final = ("Server and vLLM", "Cluster", _LAST)

#: Type of a parameter -> its value in the help.
_METAVARS: Final = {
    "str": "TEXT",
    "list[str]": "TEXT",
    "int": "N",
    "float": "NUMBER",
    "Path": "PATH",
    "list[Path]": "PATH",
}


def tidy_parameter(parameter: Any) -> Any:
    """Return the parameter with one form of help: the name of its value, its default as a sentence.

    `--out` is `-o`, and `--model` is `-m`, in every command. The root help states the rule of
    environment variables, so no option repeats it.
    """
    if hasattr(parameter, "show_envvar"):
        parameter.show_envvar = False
    if isinstance(parameter, TyperArgument):
        argument: Any = parameter
        argument.metavar = argument.metavar or str(argument.name).upper()
        argument.display_type_rich = lambda ctx: None  # `<list[str]>` means nothing to a user
        return argument
    for name, short in (("--out", "-o"), ("--model", "-m")):
        if name in parameter.opts and short not in parameter.opts:
            parameter.opts.append(short)
    if getattr(parameter, "is_flag", False):
        parameter.metavar = " "  # Typer writes `<bool>`, but a flag takes no value
    elif parameter.metavar is None:
        parameter.metavar = _METAVARS.get(parameter.bare_type())
    if parameter.show_default and not isinstance(parameter.default, bool | None):
        shown = f" Default: {parameter.default}." if parameter.default != "" else ""
        parameter.help = f"{parameter.help or ''}{shown}".strip()
        parameter.show_default = False
    return parameter


class _WholeTable(Table):
    """The table of a help. In a narrow window, long texts wrap and nothing is cut."""

    def add_row(self, *cells: Any, **settings: Any) -> None:
        """Add a row. The names of an option are in one column, below each other, and stay whole."""
        if len(cells) >= 6:  # not a list of commands
            *mark, long, short, other_long, other_short, kind, text = cells
            names = [name for name in (long, other_long, short, other_short) if name]
            cells = (*mark, Text("\n").join(names), kind, text)
        super().add_row(*cells, **settings)
        for column in self.columns:
            column.overflow = "fold"
        if len(cells) > 2:
            self.columns[-3].no_wrap = True


class TidyHelp:
    """The common parts of all helps, mixed into Typer's command classes."""

    def get_help_option(self, ctx: Any) -> Any:
        """Return the option `--help`, without a type."""
        option = tidy_parameter(super().get_help_option(ctx))  # type: ignore[misc]
        if option is not None and any(_panel(p) == _LAST for p in ctx.command.params):
            option.rich_help_panel = _LAST
        return option

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help. Typer's own tables cut a long word and end it in `…`."""
        from rich.console import Group
        from typer import rich_utils

        tables: Any = rich_utils
        tables.Table = _WholeTable
        tables.Columns = lambda parts: Group(*parts)
        super().format_help(ctx, formatter)  # type: ignore[misc]


class Command(TidyHelp, TyperCommand):
    """A command with two helps: `-h` shows the most used options, `--help` shows all."""

    common: frozenset[str] = frozenset()  # parameters that the short help shows

    def format_short_help(self, ctx: Any) -> None:
        """Print the help with arguments and common options only."""
        hidden = []
        for parameter in self.params:
            if isinstance(parameter, TyperOption) and parameter.name not in self.common:
                hidden.append((parameter, parameter.hidden))
                parameter.hidden = True
        typer.echo(self.get_help(ctx).rstrip("\n"))
        for parameter, was in hidden:
            parameter.hidden = was
        if hidden:
            typer.echo(f"\n {len(hidden)} more options: {ctx.command_path} --help")


class CommandGroup(TidyHelp, TyperGroup):
    """A command that has subcommands."""


def _fence(text: str) -> str:
    """Return the help with its examples in fences, because Typer drops their indent."""
    parts = []
    for part in text.split("\n\n"):
        lines = part.splitlines()
        indented = all(line.startswith("    ") for line in lines)
        parts.append("```\n" + inspect.cleandoc(part) + "\n```" if indented else part)
    return "\n\n".join(parts)


def load_command(name: str) -> Any:
    """Return the command, imported and ready to be called."""
    module, own_name = _PLACES.get(name, (name, name))
    target = getattr(import_module(f".{module}", __package__), own_name)
    command = _load_group(target) if isinstance(target, typer.Typer) else _load(name, target)
    for one in (command, *getattr(command, "commands", {}).values()):
        for parameter in one.params:
            tidy_parameter(parameter)
        _order_groups(one)
    return command


def _panel(parameter: Any) -> str:
    return getattr(parameter, "rich_help_panel", None) or ""


def _order_groups(command: Any) -> None:
    """Put rarely used groups last. Typer shows options without a group first."""
    options = [p for p in command.params if isinstance(p, TyperOption)]
    if any(_panel(parameter) for parameter in options):
        for parameter in options:
            if parameter.name in _GENERAL and not _panel(parameter):
                parameter.rich_help_panel = _LAST
    command.params.sort(key=lambda p: _LATE.index(_panel(p)) if _panel(p) in _LATE else -1)


def _load_group(group: typer.Typer) -> Any:
    group.info.cls = CommandGroup
    for info in group.registered_commands:
        info.cls = Command
        info.help = _fence(inspect.getdoc(info.callback) or "")
    return get_group(group)


def _load(name: str, function: Callable[..., None]) -> Any:
    """Return the command of a function; with a short help if it has common options."""
    common = frozenset(getattr(function, "common", ()))
    info = CommandInfo(
        name=name,
        help=_fence(inspect.getdoc(function) or ""),
        callback=function,
        cls=Command,
        context_settings={"help_option_names": ["--help"] if common else ["-h", "--help"]},
    )
    loaded: Any = get_command_from_info(
        info, pretty_exceptions_short=False, rich_markup_mode="markdown"
    )
    loaded.common = common
    return loaded
