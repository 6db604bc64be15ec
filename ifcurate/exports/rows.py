"""A row of a mixture as each format writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from ifcurate.mixing.rows import read_record

__all__ = ["UnfitError", "to_alpaca", "to_messages", "to_preference", "to_sharegpt"]

Row = Mapping[str, Any]
_SPEAKERS: Final = {"user": "human", "assistant": "gpt", "tool": "observation"}


class UnfitError(Exception):
    """A row that a format has no place for; the text is the reason."""


def to_messages(row: Row, indicator: str = "") -> dict[str, Any]:
    """`messages` as OpenAI writes them, arguments of tool calls as objects; `tools` if any."""
    messages: list[dict[str, Any]] = []
    for message in row["messages"]:
        found: dict[str, Any] = {"role": message["role"], "content": message["content"]}
        if message["name"]:
            found["name"] = message["name"]
        if message["tool_calls"]:
            found["tool_calls"] = [_call(call) for call in json.loads(message["tool_calls"])]
        messages.append(found)
    _mark(messages, row, indicator)
    result: dict[str, Any] = {"messages": messages}
    if tools := list_tools(row):
        result["tools"] = tools
    return result


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = dict(call.get("function", call))
    if isinstance(function.get("arguments"), str):
        try:
            function["arguments"] = json.loads(function["arguments"])
        except ValueError:
            function["arguments"] = {"arguments": function["arguments"]}
    return {"type": "function", "function": function}


def _mark(messages: list[dict[str, Any]], row: Row, indicator: str) -> None:
    """Put the indicator before the last user message of a context-critical row."""
    if indicator and row["ifcurate_label"] == "context-critical":
        users = [message for message in messages if message["role"] == "user"]
        if not users:
            raise UnfitError("has no user message to mark with the indicator")
        users[-1]["content"] = f"{indicator} {users[-1]['content']}"


def list_tools(row: Row) -> list[Any]:
    """The tools on offer, each wrapped as a function; [] when there are none."""
    try:
        tools = json.loads(row["tools"] or "[]")
    except ValueError as error:
        raise UnfitError("its tools are not JSON") from error
    tools = tools if isinstance(tools, list) else [tools]
    return [
        tool
        if isinstance(tool, dict) and "function" in tool
        else {"type": "function", "function": tool}
        for tool in tools
    ]


def to_sharegpt(row: Row, indicator: str = "") -> dict[str, Any]:
    """`conversations`, `system` and `tools` as LLaMA-Factory reads them.

    Its reader wants turns of asking (human, observation) and answering (gpt, function_call)
    by turns, and skips other rows: they are refused here, with the reason.
    """
    whole = to_messages(row, indicator)
    system, turns = "", []
    for i, message in enumerate(whole["messages"]):
        if message["role"] == "system":
            if i:
                raise UnfitError("has a system message behind the first message")
            system = message["content"]
        elif calls := message.get("tool_calls"):
            if message["content"]:
                raise UnfitError("says something and calls a tool in one message")
            said = [call["function"] for call in calls]
            text = json.dumps(said if len(said) > 1 else said[0], ensure_ascii=False)
            turns.append({"from": "function_call", "value": text})
        else:
            turns.append({"from": _SPEAKERS[message["role"]], "value": message["content"]})
    for i, turn in enumerate(turns):
        if (turn["from"] in ("human", "observation")) != (i % 2 == 0):
            raise UnfitError("does not alternate between asking and answering")
    tools = json.dumps(whole["tools"], ensure_ascii=False) if "tools" in whole else ""
    return {"conversations": turns, "system": system, "tools": tools}


def to_alpaca(row: Row, indicator: str = "") -> dict[str, Any]:
    """`instruction`, `input` and `output`; one question and one answer."""
    text = read_record(row)
    if text.history or text.trailing:
        raise UnfitError("is a conversation of several turns")
    if text.system:
        raise UnfitError("has a system message")
    marked = indicator and row["ifcurate_label"] == "context-critical"
    instruction = f"{indicator} {text.instruction}" if marked else text.instruction
    return {"instruction": instruction, "input": text.context, "output": text.response}


def to_preference(row: Row, indicator: str = "") -> dict[str, Any]:
    """`prompt`, `chosen` and `rejected`, each a list of messages."""
    whole = to_messages(row, indicator)
    *prompt, chosen = whole.pop("messages")
    rejected = json.loads(row["ifcurate_record"])
    rejected = rejected.get("row", rejected).get("rejected")
    if isinstance(rejected, list) and rejected and isinstance(rejected[-1], Mapping):
        rejected = rejected[-1].get("content")
    if not isinstance(rejected, str) or not rejected.strip():
        raise UnfitError("has no rejected response")
    answer = {"role": "assistant", "content": rejected}
    return {"prompt": prompt, "chosen": [chosen], "rejected": [answer], **whole}
