"""The commands: where each one is, and one line of help.

A command module is imported when its command is called. `ifcurate --help` needs only this table.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any, Final, NamedTuple, get_type_hints

import typer
from typer.core import TyperCommand, TyperOption
from typer.main import get_command_from_info, get_group
from typer.models import CommandInfo

__all__ = ["COMMANDS", "Place", "load_command"]

CURATE: Final = "Curate"
SHOW: Final = "Look"
PROVE: Final = "Prove"


class Place(NamedTuple):
    """Where a command is: `name` in the module `module` of this package."""

    module: str
    name: str
    panel: str
    summary: str


#: Command -> its place, in the order of the help.
COMMANDS: Final = {
    "inspect": Place(
        "inspect", "inspect_data", SHOW, "Show what is read, with the context marked."
    ),
    "score": Place("score", "score", CURATE, "Score every example with and without its context."),
    "split": Place(
        "split", "split", CURATE, "Label rows context-critical or non-context-critical."
    ),
    "filter": Place(
        "filter", "filter_rows", CURATE, "Write the kept rows, and the dropped rows with reasons."
    ),
    "augment": Place("augment", "augment", CURATE, "Write counterfactual examples."),
    "mix": Place("mix", "mix", CURATE, "Mix components into one file of training data."),
    "export": Place("export", "export", CURATE, "Write a mixture for a trainer."),
    "push": Place("push", "push", CURATE, "Upload a mixture and its card to the Hub."),
    "cards": Place("cards", "app", SHOW, "Show the cards of source sets."),
    "verify": Place("verify", "verify", SHOW, "Check a mixture against its manifest."),
    "merge": Place("merge", "merge", CURATE, "Join the shards of a run."),
    "run": Place("run", "run", CURATE, "Run all steps from one recipe."),
    "curate": Place("run", "curate", CURATE, "Go from raw data to a mixture in one line."),
    "recipes": Place("recipes", "app", SHOW, "List, show and copy recipes."),
    "runs": Place("runs", "runs", SHOW, "Show the runs of this folder."),
    "report": Place("report", "report", SHOW, "Write a report of a run as one HTML file."),
    "compare": Place("compare", "compare", SHOW, "Compare the scores of two runs."),
    "review": Place("review", "review", SHOW, "Move the cut and set labels by hand, in a browser."),
    "evaluate": Place(
        "evaluate", "evaluate", PROVE, "Measure context reliance on conflict suites."
    ),
    "finetune": Place(
        "finetune", "finetune_model", PROVE, "Finetune a model on a mixture (train extra)."
    ),
    "benchmark": Place("benchmark", "benchmark", PROVE, "Run standard benchmarks (eval extra)."),
    "lab": Place("lab", "app", PROVE, "Show the inversion and its cure on the bundled model."),
    "show": Place("show_example", "show", SHOW, "Show one example as the model read it."),
    "models": Place("models", "list_models", SHOW, "List the short names of models."),
}


def without_type(option: Any) -> Any:
    """The flag as help shows it: Typer writes `<bool>` beside a flag, which takes no value."""
    if getattr(option, "is_flag", False):
        option.metavar = " "
    return option


class Command(TyperCommand):
    """A command with two helps: `-h` shows the options most used, `--help` shows all."""

    common: frozenset[str] = frozenset()  # parameters that the short help shows

    def get_help_option(self, ctx: Any) -> Any:
        """The option `--help`, without a type."""
        return without_type(super().get_help_option(ctx))

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


def _show_short_help(ctx: typer.Context, wanted: bool) -> None:
    if wanted:
        command: Any = ctx.command
        if isinstance(command, Command) and command.common:
            command.format_short_help(ctx)
        else:
            typer.echo(command.get_help(ctx))
        raise typer.Exit


ShortHelp = Annotated[
    bool,
    typer.Option(
        "-h",
        is_eager=True,
        callback=_show_short_help,
        allow_from_autoenv=False,
        help="Show the options most used.",
    ),
]


def _with_short_help(function: Callable[..., None]) -> Callable[..., None]:
    """The command with the option `-h`, which Typer's own help option does not offer."""

    @functools.wraps(function)
    def called(short_help: bool = False, **given: Any) -> None:
        function(**given)

    signature = inspect.signature(function)
    extra = inspect.Parameter(
        "short_help", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=ShortHelp
    )
    hints = get_type_hints(function, include_extras=True)
    own = [p.replace(annotation=hints[p.name]) for p in signature.parameters.values()]
    called.__signature__ = signature.replace(parameters=[*own, extra])  # type: ignore[attr-defined]
    called.__annotations__ = {**hints, "short_help": ShortHelp}
    return called


def _fence(text: str) -> str:
    """The help with its examples in fences: Typer drops the indent that marks them."""
    parts = []
    for part in text.split("\n\n"):
        lines = part.splitlines()
        indented = all(line.startswith("    ") for line in lines)
        parts.append("```\n" + inspect.cleandoc(part) + "\n```" if indented else part)
    return "\n\n".join(parts)


def load_command(name: str) -> Any:
    """The command, imported and ready to be called."""
    place = COMMANDS[name]
    found = getattr(import_module(f".{place.module}", __package__), place.name)
    if isinstance(found, typer.Typer):
        group: Any = get_group(found)
        for command in (group, *group.commands.values()):
            _tidy(command)
        return group
    info = CommandInfo(
        name=name,
        help=_fence(inspect.getdoc(found) or ""),
        callback=_with_short_help(found),
        cls=Command,
        context_settings={"help_option_names": ["--help"]},
    )
    loaded: Any = get_command_from_info(
        info, pretty_exceptions_short=False, rich_markup_mode="markdown"
    )
    loaded.common = frozenset(getattr(found, "common", ()))
    _tidy(loaded)
    return loaded


def _tidy(command: Any) -> None:
    """Leave out of the help what stands on every line: environment variables, types of flags."""
    for parameter in command.params:
        # The root help states the rule of environment variables.
        if hasattr(parameter, "show_envvar"):
            parameter.show_envvar = False
        without_type(parameter)
