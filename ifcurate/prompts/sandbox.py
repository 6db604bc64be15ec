"""Jinja in a sandbox: texts of templates, and errors that name the template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ifcurate.errors import TemplateError
from ifcurate.phrases import first_line

if TYPE_CHECKING:
    import jinja2


def compile_template(source: str, name: str) -> jinja2.Template:
    """Compile Jinja text. Raises `TemplateError` with the line of a syntax error."""
    import jinja2

    from ifcurate.prompts.limits import LimitedEnvironment

    environment = LimitedEnvironment()
    environment.globals["raise_exception"] = _raise
    try:
        return environment.from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(
            f"template {name}: line {error.lineno}: {error.message}; correct the template"
        ) from error


def _raise(message: str) -> None:
    raise TemplateError(str(message))


def run_template(compiled: jinja2.Template, values: Mapping[str, Any], name: str) -> str:
    """Return the rendered text. Raises `TemplateError` when the template refuses or fails."""
    from ifcurate.prompts.limits import LimitError

    try:
        return compiled.environment.render_limited(compiled, values)  # type: ignore[attr-defined, no-any-return]
    except TemplateError as error:
        raise TemplateError(f"template {name}: refuses this conversation: {error}") from error
    except LimitError as error:
        raise TemplateError(
            f"template {name}: was stopped: {error}; correct the template"
        ) from error
    except Exception as error:  # a template is a program and may raise any error
        if "strftime_now" in str(error) and "strftime_now" not in values:
            # Prompts must not change from one day to the next.
            fixed = {**values, "strftime_now": lambda _format: "01 Jan 2025"}
            return run_template(compiled, fixed, name)
        reason = first_line(error)
        raise TemplateError(f"template {name}: does not render: {reason}; correct it") from error
