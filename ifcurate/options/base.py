"""The declaration of an option: its default, its bounds and its help text in one place.

A step declares its options as a subclass of `Options`. Three callers read it:

- the library function, through `takes_options`;
- the recipe section of the step, which is the class itself;
- the command, whose options `ifcurate.cli.options` makes from the fields.
"""

from __future__ import annotations

import copy
import functools
import inspect
import re
import reprlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from ifcurate.errors import OptionError
from ifcurate.phrases import did_you_mean

#: The largest number of an option with a lower bound and no other upper one.
MOST: Final = 10**15
R = TypeVar("R")
Part = TypeVar("Part", bound="Options")

_REASONS: dict[str, str] = {
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "unknown; known are {expected}",
    "missing": "is missing",
    "finite_number": "must be a finite number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "frozen_set_type": "must be a list",
    "dict_type": "must be a mapping",
    "extra_forbidden": "unknown option",
}


def option(
    default: Any = ...,
    help: str = "",
    *,
    panel: str = "",
    flags: Sequence[str] = (),
    metavar: str = "",
    command: bool = True,
    common: bool = False,
    **bounds: Any,
) -> Any:
    """Declare a field of an `Options` class.

    Args:
        default: the default value; leave it out for a required option.
        help: one or two sentences, the only description of the option.
        panel: the group of the option in `--help`, if it is not that of its class.
        flags: names on the command line, when they differ from the field's name.
        metavar: the placeholder of the value in `--help`.
        command: False for an option that only the library and recipes take.
        common: True for an option that the short help (`-h`) also shows.
        bounds: `ge`, `gt`, `le`, `lt`, `min_length` of pydantic's `Field`. With `ge` and without
            an upper bound, the number is at most `MOST`.
    """
    extra: dict[str, Any] = {
        "panel": panel,
        "flags": list(flags),
        "metavar": metavar,
        "command": command,
        "common": common,
    }
    if any(name in bounds for name in ("ge", "gt", "le", "lt")):
        bounds.setdefault("allow_inf_nan", False)
    if "ge" in bounds:
        bounds.setdefault("le", MOST)
    return Field(default, description=help, json_schema_extra=extra, **bounds)


def read_extra(field: FieldInfo) -> dict[str, Any]:
    """Return what `option` says of a field for the command line."""
    extra = field.json_schema_extra
    assert isinstance(extra, dict), "declare it with option()"
    return extra


def same_as(model: type[Options], name: str, *, panel: str = "") -> Any:
    """Declare a field with the default, the bounds and the help text that it has in `model`."""
    field = copy.copy(model.model_fields[name])
    field.json_schema_extra = {**read_extra(field), "panel": panel, "common": False}
    return field


class Options(BaseModel):
    """The options of a step. Unknown names are refused, and values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    step: ClassVar[str] = ""  # the command that takes these options, for messages
    panel: ClassVar[str] = ""  # the group of the options in `--help`

    @classmethod
    def create(cls, **given: Any) -> Self:
        """Check the values. Raises `OptionError` with the option, the value and the bound."""
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            problems = "; ".join(explain_problem(problem) for problem in error.errors())
            where = f"{cls.step}: " if cls.step else ""
            raise OptionError(f"{where}{problems}") from error

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        for kind in reversed(type(self).__mro__):
            if issubclass(kind, Options) and "_refuse" in vars(kind):
                kind._refuse(self)
        return self

    def _refuse(self) -> None:
        """Raise `ValueError` for options of this class that contradict each other.

        Those of the classes that it extends are refused before.
        """

    def given(self) -> dict[str, Any]:
        """Return the options that were set, without those left at their defaults."""
        return {name: getattr(self, name) for name in type(self).model_fields if self.has(name)}

    def part(self, kind: type[Part]) -> Part:
        """Return those of the options that `kind` has, as they were set."""
        return kind.create(**{n: v for n, v in self.given().items() if n in kind.model_fields})

    def has(self, name: str) -> bool:
        """Return whether the option was set, even if to its default."""
        return name in self.model_fields_set


def explain_problem(problem: Mapping[str, Any] | Any) -> str:
    """One problem that pydantic found, as `option: what is wrong (found VALUE)`."""
    place = ".".join(str(part) for part in problem["loc"])
    context = problem.get("ctx", {})
    if problem["type"] == "value_error":
        text = str(context["error"])
        return f"{place}: {text}" if place else text
    reason = _REASONS.get(problem["type"])
    text = reason.format(**context).replace("'", "") if reason else problem["msg"]
    if problem["type"] == "literal_error" and isinstance(problem["input"], str):
        text += did_you_mean(problem["input"], re.findall("'([^']+)'", context["expected"]))
    value = "" if problem["type"] == "missing" else f" (found {reprlib.repr(problem['input'])})"
    return f"{place}: {text}{value}"


def needs(options: Options, name: str, condition: bool, when: str) -> None:
    """Refuse an option that was set and that has no effect with the other options.

    Raises `ValueError`, which `Options.create` turns into an `OptionError`.
    """
    if options.has(name) and getattr(options, name) is not None and not condition:
        raise ValueError(f"{name} is only for {when}; leave it out")


def split_items(value: Any) -> tuple[Any, ...]:
    """The items of `"a,b"`, of one path, or of a list. Raises `ValueError` for any other value."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(","))
    if isinstance(value, Path):
        return (value,)
    if not isinstance(value, list | tuple | set | frozenset):
        raise ValueError(f"must be a text or a list of texts (found {reprlib.repr(value)})")
    return tuple(value)


def parse_fraction(value: Any) -> Any:
    """`0.25`, `"0.25"` or `"25%"` as a number. Bounds are checked by the field."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise ValueError(f"{value!r} is not a fraction; write 0.25 or 25%") from None


def parse_batch_size(value: Any) -> Any:
    """`"auto"`, or a number of sequences."""
    text = str(value).strip()
    if text == "auto":
        return text
    if text.isdigit() and 0 < int(text) <= MOST:
        return int(text)
    raise ValueError(f"{value!r}: write auto or a number from 1 to {MOST}")


def parse_tokens(value: Any) -> Any:
    """`20000`, `"20k"` or `"2Mtok"` as a number of tokens. Bounds are checked by the field."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kMG])(?:tok(?:ens)?)?", str(value).strip())
    return value if match is None else round(float(match[1]) * SCALES[match[2]])


#: What a letter after a number of tokens means.
SCALES: Final = {"k": 1_000, "M": 1_000_000, "G": 1_000_000_000}
MOST_SEED: Final = 2**32 - 1  # of NumPy, which transformers seeds too
Seed = Annotated[int, Field(ge=0, le=MOST_SEED)]
#: A share between 0 and 1, both excluded.
Fraction = Annotated[float, BeforeValidator(parse_fraction), Field(gt=0, lt=1, allow_inf_nan=False)]
BatchSize = Annotated[int | Literal["auto"], BeforeValidator(parse_batch_size)]


def takes_options(
    model: type[Options], only: Sequence[str] = (), **preset: Any
) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Give a library function the fields of `model` as keyword arguments; with `only`, these.

    The function has one keyword parameter `options`. Callers pass either the fields, or an
    instance as `options`. The signature and the docstring show the fields. `preset` are the
    values of fields that the function fixes.
    """
    names = only or tuple(model.model_fields)

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        @functools.wraps(function)
        def call(*args: Any, **given: Any) -> R:
            values = {name: given.pop(name) for name in names if name in given}
            options = given.pop("options", None)
            if options is None:
                options = model.create(**preset, **values)
            elif values:
                raise OptionError(
                    f"{function.__name__}: got options and also {', '.join(values)}; "
                    "give only one of them"
                )
            return function(*args, options=options, **given)

        fields = {name: model.model_fields[name] for name in names}
        call.__signature__ = _signature(function, fields)  # type: ignore[attr-defined]
        call.__doc__ = f"{inspect.getdoc(function) or ''}\n\n{_describe(fields)}"
        return call

    return decorate


def _signature(function: Callable[..., Any], fields: Mapping[str, FieldInfo]) -> inspect.Signature:
    signature = inspect.signature(function)
    kept = [p for p in signature.parameters.values() if p.name != "options"]
    shown = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty
            if field.is_required()
            else field.get_default(call_default_factory=True),
            annotation=field.annotation,
        )
        for name, field in fields.items()
    ]
    keywords = [p for p in kept if p.kind is inspect.Parameter.KEYWORD_ONLY]
    others = [p for p in kept if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    return signature.replace(parameters=[*others, *shown, *keywords])


def _describe(fields: Mapping[str, FieldInfo]) -> str:
    listed = (f"    {name}: {field.description}" for name, field in fields.items())
    return "\n".join(["Options:", *listed])
