"""Templates: how an example becomes the text that a model reads.

`alpaca`, `plain` and `tulu` are built in; `chat` is the tokenizer's own chat template; any
other name is the path of a Jinja file. Every template writes ``{{ response }}`` exactly
once. The text before it is the prompt; the text after it ends the turn. Templates come from
model folders and other people's files, so they run in Jinja's sandbox.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ifcurate.engines.base import Tokenizer
from ifcurate.errors import TemplateError
from ifcurate.phrases import did_you_mean, first_line
from ifcurate.prompts.conversation import list_tools, to_messages, turn_text
from ifcurate.records import Example, Turn

if TYPE_CHECKING:
    import jinja2

# Replaces the response while a template renders. Private-use characters without
# surrounding space, so that templates that trim the response keep it.
_MARK: Final = "\ue0f1response\ue0f2"

_LETTERS: Final = string.ascii_letters

_FOLDER: Final = files("ifcurate.prompts").joinpath("built_in")
BUILT_IN: Final = {
    name: _FOLDER.joinpath(f"{name}.jinja").read_text(encoding="utf-8")
    for name in ("alpaca", "plain", "tulu")
}


@dataclass(frozen=True, slots=True)
class Rendered:
    """A text in three parts. The loss is over `response` (and `suffix`, optionally)."""

    prefix: str
    response: str
    suffix: str


@dataclass(frozen=True)
class Template:
    """A compiled template. Build it with `load_template`."""

    name: str  # "alpaca", "plain", "tulu", "chat" or the file's name
    source: str  # Jinja
    is_chat: bool
    special_tokens: Mapping[str, str]
    folds: frozenset[str] = frozenset()  # roles that a chat template does not support
    strips_response: bool = False
    function: Callable[[Example], str] | None = None  # in place of Jinja
    _compiled: jinja2.Template = field(repr=False, compare=False, kw_only=True)

    @property
    def fingerprint(self) -> str:
        """Changes when any rendered text could change."""
        parts = [self.source, json.dumps(dict(self.special_tokens), sort_keys=True)]
        parts.append(",".join(sorted(self.folds)))
        return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()

    def render(self, example: Example, *, variant: str = "") -> Rendered:
        """Return the example's text, divided at its response.

        `variant` picks one of Alpaca's two official preambles, "with" or
        "without" an input; by default both variants have the same preamble.
        Raises `TemplateError` when the template fails or does not show the
        response exactly once.
        """
        text = self._render_text(example, variant)
        count = text.count(_MARK)
        if count != 1:
            raise TemplateError(
                f"template {self.name}: must write the response exactly once; found it "
                f"{count} times in the text; check {{{{ response }}}} in the template"
            )
        prefix, _, suffix = text.partition(_MARK)
        if self.is_chat and example.response_calls and "tool" not in self.folds:
            called = self._render_calls(example, prefix, suffix)
            if called is not None:
                return called
        response = example.response.strip() if self.strips_response else example.response
        return Rendered(prefix, response, suffix)

    def _render_calls(self, example: Example, prefix: str, suffix: str) -> Rendered | None:
        """Return the text with the response's tool calls as the template writes them.

        The response is the part that differs from the rendering of a plain answer. It includes
        the end of the line above the answer if the template writes another line above calls.
        None if no part clearly differs; then the calls are written as JSON.
        """
        messages = to_messages(example, self.folds, None)
        text = self._render_chat(messages, list_tools(example))
        start, above = count_shared(prefix, text), len(prefix.rstrip())
        if start < above:
            asked = messages[-2]["content"].strip() if len(messages) > 1 else ""
            if not asked or not 0 <= prefix.rfind(asked) <= start - len(asked):
                return None
            start = len(text[:start].rstrip(_LETTERS).rstrip(" "))
        ending = suffix.rstrip()
        known = ending and ending in text[start:]
        end = text.rfind(ending) if known else len(text.rstrip())
        if end <= start or not text[start:end].strip():
            return None
        return Rendered(text[:start], text[start:end], text[end:])

    def _render_text(self, example: Example, variant: str) -> str:
        if self.function is not None:
            text = self.function(replace(example, response=_MARK))
            if not isinstance(text, str):
                raise TemplateError(
                    f"template {self.name}: the function returned {type(text).__name__}; return "
                    "the text of the example, with its response"
                )
            return text
        if self.is_chat:
            return self._render_chat(to_messages(example, self.folds, _MARK), list_tools(example))
        if variant and self.name != "alpaca":
            raise TemplateError(
                f"template {self.name}: has one text for both variants; "
                "the ablation 'template' is for alpaca only; use 'drop'"
            )
        values = {**self.special_tokens, **_fields(example), "variant": variant}
        return run_template(self._compiled, values, self.name)

    def _render_chat(self, messages: Sequence[Mapping[str, Any]], tools: Any) -> str:
        values = {"messages": messages, "tools": tools, "add_generation_prompt": False}
        return run_template(self._compiled, {**self.special_tokens, **values}, self.name)


def count_shared(a: str, b: str) -> int:
    """Return the length of the prefix that two texts share."""
    pairs = enumerate(zip(a, b, strict=False))
    return next((i for i, (x, y) in pairs if x != y), min(len(a), len(b)))


def load_template(name: str | Path | Callable[[Example], str], tokenizer: Tokenizer) -> Template:
    """Return a template by its name, from a file, from a text or from a function.

    Names are those of the built-in templates, "chat", and "auto" (the tokenizer's chat
    template if it has one, else alpaca). A text with `{{ response }}` in it is a Jinja
    template. A file or text that reads `messages`, and not `response`, is a chat template. A
    function takes an `Example` and returns its text, with the response once.

    Raises `TemplateError` when the template is unknown, cannot be read or does not render,
    `TypeError` for any other value.
    """
    tokens = dict(tokenizer.special_tokens())
    tokens.setdefault("eos_token", tokenizer.eos_text)
    tokens.setdefault("bos_token", "")
    if callable(name):
        return _from_function(name, tokens)
    if not isinstance(name, str | Path):
        raise TypeError(
            f"template: found {type(name).__name__}; give a name, a Jinja file, Jinja as text, or "
            "a function that takes an Example and returns its text"
        )
    name = str(name)
    if name == "auto":
        name = "chat" if tokenizer.chat_template else "alpaca"
    if name == "chat":
        if not tokenizer.chat_template:
            raise TemplateError(
                "template chat: the tokenizer has no chat template; "
                f"use --template {', '.join(BUILT_IN)} or a Jinja file"
            )
        return _load_chat("chat", tokenizer.chat_template, tokens)
    if "{{" in name:
        name, source = "inline", name
    else:
        name, source = Path(name).name, BUILT_IN.get(name) or _read_file(name)
    template = _build(name, source, tokens)
    if {"messages", "response"} & _read_names(template) == {"messages"}:
        return _load_chat(name, source, tokens)
    template.render(_PROBE)  # a template that fails is refused before rows are read
    return template


def _read_names(template: Template) -> set[str]:
    """Return the names that a template reads and does not set."""
    from jinja2 import meta

    return meta.find_undeclared_variables(template._compiled.environment.parse(template.source))


def _from_function(function: Callable[[Example], str], tokens: Mapping[str, str]) -> Template:
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        source = repr(function)
    name = getattr(function, "__name__", "function")
    compiled = compile_template("", name)
    template = Template(name, source, False, tokens, function=function, _compiled=compiled)
    template.render(_PROBE)
    return template


_PROBE: Final = Example(id="", instruction="Instruct.", context="Con.", response="Resp.")


def _read_file(name: str) -> str:
    path = Path(name)
    if "{" in name or "\n" in name:
        raise TemplateError(
            f"template {name[:60]!r}: a text without {{{{ response }}}}; write variables in double "
            "braces, such as {{ instruction }}, and {{ response }} once"
        )
    if not path.is_file():
        raise TemplateError(
            f"template {name}: neither built in ({', '.join(BUILT_IN)}, chat, auto) "
            f"nor a file; check the name{did_you_mean(name, (*BUILT_IN, 'chat', 'auto'))}"
        )
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"template {name}: cannot be read: {error}; check the file") from error


def _build(
    name: str, source: str, tokens: Mapping[str, str], *, is_chat: bool = False, **more: Any
) -> Template:
    # Chat templates rely on names that are empty when they are not given.
    compiled = compile_template(source, name, strict=not is_chat)
    return Template(name, source, is_chat, tokens, _compiled=compiled, **more)


def _load_chat(name: str, source: str, tokens: Mapping[str, str]) -> Template:
    """Compile a chat template and test which roles it supports.

    Roles that it does not support become user messages, in both variants.
    """
    plain = _build(name, source, tokens, is_chat=True)
    folds = set()
    call = {"type": "function", "function": {"name": "f", "arguments": {"a": "1"}}}
    called = (Turn("assistant", "", tool_calls=(call,)), Turn("tool", "Tool says."))
    probes: dict[str, tuple[str, dict[str, Any]]] = {
        "system": ("System says.", {"system": "System says."}),
        "tool": ("Tool says.", {"trailing": called}),
        "repeated": ("User says.", {"history": (Turn("user", "User says."),)}),
    }
    asked = Example(instruction="Asked.", response="R.")
    plain.render(asked)
    for role, (content, more) in probes.items():
        with contextlib.suppress(TemplateError):
            if content in plain.render(replace(asked, **more)).prefix:
                continue
        folds.add(role)
    spaced = to_messages(_PROBE, frozenset(), f"  {_MARK}  ")
    strips = "  " + _MARK not in plain._render_chat(spaced, None)
    return _build(
        name, source, tokens, is_chat=True, folds=frozenset(folds), strips_response=strips
    )


def _fields(example: Example) -> dict[str, Any]:
    """Return the values for a template that is not a chat template."""
    turns = [{"role": t.role, "content": turn_text(t), "context": ""} for t in example.history]
    turns.append({"role": "user", "content": example.instruction, "context": example.context})
    turns += [{"role": t.role, "content": turn_text(t), "context": ""} for t in example.trailing]
    return {
        "instruction": example.instruction,
        "context": example.context,
        "system": example.system,
        "tools": example.tools,
        "turns": turns,
        "response": _MARK,
    }


def compile_template(source: str, name: str, *, strict: bool = False) -> jinja2.Template:
    """Compile Jinja text. Raises `TemplateError` with the line of a syntax error.

    With `strict`, rendering fails for a name without a value, such as a misspelt one.
    """
    import jinja2

    from ifcurate.prompts.limits import LimitedEnvironment

    environment = LimitedEnvironment()
    environment.globals["raise_exception"] = _raise
    if strict:
        environment.undefined = jinja2.StrictUndefined
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
