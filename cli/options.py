"""From option models to the options of a command.

A command has a parameter whose type is a class of `ifcurate.options`. `with_options`
replaces it with the fields of that class: names, types, bounds, help texts and defaults.
An option that the user does not give is left out, so that the class knows which fields
were set.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from ifcurate.options.base import Options, explain_problem, read_extra

_PLAIN = (str, int, float, bool, Path)


def _show_short_help(ctx: typer.Context, wanted: bool) -> None:
    if wanted:
        command: Any = ctx.command
        command.format_short_help(ctx)
        raise typer.Exit


#: The option `-h` of a command with common options, which Typer's own help option does not offer.
_SHORT_HELP = inspect.Parameter(
    "short_help",
    inspect.Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[
        bool,
        typer.Option(
            "-h",
            is_eager=True,
            callback=_show_short_help,
            allow_from_autoenv=False,
            help="Show the most used options.",
        ),
    ],
)


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with the fields of its option models as Typer options."""
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    models: dict[str, tuple[type[Options], dict[str, Any]]] = {}
    for parameter in inspect.signature(command).parameters.values():
        kind = hints[parameter.name]
        if not (isinstance(kind, type) and issubclass(kind, Options)):
            parameters.append(parameter.replace(annotation=kind))
            continue
        preset = {} if parameter.default is parameter.empty else parameter.default.given()
        models[parameter.name] = kind, preset
        for name, field in _shown(kind):
            typed = _parameter_name(name, field)
            annotation = _annotate(name, field, kind.panel, preset)
            parameters.append(parameter.replace(name=typed, default=None, annotation=annotation))

    @functools.wraps(command)
    def called(short_help: bool = False, **given: Any) -> None:
        for name, (kind, preset) in models.items():
            given[name] = _check(kind, {**preset, **_take(kind, given)})
        command(**given)

    fields = [item for kind, _ in models.values() for item in _shown(kind)]
    common = {_parameter_name(name, f) for name, f in fields if read_extra(f)["common"]}
    if common:
        parameters.append(_SHORT_HELP)
    called.common = common  # type: ignore[attr-defined]
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {p.name: p.annotation for p in parameters}
    return called


def _shown(kind: type[Options]) -> list[tuple[str, FieldInfo]]:
    """Return the fields that are options of a command."""
    return [(name, f) for name, f in kind.model_fields.items() if read_extra(f)["command"]]


def _take(kind: type[Options], given: dict[str, Any]) -> dict[str, Any]:
    """Return the values of this model, removed from `given`.

    Options that were not typed are left out.
    """
    values = {name: given.pop(_parameter_name(name, field)) for name, field in _shown(kind)}
    return {name: value for name, value in values.items() if value is not None and value != []}


def _check(kind: type[Options], values: dict[str, Any]) -> Options:
    """Return the options, or a usage error (exit code 2) that names the option as it is typed."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        text = explain_problem({**problem, "loc": ()}).removeprefix(": ")
        # A check of several fields names the field in its text.
        name = str(problem["loc"][0]) if problem["loc"] else text.partition(" is only for ")[0]
        field = kind.model_fields.get(name)
        hint = _flag(name, field) if field else None
        text = text.removeprefix(f"{name} ") if field and not problem["loc"] else text
        if problem["type"] == "missing":
            text = "is required, and was not given"
        raise typer.BadParameter(text, param_hint=hint) from error


def _flag(name: str, field: FieldInfo) -> str:
    flags = read_extra(field)["flags"]
    return str(flags[0]).partition("/")[0] if flags else f"--{name.replace('_', '-')}"


def _parameter_name(name: str, field: FieldInfo) -> str:
    """Return the name of the Typer parameter; the environment variable has the same name."""
    return _flag(name, field).removeprefix("--").replace("-", "_")


def _annotate(name: str, field: FieldInfo, panel: str, preset: dict[str, Any]) -> Any:
    extra = read_extra(field)
    kind = _typer_type(field)
    flags = list(extra["flags"])
    if kind is bool and not flags:
        flag = name.replace("_", "-")
        flags = [f"--{flag}/--no-{flag}" if field.default else f"--{flag}"]
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    default = preset.get(name, field.get_default(call_default_factory=True))
    text = _explain(field, choices, "Required." if field.is_required() else _default(default))
    settings: dict[str, Any] = {
        "help": text,
        "rich_help_panel": extra["panel"] or panel or None,
        "show_default": False,
        "metavar": extra.get("metavar") or ("CHOICE" if choices else None),
        **(_bounds(field) if kind in (int, float) else {}),
    }
    return Annotated[kind | None, typer.Option(*flags, **settings)]


def _bounds(field: FieldInfo) -> dict[str, Any]:
    """Return the least and the largest number, as Typer takes them."""
    return {
        bound: getattr(constraint, limit)
        for bound, limit in (("min", "ge"), ("max", "le"))
        for constraint in field.metadata
        if getattr(constraint, limit, None) is not None
    }


def _explain(field: FieldInfo, choices: Sequence[str], default: str) -> str:
    """Return the help: the meaning of the option, its choices and its default.

    The choices are not the metavar, because a narrow window has no room for them there.
    """
    meaning = field.description or ""
    listed = "" if all(name in meaning for name in choices) else f"One of {', '.join(choices)}."
    text = " ".join(filter(None, (meaning, listed, default)))
    # Brackets are Rich's markup, and `<name>` is a tag in Markdown.
    return text.replace("[", "\\[").replace("<", "\\<")


def _default(value: Any) -> str:
    """Return the default in words; "" when there is none to show."""
    if value is None or isinstance(value, bool) or value in ("", (), []):
        return ""
    text = ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
    return f"Default: {text}."


def _typer_type(field: FieldInfo) -> Any:
    """Return the type that Typer parses: the field's own if Typer knows it, otherwise text."""
    kind = _without_none(field.annotation)
    origin, inside = get_origin(kind), (*get_args(kind), None)[0]
    if any(type(item).__name__ == "BeforeValidator" for item in field.metadata):
        return list[str] if origin is dict else str
    if origin in (list, tuple):
        return list[inside] if inside in _PLAIN else str  # type: ignore[valid-type]
    return kind if kind in _PLAIN or origin is Literal else str


def _without_none(kind: Any) -> Any:
    """Return the type without `None`; text for a union of several types."""
    if get_origin(kind) not in (Union, types.UnionType):
        return kind
    members = [member for member in get_args(kind) if member is not type(None)]
    return members[0] if len(members) == 1 else str
