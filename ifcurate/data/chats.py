"""Conversations: the turns of a row, and the drafts of the turns that are scored."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from ifcurate.data.cells import NO_TEXT, Text
from ifcurate.data.turns import read_turns
from ifcurate.errors import RowError
from ifcurate.records import Turn, write_calls

__all__ = ["Draft", "draft_chat", "read_conversation", "split_speakers", "write_tools"]


@dataclass(frozen=True, slots=True)
class Draft:
    """An example before its context has been looked for."""

    instruction: Text
    response: Text
    context: Text = NO_TEXT
    system: Text = NO_TEXT
    history: tuple[Turn, ...] = ()
    trailing: tuple[Turn, ...] = ()
    tools: str = ""
    response_calls: tuple[Mapping[str, Any], ...] = ()


def read_conversation(row: Mapping[str, Any], name: str) -> list[Turn]:
    """The turns of a column, as OpenAI or as ShareGPT writes them."""
    value = row.get(name)
    value = [value] if isinstance(value, Mapping) else value
    first = value[0] if isinstance(value, list) and value else {}
    sharegpt = isinstance(first, Mapping) and "from" in first
    keys = ("from", "value") if sharegpt else ("role", "content")
    if isinstance(row.get(name), Mapping):
        return [
            replace(turn, path=turn.path.replace(f"{name}[0]", name, 1))
            for turn in read_turns(value, name, *keys)
        ]
    return read_turns(value, name, *keys)


_SAID: Final = re.compile(r"(?:\A|\n\n)(Human|Assistant): ?")


def split_speakers(text: str) -> list[Turn]:
    """The turns of a chat written as one text, as HH-RLHF writes it.

    Raises `RowError` for another text.
    """
    pieces = _SAID.split(text)
    speakers = zip(pieces[1::2], pieces[2::2], strict=True)
    turns = [Turn("user" if who == "Human" else "assistant", said) for who, said in speakers]
    if not turns:
        raise RowError("no column 'prompt' or 'conversations' beside 'chosen'; add the prompt")
    return turns


def write_tools(row: Mapping[str, Any]) -> str:
    """The tools that a row offers, as it writes them or as JSON; "" for none."""
    tools = row.get("tools")
    if not tools:
        return ""
    return tools if isinstance(tools, str) else json.dumps(tools, ensure_ascii=False)


def draft_chat(turns: list[Turn], tools: str, *, every: bool = False) -> list[Draft]:
    """A draft of the last assistant turn, or with `every` one of each.

    Raises `RowError` when no assistant turn answers something.
    """
    answers = [i for i, turn in enumerate(turns) if turn.role == "assistant" and i > 0]
    if not answers:
        found = ", ".join(turn.role for turn in turns[:6]) or "no turn"
        raise RowError(f"no assistant turn that answers something; found the roles {found}")
    if every:
        return [_draft_turn(turns[:i], turns[i], tools) for i in answers]
    if answers[-1] < len(turns) - 1:  # the last turn is still to be answered
        return [_draft_turn(turns, Turn("assistant", ""), tools)]
    return [_draft_turn(turns[:-1], turns[-1], tools)]


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
        response_calls=answer.tool_calls,
    )


def _response(turn: Turn) -> Text:
    """The answer's text; a turn that only calls tools answers with its calls, as JSON."""
    if turn.content or not turn.tool_calls:
        return Text(turn.content, turn.path)
    return Text(write_calls(turn.tool_calls), turn.path.rsplit(".", 1)[0] + ".tool_calls")
