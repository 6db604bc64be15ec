"""A row of a mixture in each format."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from ifcurate.data.turns import WEIGHTS
from ifcurate.mixing.texts import example_exclusions, read_example, read_rejected
from ifcurate.prompts.text_flags import split_end_marker
from ifcurate.records import native_call

#: A row of a mixture; with `rejected` for preferences, and the `indicator` that marks it, if any.
Row = Mapping[str, Any]
#: What a row's record has if it, or one of its turns, may be excluded from training. A chat may be
#: JSON in a text.
WEIGHT: Final = rf'\b({"|".join(WEIGHTS)})\\*"\s*:'
#: The call that a tool result of a row answers.
_RESULT_ID: Final = re.compile(r'"tool_call_id"\s*:\s*"([^"]+)"')
_SPEAKERS: Final = {"user": "human", "assistant": "gpt", "tool": "observation"}


class UnfitError(Exception):
    """A row that does not fit a format; the text is the reason."""


def add_rejected(row: Row) -> Row:
    """Return the row with its rejected response as `rejected`, "" if it has none."""
    record = json.loads(row["ifcurate_record"])
    response = row["messages"][-1]["content"]
    return {**row, "rejected": read_rejected(record.get("row", record), response)}


def add_weights(row: Row) -> Row:
    """Return the row with weight 0 at the answers that its data says not to train on."""
    if not re.search(WEIGHT, row["ifcurate_record"]):
        return row
    example = read_example(row)
    excluded = iter(example_exclusions(example, example.row))
    weighed = [
        {**message, "weight": 0} if message["role"] == "assistant" and next(excluded) else message
        for message in row["messages"]
    ]
    return {**row, "messages": weighed}


def count_trained(row: Row) -> int:
    """Return how many answers of a row are trained on."""
    return sum(m["role"] == "assistant" and "weight" not in m for m in row["messages"])


def remove_end_markers(row: Row) -> tuple[Row, list[str]]:
    """Return the row without end-of-text markers at the end of its responses, and the markers."""
    removed: dict[str, None] = {}

    def remove(text: str) -> str:
        bare, marker = split_end_marker(text)
        if not bare:  # the marker is all that the message says
            return text
        removed.update({marker: None} if marker else {})
        return bare

    messages = [
        {**message, "content": remove(message["content"])}
        if message["role"] == "assistant"
        else message
        for message in row["messages"]
    ]
    return {**row, "messages": messages, "rejected": remove(row.get("rejected", ""))}, list(removed)


def to_messages(row: Row) -> dict[str, Any]:
    """`messages`, arguments of tool calls as objects, as chat templates read them; `tools`."""
    messages: list[dict[str, Any]] = []
    for message in row["messages"]:
        fields: dict[str, Any] = {"role": message["role"], "content": message["content"]}
        if message["name"]:
            fields["name"] = message["name"]
        if "weight" in message:
            fields["weight"] = message["weight"]
        if message["tool_calls"]:
            fields["tool_calls"] = [native_call(call) for call in json.loads(message["tool_calls"])]
        messages.append(fields)
    _mark(messages, row.get("indicator", ""))
    result: dict[str, Any] = {"messages": messages}
    if tools := list_tools(row):
        result["tools"] = tools
    return result


def to_text_calls(row: Row) -> dict[str, Any]:
    """Return `to_messages` with tool calls as OpenAI writes them: arguments as JSON texts, ids.

    Results belong to calls as the row's own ids say, or else in their order.
    """
    whole = to_messages(row)
    messages = whole["messages"]
    calls = [call for message in messages for call in message.get("tool_calls", ())]
    for n, call in enumerate(calls, 1):
        arguments = json.dumps(call["function"].get("arguments", {}), ensure_ascii=False)
        call.update(id=f"call_{n}", function={**call["function"], "arguments": arguments})
    stored = (message["tool_calls"] for message in row["messages"] if message["tool_calls"])
    ids = [call.get("id") for text in stored for call in json.loads(text)]
    named = [ids.index(name) for name in _RESULT_ID.findall(row["ifcurate_record"]) if name in ids]
    results = [message for message in messages if message["role"] == "tool"]
    answered = named if len(named) == len(results) else range(len(calls))
    for message, place in zip(results, answered, strict=False):
        message["tool_call_id"] = calls[place]["id"]
    return whole


def to_openai(row: Row) -> dict[str, Any]:
    """Return `to_text_calls`, for a reader that refuses tool results without the id of a call."""
    whole = to_text_calls(row)
    if any(m["role"] == "tool" and "tool_call_id" not in m for m in whole["messages"]):
        raise UnfitError("has a tool result without a tool call before it")
    return whole


def to_trained_messages(row: Row) -> dict[str, Any]:
    """Return `to_messages`, for a trainer that trains on every answer."""
    whole = to_messages(row)
    if any("weight" in message for message in whole["messages"]):
        raise UnfitError("has an answer with weight 0, which the trainer would train on")
    return whole


def to_last_trained(row: Row) -> dict[str, Any]:
    """Return `to_messages`, for a trainer that trains on the last answer only."""
    prompt, response, whole = split_response(row)
    return {"messages": [*prompt, response], **whole}


def split_response(row: Row) -> tuple[list[Any], Any, dict[str, Any]]:
    """Return the messages of a row before its response, the response, and the rest of the row."""
    whole = to_messages(row)
    *prompt, response = whole.pop("messages")
    if "weight" in response:
        raise UnfitError("has a response with weight 0, which the trainer would train on")
    for message in prompt:
        message.pop("weight", None)
    return prompt, response, whole


def _mark(messages: list[dict[str, Any]], indicator: str) -> None:
    """Put the indicator before the last user message."""
    users = [message for message in messages if message["role"] == "user"]
    if indicator and not users:
        raise UnfitError("has no user message to mark with the indicator")
    if indicator:
        users[-1]["content"] = f"{indicator} {users[-1]['content']}"


def list_tools(row: Row) -> list[Any]:
    """Return the available tools, each wrapped as a function; [] when there are none."""
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


def to_sharegpt(whole: Mapping[str, Any]) -> dict[str, Any]:
    """`conversations`, `system` and `tools` as LLaMA-Factory reads them, from a row's messages.

    Its reader expects questions (human, observation) and answers (gpt, function_call) to
    alternate, and skips other rows. This function refuses those rows with the reason.
    """
    messages, system = whole["messages"], ""
    if messages[0]["role"] == "system":
        system, messages = messages[0]["content"], messages[1:]
    turns = [_sharegpt_turn(message) for message in messages]
    for i, turn in enumerate(turns):
        if (turn["from"] in ("human", "observation")) != (i % 2 == 0):
            raise UnfitError("does not alternate between asking and answering")
    tools = json.dumps(whole["tools"], ensure_ascii=False) if "tools" in whole else ""
    return {"conversations": turns, "system": system, "tools": tools}


def _sharegpt_turn(message: Mapping[str, Any]) -> dict[str, str]:
    if message["role"] == "system":
        raise UnfitError("has a system message after the first message")
    calls = message.get("tool_calls")
    if not calls:
        return {"from": _SPEAKERS[message["role"]], "value": message["content"]}
    if message["content"]:
        raise UnfitError("has text and a tool call in one message")
    functions = [call["function"] for call in calls]
    value = json.dumps(functions if len(functions) > 1 else functions[0], ensure_ascii=False)
    return {"from": "function_call", "value": value}


def to_alpaca(row: Row) -> dict[str, Any]:
    """`instruction`, `input` and `output`; one question and one answer."""
    to_trained_messages(row)
    example = read_example(row)
    if example.history or example.trailing:
        raise UnfitError("is a conversation of several turns")
    if example.system:
        raise UnfitError("has a system message")
    if example.response_calls:
        raise UnfitError("has a tool call as its response")
    mark = f"{row['indicator']} " if row.get("indicator") else ""
    return {
        "instruction": mark + example.instruction,
        "input": example.context,
        "output": row["messages"][-1]["content"],
    }


def to_preference(row: Row) -> dict[str, Any]:
    """`prompt`, `chosen` and `rejected`, each a list of messages; see `add_rejected`."""
    prompt, chosen, whole = split_response(row)
    if not row["rejected"].strip():
        raise UnfitError("has no rejected response")
    if row["rejected"].strip() == chosen["content"].strip():
        raise UnfitError("has the chosen response as its rejected response")
    answer = {"role": "assistant", "content": row["rejected"]}
    return {"prompt": prompt, "chosen": [chosen], "rejected": [answer], **whole}
