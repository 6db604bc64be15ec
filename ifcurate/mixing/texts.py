"""The texts of a row, as an example: from a row of any format, or from a mixture's row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final, TypeAlias

from ifcurate.data.chats import read_conversation
from ifcurate.data.column_texts import lower_names
from ifcurate.data.parse_rows import draft_example, row_id
from ifcurate.data.row_formats import RowLayout, read_drafts
from ifcurate.data.turns import excluded_answers, split_speakers
from ifcurate.errors import RowError
from ifcurate.records import Example, Turn

#: A message: role, content, name, tool calls in JSON.
Message: TypeAlias = tuple[str, str, str | None, str | None]
#: The fields of an example that its record has.
_STORED: Final = (
    *("instruction", "context", "response", "system", "history", "trailing", "tools"),
    *("response_calls", "row", "response_path"),
)


def as_messages(example: Example) -> list[Message]:
    """Return the messages of an example, the response last."""
    question = "\n\n".join(text for text in (example.instruction, example.context) if text)
    messages: list[Message] = []
    if example.system:
        messages.append(("system", example.system, None, None))
    messages += map(_message, example.history)
    if question or not example.trailing:
        messages.append(("user", question, None, None))
    answer = Turn("assistant", example.response, tool_calls=example.response_calls)
    messages += map(_message, (*example.trailing, answer))
    return messages


def _message(turn: Turn) -> Message:
    if not turn.tool_calls:
        return turn.role, turn.content, turn.name or None, None
    # Some data also writes a call out as text. The message has it once.
    text = "" if turn.content.lstrip().startswith("{") else turn.content
    return turn.role, text, turn.name or None, json.dumps(turn.tool_calls, ensure_ascii=False)


def read_last(value: Mapping[str, Any], layout: RowLayout, **more: Any) -> Example:
    """Return a row's last response as an example. Its context is not looked for.

    `more` are its other fields, such as its id. Raises `RowError` when the row does not fit.
    """
    return draft_example(read_drafts(value, layout)[-1], blocks=(), **more)


def read_example(row: Mapping[str, Any]) -> Example:
    """Return the example of a mixture's row, from the row as it was read. Raises `RowError`."""
    place = {"source": row["ifcurate_source"], "row_number": row["ifcurate_row"]}
    name, _, columns = row["ifcurate_format"].partition(" ")
    value = json.loads(row["ifcurate_record"])
    if name != "example":
        layout = RowLayout(name, json.loads(columns) if columns else None, context=())
        return read_last(value, layout, id=row_id(value), row=value, **place)
    fields = {field: value[field] for field in _STORED if field in value}
    for turns in ("history", "trailing"):
        fields[turns] = tuple(Turn(**turn) for turn in value[turns])
    fields["response_calls"] = tuple(value.get("response_calls", ()))
    return Example(**place, **fields)


def write_record(example: Example) -> str:
    """Return an example as JSON, with the row that it was read from."""
    fields = {name: getattr(example, name) for name in _STORED}
    for turns in ("history", "trailing"):
        fields[turns] = [asdict(turn) for turn in fields[turns]]
    return json.dumps({**fields, "row": dict(example.row)}, ensure_ascii=False, default=str)


def example_exclusions(example: Example, row: Mapping[str, Any]) -> list[bool]:
    """Return for each answer of an example, the response last, whether its row excludes it."""
    turns = (*example.history, *example.trailing)
    return excluded_answers(row, turns, example.response_path)


def read_rejected(row: Mapping[str, Any], response: str) -> str:
    """Return the rejected answer of a row with the response `chosen`; "" if it has none.

    It is the last answer of `rejected`, which may be a whole conversation, as `chosen` may.
    """
    row, _ = lower_names(row)
    value = row.get("rejected")
    if not value or "chosen" not in row:
        return ""
    try:
        if isinstance(value, list | Mapping):
            turns = read_conversation(row, "rejected")
        elif row["chosen"] != response:  # the chosen answer is one of its turns
            turns = split_speakers(str(value), "rejected")
        else:
            turns = []
    except RowError:
        return ""
    if turns:
        return turns[-1].content if turns[-1].role == "assistant" else ""
    return value if isinstance(value, str) else ""


def digest_texts(example: Example, row: Mapping[str, Any]) -> bytes:
    """Return a hash of the texts of a row, 16 bytes; equal where only other fields differ.

    Raises `RowError` for half a surrogate pair, which UTF-8 cannot encode.
    """
    parts = [example.system, example.instruction, example.context, example.response, example.tools]
    answer = [Turn("assistant", "", tool_calls=example.response_calls)] * bool(
        example.response_calls
    )
    for turn in (*example.history, Turn("user", "\0"), *example.trailing, *answer):
        calls = json.dumps(turn.tool_calls, sort_keys=True, default=str) if turn.tool_calls else ""
        parts += (turn.role, turn.content, turn.name, calls)
    rejected = read_rejected(row, example.response)
    parts += [rejected] if rejected else []
    try:
        # The lengths distinguish texts that are the same when joined.
        whole = f"{[*map(len, parts)]}{''.join(parts)}".encode()
    except UnicodeEncodeError as error:
        raise RowError("half a surrogate pair in a text: repair or drop the row") from error
    return hashlib.blake2b(whole, digest_size=16).digest()
