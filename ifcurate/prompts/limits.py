"""Limits of time and size for templates, which are programs that other people wrote.

Jinja's sandbox blocks access to files and to Python's internals, and limits `range`. It
does not limit strings and loops. This module checks the time in every loop, call and filter.
It also computes the size of every value that can be larger than its parts (`*`, `+`, `~`, `%`,
`join`, `replace`, padding, captured blocks) before the value is made.
"""

from __future__ import annotations

import functools
import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import jinja2
from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_CHARACTERS: Final = 32_000_000  # characters of a text, or items of a list
MAX_SECONDS: Final = 5.0  # processor time of the thread for one text
_MAX_MADE: Final = 10 * MAX_CHARACTERS  # characters of all values together, for one text
_STEPS: Final = 64  # between two checks of the time
_LONG_WIDTH: Final = re.compile(r"\d{8}")  # a width in a format of ten million or more


class LimitError(Exception):
    """A template exceeds a limit."""


class _Clock(threading.local):
    """The budget of the text that this thread renders."""

    until = float("inf")
    steps = 0
    made = 0  # characters and items, for this text

    def step(self) -> None:
        self.steps += 1
        if self.steps % _STEPS == 0 and time.thread_time() > self.until:
            raise LimitError(f"it runs for more than {MAX_SECONDS:g} s")


_CLOCK: Final = _Clock()


class _Generator(CodeGenerator):
    """Compiles `~` to a call that checks its size."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        self.write("environment.concat(map(str, (")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write(")))")


class _Generation(Extension):
    """A tag that writes its body. Chat templates mark the text to train on with it."""

    tags: set[str] = {"generation"}  # noqa: RUF012

    def parse(self, parser: Any) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


class LimitedEnvironment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox with the settings of transformers for chat templates, and with limits.

    Render with `render_limited`.
    """

    code_generator_class = _Generator
    intercepted_binops = frozenset({"*", "+", "%", "**"})

    def __init__(self) -> None:
        extensions = ["jinja2.ext.loopcontrols", _Generation]
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
        self.concat = _join  # type: ignore[method-assign]  # captured blocks and macros
        del self.globals["lipsum"]
        self.filters["tojson"] = _tojson
        for name, function in self.filters.items():
            self.filters[name] = _limit_filter(name, function)
        self.filters["_timed"] = _timed

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, "_timed", [], [], None, None, lineno=loop.lineno)
            loop.iter.set_environment(self)
        return tree

    def render_limited(self, template: jinja2.Template, values: Mapping[str, Any]) -> str:
        """Return the rendered text.

        Raises `LimitError` at a limit, and any error of the template.
        """
        _CLOCK.until, _CLOCK.made = time.thread_time() + MAX_SECONDS, 0
        parts: list[str] = []
        size = 0
        try:
            for part in template.generate(**values):
                size += len(part)
                if size > MAX_CHARACTERS:
                    raise _too_large()
                _CLOCK.step()
                parts.append(part)
        finally:
            _CLOCK.until = float("inf")
        return "".join(parts)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """`left operator right`. Raises `LimitError` when the result would be too large."""
        _CLOCK.step()
        match operator, left, right:
            case "+", _, _:
                _check_size(_size(left) + _size(right))
            case ("*", many, int(times)) | ("*", int(times), many) if _size(many):
                _check_size(_size(many) * times)
            case "**", int(), int():
                _check_size(left.bit_length() * right)  # about the digits of the result
            case "%", str(), tuple():
                _check_growth("format", (left, *right), {})
            case "%", str(), _:
                _check_growth("format", (left, right), {})
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Call a function. Raises `LimitError` when its result would be too large."""
        _CLOCK.step()
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, str):
            _check_growth(__obj.__name__, (owner, *args), kwargs)
        elif wrapped := getattr(__obj, "__wrapped__", None):  # str.format, wrapped by Jinja
            _check_growth("format", (getattr(wrapped, "__self__", ""), *args), kwargs)
        return super().call(__context, __obj, *args, **kwargs)


def _tojson(value: Any, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _timed(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        _CLOCK.step()
        yield value


def _limit_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the filter with a check of the size of its result. It keeps Jinja's marks."""
    # Some filters get the context or the environment before the value.
    first = int(getattr(function, "jinja_pass_arg", None) is not None)

    @functools.wraps(function)
    def limited(*args: Any, **kwargs: Any) -> Any:
        _CLOCK.step()
        _check_growth(name, args[first:], kwargs)
        return function(*args, **kwargs)

    return limited


def _check_growth(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Raise `LimitError` when this method or filter would make too large a value.

    The value has its parts, and in each of its places at most the longest other text, or a width.
    """
    if name == "translate":
        raise LimitError("it calls translate, which has no bound")
    if name not in _PLACES or not args:
        return
    value, *more = (*args, *kwargs.values())
    if name == "join" and isinstance(value, str):  # glue.join(items)
        value, more = (more or [""])[0], [value]
    flat = [v for item in more for v in (item.values() if isinstance(item, dict) else [item])]
    whole = value if name == "join" else str(value)
    has_width = name in _PADDING
    if name.startswith("format"):
        if _LONG_WIDTH.search(whole):
            raise LimitError("it formats with a width of ten million or more")
        has_width = "*" in whole or ":{" in whole  # a width may be a value
    widths = [abs(v) for v in flat if isinstance(v, int)] if has_width else []
    n_places = _PLACES[name](whole, more)
    parts = sum(map(_size, whole)) if isinstance(whole, list | tuple) else _size(whole)
    _check_size(parts + n_places * max([*map(_size, flat), *widths], default=0))


_PADDING: Final = (
    *("expandtabs", "indent", "ljust", "rjust", "center", "zfill", "wordwrap"),
    *("tojson", "batch", "slice"),
)
#: The number of places in a value where a method or filter writes another text, or a width.
_PLACES: Final[Mapping[str, Callable[[Any, list[Any]], int]]] = {
    "join": lambda items, _: _size(items),
    "replace": lambda text, more: text.count(str(more[0])) if more else 0,
    **dict.fromkeys(("format", "format_map"), lambda text, _: text.count("{") + text.count("%")),
    **dict.fromkeys(_PADDING, lambda text, _: text.count("\n") + text.count("\t") + 1),
}


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple) else 0


def _check_size(size: int) -> None:
    """Add a size before its value is made. Raises `LimitError` when it or the sum is too large."""
    _CLOCK.made += size
    if size > MAX_CHARACTERS or _CLOCK.made > _MAX_MADE:
        raise _too_large()


def _too_large() -> LimitError:
    return LimitError(f"it makes texts or lists of over {MAX_CHARACTERS:,} characters or items")


def _join(parts: Iterable[str]) -> str:
    parts = list(parts)
    _check_size(sum(map(len, parts)))
    return "".join(parts)
