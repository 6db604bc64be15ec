"""Conversations: the turns of a row, and the drafts of the turns that are scored."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from ifcurate.data.column_texts import Draft, Text, read_system
from ifcurate.data.paths import read_path
from ifcurate.data.turns import is_pair, parse_list, read_turns, split_chat
from ifcurate.errors import RowError
from ifcurate.records import Turn, write_calls


def read_conversation(row: Mapping[str, Any], name: str) -> list[Turn]:
    """Return the turns of a column or path, which has them as a list or as one text."""
    value = read_path(row, name)[1]
    turns = split_chat(value, name) if isinstance(value, str) else []
    return turns or read_turns(value, name)


def _add_system(turns: list[Turn], row: Mapping[str, Any]) -> list[Turn]:
    """Return the turns, preceded by the system message of a separate column if they have none."""
    system = read_system(row)
    if not system.text or (turns and turns[0].role == "system"):
        return turns
    return [Turn("system", system.text, system.path), *turns]


def write_tools(row: Mapping[str, Any]) -> str:
    """Return the tools that a row offers, as text or as JSON; "" if there are none."""
    tools = row.get("tools") or row.get("functions") or read_path(row, "input.tools")[1]
    if not tools:
        return ""
    return tools if isinstance(tools, str) else json.dumps(tools, ensure_ascii=False)


def has_tools(row: Mapping[str, Any]) -> bool:
    """Return whether the row lists tools, as objects or as JSON."""
    tools = parse_list(row.get("tools") or row.get("functions"))
    return isinstance(tools, list) and bool(tools) and all(isinstance(t, Mapping) for t in tools)


def add_history(draft: Draft, row: Mapping[str, Any]) -> Draft:
    """Return the draft after the turns or pairs in the column `history`."""
    before = row["history"]
    if draft.history or not before or "[" in draft.instruction.path:  # a chat has one already
        return draft
    if not is_chat(before, "history") and not all(map(is_pair, before)):
        return draft
    return replace(draft, history=tuple(read_conversation(row, "history")))


#: Columns that may hold turns, as a list or as one text. The first three hold only turns.
CHATS: Final = (
    *("messages", "conversations", "conversation", "dialog", "turns", "data", "thread", "items"),
    *("dialogue", "contents", "chat", "text"),
)
_OF_TEXTS: Final = CHATS[:6]  # a list of texts in one of these is a chat


def find_chat(row: Mapping[str, Any]) -> str:
    """Return the column that holds a chat, as turns or as one text; "" if none does."""
    names = (name for name in CHATS if name != "data" or len(row) > 1)
    found = next((name for name in names if is_chat(row.get(name), name)), "")
    root = row.get("prompt")
    return found or "prompt" * (isinstance(root, Mapping) and isinstance(root.get("replies"), list))


def read_thread(root: Mapping[str, Any], path: str) -> list[Turn]:
    """Return the turns of a tree of messages.

    Of the replies to each, the one with the best rank is taken.
    """
    turns: list[Turn] = []
    node: Any = root
    while isinstance(node, Mapping):
        turns += read_turns(node, path)
        replies = list(node.get("replies") or ())
        ranks = [(_rank(reply), i) for i, reply in enumerate(replies)]
        at = min(ranks, default=(0, -1))[1]
        node, path = (replies[at] if replies else None), f"{path}.replies[{at}]"
    n = max((i for i, turn in enumerate(turns, 1) if turn.role == "assistant"), default=len(turns))
    return turns[:n]  # without the questions after the last answer


def _rank(reply: Any) -> float:
    rank = reply.get("rank") if isinstance(reply, Mapping) else None
    return rank if isinstance(rank, int) else math.inf


def is_chat(value: Any, name: str, *, sure: bool = True) -> bool:
    """Return whether a column of this name holds a chat.

    Without `sure`, any list of objects is a chat.
    """
    value = parse_list(value)
    if isinstance(value, str):
        return sure and bool(split_chat(value, name))
    if not isinstance(value, list) or not value:
        return False
    if isinstance(value[0], str):
        return len(value) > 1 and name in _OF_TEXTS and all(isinstance(t, str) for t in value)
    return isinstance(value[0], Mapping) and bool(not sure or {"role", "from"} & value[0].keys())


def draft_chat(turns: list[Turn], row: Mapping[str, Any], *, every: bool = False) -> list[Draft]:
    """Return a draft of the last assistant turn, or with `every` one of each.

    They have the system message and the tools of the row. Raises `RowError` when no assistant turn
    follows another turn.
    """
    turns, tools = _add_system(turns, row), write_tools(row)
    answers = [i for i, turn in enumerate(turns) if turn.role == "assistant" and i > 0]
    if not answers:
        found = ", ".join(turn.role for turn in turns[:6]) or "no turn"
        raise RowError(f"no assistant turn after another turn; found the roles {found}")
    if not every and answers[-1] < len(turns) - 1:  # the last turn has no answer yet
        turns = [*turns, Turn("assistant", "")]
    return [_draft_turn(turns[:i], turns[i], tools) for i in (answers if every else [-1])]


def join_turns(said: list[Turn], turns: list[Turn]) -> tuple[list[Turn], int]:
    """Return the chosen turns after those before them, and the number of answers that are left out.

    The chosen turns may repeat the turns before them. If the turns before them end in an answer, it
    answers the same question as the chosen one and is left out.
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
    at = max((i for i, turn in enumerate(before) if turn.role == "user"), default=-1)
    return Draft(
        instruction=Text(before[at].content, before[at].path) if at >= 0 else Text(),
        response=_response(answer),
        system=system,
        history=tuple(before[: max(at, 0)]),
        trailing=tuple(before[at + 1 :]),
        tools=tools,
        response_calls=answer.tool_calls,
    )


def _response(turn: Turn) -> Text:
    """Return the answer's text; a turn that only calls tools answers with its calls, as JSON."""
    if turn.content or not turn.tool_calls:
        return Text(turn.content, turn.path)
    return Text(write_calls(turn.tool_calls), turn.path.rsplit(".", 1)[0] + ".tool_calls")
