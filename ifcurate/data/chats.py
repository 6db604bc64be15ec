"""Conversations: the turns of a row, and the drafts of the turns that are scored."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from ifcurate.data.cells import Draft, Text, read_system
from ifcurate.data.turns import read_turns
from ifcurate.errors import RowError
from ifcurate.records import Turn, write_calls

__all__ = [
    "add_system",
    "draft_chat",
    "join_turns",
    "read_conversation",
    "split_speakers",
    "write_tools",
]


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


def split_speakers(text: str, name: str) -> list[Turn]:
    """The turns of a chat that column `name` has as one text, as HH-RLHF writes it.

    Turn 2 of `chosen` has the path `chosen[2]`, which is no place in the row. Another text,
    which does not begin with `Human:` or has no `Assistant:`, has no turns.
    """
    pieces = _SAID.split(text)
    if pieces[0].strip() or pieces[1:2] != ["Human"] or "Assistant" not in pieces[1::2]:
        return []
    speakers = zip(pieces[1::2], pieces[2::2], strict=True)
    return [
        Turn("user" if who == "Human" else "assistant", said, f"{name}[{i}]")
        for i, (who, said) in enumerate(speakers)
    ]


def add_system(turns: list[Turn], row: Mapping[str, Any]) -> list[Turn]:
    """The turns, after the system message in a column of its own if they have none."""
    system = read_system(row)
    if not system.text or (turns and turns[0].role == "system"):
        return turns
    return [Turn("system", system.text, system.path), *turns]


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


def join_turns(said: list[Turn], turns: list[Turn]) -> tuple[list[Turn], int]:
    """The chosen turns after those before them, and the number of answers that are left out.

    The chosen turns may repeat those before them. An answer at the end of the turns before
    them is the answer to the same question.
    """
    asked = next((turn for turn in turns if turn.role == "user"), None)
    if asked is None:
        n = max((i for i, turn in enumerate(said, 1) if turn.role != "assistant"), default=0)
        n_left_out = sum(bool(turn.content.strip() or turn.tool_calls) for turn in said[n:])
        return [*said[:n], *turns], n_left_out
    same = (
        i for i, turn in enumerate(said) if turn.role == "user" and turn.content == asked.content
    )
    earlier = said[: next(same, len(said))]
    if turns[0].role == "system":
        earlier = [turn for turn in earlier if turn.role != "system"]
    return [*earlier, *turns], 0


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
