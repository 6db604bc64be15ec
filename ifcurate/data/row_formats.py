"""What the rows of each layout say, and where in the row it stands.

A reader makes drafts of a row: examples whose context has not been looked for.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from ifcurate.data.turns import read_turns
from ifcurate.errors import RowError
from ifcurate.options.data import CONTEXT_KINDS
from ifcurate.records import Turn

__all__ = ["ANSWERS", "CONTEXT_KINDS", "OUTPUTS", "READERS", "Draft", "Layout", "Text"]

_INSTRUCTION: Final = ("instruction",)
_INPUT: Final = ("input", "context")
OUTPUTS: Final = ("output", "response", "answer", "completion")
ANSWERS: Final = ("answer", "answers", "response", "output")


@dataclass(frozen=True, slots=True)
class Layout:
    """How rows are to be read."""

    format: str  # one of FORMATS
    columns: Mapping[str, str] | None = None  # for "columns": our name -> theirs
    turns: Literal["last", "all"] = "last"
    context: tuple[str, ...] = CONTEXT_KINDS  # kinds of context that are looked for
    min_confidence: float = 0.5  # of a rule that finds context inside a text


@dataclass(frozen=True, slots=True)
class Text:
    """A text and where it stands in the row."""

    text: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """An example before its context has been looked for."""

    instruction: Text
    response: Text
    context: Text = Text()
    system: Text = Text()
    history: tuple[Turn, ...] = ()
    trailing: tuple[Turn, ...] = ()
    tools: str = ""


def _text(row: Mapping[str, Any], names: Iterable[str], *, required: bool = True) -> Text:
    """The first of these columns that the row has, as text."""
    names = tuple(names)
    for name in names:
        if name in row:
            value = row[name]
            if isinstance(value, str):
                return Text(value, name)
            if value is None:
                return Text("", name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                if isinstance(value, float) and not math.isfinite(value):
                    raise RowError(f"column {name!r}: expected text, found {value}")
                return Text(str(value), name)
            raise RowError(f"column {name!r}: expected text, found {type(value).__name__}")
    if not required:
        return Text()
    found = ", ".join(map(str, row)) or "(none)"
    raise RowError(f"no column {' or '.join(map(repr, names))}; found the columns {found}")


def _alpaca(row: Mapping[str, Any], layout: Layout) -> list[Draft]:
    return [
        Draft(
            instruction=_text(row, _INSTRUCTION),
            response=_text(row, OUTPUTS),
            context=_text(row, sorted(_INPUT, key=lambda n: not row.get(n)), required=False),
            system=_text(row, ("system",), required=False),
        )
    ]


def _prompt_completion(row: Mapping[str, Any], layout: Layout) -> list[Draft]:
    prompt, completion = row.get("prompt"), row.get("completion", row.get("response"))
    if isinstance(prompt, list) and isinstance(completion, list):
        name = "completion" if "completion" in row else "response"
        turns = [
            *read_turns(prompt, "prompt", "role", "content"),
            *read_turns(completion, name, "role", "content"),
        ]
        return _chat(turns, layout, _tools(row))
    return [
        Draft(
            instruction=_text(row, ("prompt",)),
            response=_text(row, ("completion", "response")),
            context=_text(row, ("context",), required=False),
            system=_text(row, ("system",), required=False),
        )
    ]


def _preference(row: Mapping[str, Any], layout: Layout) -> list[Draft]:
    """The chosen response; a conversation where it is one, else the answer to the prompt."""
    chosen, prompt = row.get("chosen"), row.get("prompt")
    if isinstance(chosen, list):
        turns = read_turns(chosen, "chosen", "role", "content")
        if isinstance(prompt, list):
            turns = [*read_turns(prompt, "prompt", "role", "content"), *turns]
        return _chat(turns, layout, _tools(row))
    return [
        Draft(
            instruction=_text(row, ("prompt", "question", "instruction")),
            response=_text(row, ("chosen",)),
            context=_text(row, ("context", "input"), required=False),
            system=_text(row, ("system",), required=False),
        )
    ]


def _qca(row: Mapping[str, Any], layout: Layout) -> list[Draft]:
    response = _first_answer(row, ANSWERS)
    if row.get("is_impossible") is True:
        # The context does not answer it; an answer that stands there all the same is a lure.
        response = Text("", response.path)
    return [
        Draft(
            instruction=_text(row, ("question",)),
            response=response,
            context=_text(row, ("context",), required=False),
        )
    ]


def _first_answer(row: Mapping[str, Any], names: Sequence[str]) -> Text:
    """The answer, or the first of several (a list, or SQuAD's {"text": [...]})."""
    for name in names:
        value = row.get(name)
        path = name
        if isinstance(value, Mapping) and "text" in value:
            value, path = value["text"], f"{name}.text"
        if isinstance(value, list):
            if not value:
                return Text("", path)
            value, path = value[0], f"{path}[0]"
            if isinstance(value, Mapping) and isinstance(value.get("text"), str):
                value, path = value["text"], f"{path}.text"
        if isinstance(value, str):
            return Text(value, path)
        if value is not None:
            raise RowError(f"column {name!r}: expected an answer, found {type(value).__name__}")
    return _text(row, names)


def _columns(row: Mapping[str, Any], layout: Layout) -> list[Draft]:
    names = layout.columns or {}

    def mapped(name: str) -> Text:
        return _text(row, (names[name],)) if name in names else Text()

    return [
        Draft(
            instruction=mapped("instruction"),
            response=_first_answer(row, (names["response"],)),
            context=mapped("context"),
            system=mapped("system"),
        )
    ]


def _tools(row: Mapping[str, Any]) -> str:
    tools = row.get("tools")
    if not tools:
        return ""
    return tools if isinstance(tools, str) else json.dumps(tools, ensure_ascii=False)


def _messages(row: Mapping[str, Any], layout: Layout) -> list[Draft]:
    name = next((n for n in ("messages", "conversations", "conversation") if n in row), "messages")
    turns = read_turns(row.get(name), name, "role", "content")
    return _chat(turns, layout, _tools(row))


def _sharegpt(row: Mapping[str, Any], layout: Layout) -> list[Draft]:
    name = next((n for n in ("conversations", "conversation", "messages") if n in row), "")
    turns = read_turns(row.get(name), name or "conversations", "from", "value")
    system = _text(row, ("system",), required=False)
    if system.text and not (turns and turns[0].role == "system"):
        turns.insert(0, Turn("system", system.text, system.path))
    return _chat(turns, layout, _tools(row))


def _chat(turns: list[Turn], layout: Layout, tools: str) -> list[Draft]:
    """One draft for the last, or for every, assistant turn."""
    answers = [i for i, turn in enumerate(turns) if turn.role == "assistant" and i > 0]
    if not answers:
        found = ", ".join(turn.role for turn in turns[:6]) or "no turn"
        raise RowError(f"no assistant turn that answers something; found the roles {found}")
    chosen = answers if layout.turns == "all" else answers[-1:]
    return [_draft_turn(turns[:i], turns[i], tools) for i in chosen]


def _draft_turn(before: list[Turn], answer: Turn, tools: str) -> Draft:
    system = Text()
    if before and before[0].role == "system":
        system = Text(before[0].content, before[0].path)
        before = before[1:]
    users = [i for i, turn in enumerate(before) if turn.role == "user"]
    at = users[-1] if users else -1
    asked = Text(before[at].content, before[at].path) if users else Text()
    return Draft(
        instruction=asked,
        response=_response(answer),
        system=system,
        history=tuple(before[:at]) if users else (),
        trailing=tuple(before[at + 1 :]) if users else tuple(before),
        tools=tools,
    )


def _response(turn: Turn) -> Text:
    """The answer's text; a turn that only calls tools answers with its calls, as JSON."""
    if turn.content or not turn.tool_calls:
        return Text(turn.content, turn.path)
    calls = [call.get("function", call) for call in turn.tool_calls]
    text = "\n".join(json.dumps(call, ensure_ascii=False) for call in calls)
    return Text(text, turn.path.rsplit(".", 1)[0] + ".tool_calls")


#: How a row of each layout is read: one draft, or one for each scored turn of a chat.
READERS: Final[dict[str, Callable[[Mapping[str, Any], Layout], list[Draft]]]] = {
    "alpaca": _alpaca,
    "prompt_completion": _prompt_completion,
    "messages": _messages,
    "sharegpt": _sharegpt,
    "preference": _preference,
    "qca": _qca,
    "columns": _columns,
}
