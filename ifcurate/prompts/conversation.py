"""An example as messages for a chat template."""

from __future__ import annotations

import json
from typing import Any

from ifcurate.records import Example, Turn, native_call, write_calls


def turn_text(turn: Turn) -> str:
    """Return the text of a turn, or its tool calls as JSON lines if it has only these."""
    if turn.content or not turn.tool_calls:
        return turn.content
    return write_calls(turn.tool_calls)


def list_tools(example: Example) -> Any:
    """Return the tools as a list, as chat templates take them; None when there are none."""
    try:
        tools = json.loads(example.tools)
    except ValueError:
        return None
    if not isinstance(tools, list) or not tools:
        return None
    # Some data has bare functions, and chat templates expect them wrapped.
    return [
        {"type": "function", "function": tool}
        if isinstance(tool, dict) and "function" not in tool
        else tool
        for tool in tools
    ]


def to_messages(
    example: Example, folds: frozenset[str], response: str | None
) -> list[dict[str, Any]]:
    """Return the example as chat messages. The last one is the assistant's, with `response`.

    If `response` is None, the last message is the example's response with its tool calls.
    The template does not support the roles in `folds`: "system" and "tool" messages become
    user messages, and neighbouring messages of one role are joined.
    """
    prompt = "\n\n".join(text for text in (example.instruction, example.context) if text)
    turns = [*example.history, Turn("user", prompt), *example.trailing]
    if example.system:
        turns.insert(0, Turn("system", example.system))
    if response is None:
        turns.append(Turn("assistant", example.response, tool_calls=example.response_calls))
    else:
        turns.append(Turn("assistant", response))
    messages = [_message(turn, folds) for turn in turns]
    return _merge_repeated(messages) if folds else messages


def _message(turn: Turn, folds: frozenset[str]) -> dict[str, Any]:
    if turn.role in folds:
        return {"role": "user", "content": turn.content}
    if not turn.tool_calls or "tool" in folds:
        message = {"role": turn.role, "content": turn_text(turn)}
        if turn.name and turn.role == "tool":
            message["name"] = turn.name
        return message
    # Some data repeats the call as text, which is left out.
    calls = [{**call, **native_call(call)} for call in turn.tool_calls]
    content = "" if turn.content.lstrip().startswith("{") else turn.content
    return {"role": "assistant", "content": content, "tool_calls": calls}


def _merge_repeated(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join neighbouring messages of one role, because some templates refuse them."""
    merged: list[dict[str, Any]] = []
    for message in messages:
        last = merged[-1] if merged else {}
        calls = last.get("tool_calls") or message.get("tool_calls")
        if not calls and last.get("role") == message["role"]:
            joined = [m["content"] for m in (last, message) if m["content"]]
            merged[-1] = {**last, "content": "\n\n".join(joined)}
        else:
            merged.append(message)
    return merged
