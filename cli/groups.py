"""Groups of options that several commands take: written once, as a dataclass.

A command names a parameter of such a class, and `with_groups` gives it to Typer
with the class's fields in that place, each an option of its own.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

__all__ = ["with_groups"]


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """The command as Typer is to see it.

    The options' defaults are those of the class, or of the instance that is the
    parameter's default.
    """
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, type] = {}
    for parameter in inspect.signature(command).parameters.values():
        kind = hints[parameter.name]
        if not (isinstance(kind, type) and is_dataclass(kind)):
            parameters.append(parameter.replace(annotation=kind))
            continue
        groups[parameter.name] = kind
        own = get_type_hints(kind, include_extras=True)
        defaults = kind() if parameter.default is parameter.empty else parameter.default
        for field in fields(kind):
            default = getattr(defaults, field.name)
            parameters.append(
                parameter.replace(name=field.name, annotation=own[field.name], default=default)
            )

    @functools.wraps(command)
    def called(**given: Any) -> None:
        for name, kind in groups.items():
            values = {field.name: given.pop(field.name) for field in fields(kind)}
            given[name] = kind(**values)
        command(**given)

    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {p.name: p.annotation for p in parameters}
    return called
