"""The texts of a row: from a row of any format, from an example, or from a mixture's row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from ifcurate.data.chats import read_conversation
from ifcurate.data.column_texts import Draft, lower_names
from ifcurate.data.parse_rows import parse_row
from ifcurate.data.row_formats import RowLayout, read_drafts
from ifcurate.data.turns import excluded_answers, split_speakers
from ifcurate.errors import RowError
from ifcurate.records import Example, Turn


@dataclass(frozen=True, slots=True)
class RowText:
    """The texts of an `Example`, without its metadata."""

    instruction: str
    context: str
    response: str
    system: str = ""
    history: tuple[Turn, ...] = ()
    trailing: tuple[Turn, ...] = ()
    tools: str = ""
    rejected: str = ""  # the rejected answer of a preference row
    response_calls: tuple[Mapping[str, Any], ...] = ()  # tool calls of the response

    def as_messages(self) -> list[tuple[str, str, str | None, str | None]]:
        """(role, content, name, tool_calls) of each message, the response last."""
        question = "\n\n".join(text for text in (self.instruction, self.context) if text)
        messages: list[tuple[str, str, str | None, str | None]] = []
        if self.system:
            messages.append(("system", self.system, None, None))
        messages += map(_message, self.history)
        if question or not self.trailing:
            messages.append(("user", question, None, None))
        answer = Turn("assistant", self.response, tool_calls=self.response_calls)
        messages += map(_message, (*self.trailing, answer))
        return messages


_SHARED: Final = [field.name for field in fields(RowText) if field.name != "rejected"]


def _message(turn: Turn) -> tuple[str, str, str | None, str | None]:
    if not turn.tool_calls:
        return turn.role, turn.content, turn.name or None, None
    # Some data also writes a call out as text. The message has it once.
    text = "" if turn.content.lstrip().startswith("{") else turn.content
    return turn.role, text, turn.name or None, json.dumps(turn.tool_calls, ensure_ascii=False)


def read_draft(row: Mapping[str, Any], layout: RowLayout) -> tuple[RowText, list[bool]]:
    """Return the texts of a row's last response, and for each answer whether it is excluded.

    Raises `RowError` when the row does not fit.
    """
    draft = read_drafts(row, layout)[-1]
    return _draft_text(draft, row), excluded_answers(row, draft.turns, draft.response.path)


def read_record(row: Mapping[str, Any]) -> RowText:
    """Return the texts of a mixture's row, from the row as it was read. Raises `RowError`."""
    value, layout = _stored(row)
    if layout.format != "example":
        return read_draft(value, layout)[0]
    for name in ("history", "trailing"):
        value[name] = tuple(Turn(**turn) for turn in value[name])
    value["response_calls"] = tuple(value.get("response_calls", ()))
    for name in ("row", "response_path"):
        value.pop(name, None)
    return RowText(**value)


def read_example(row: Mapping[str, Any]) -> Example:
    """Return the example of a mixture's row, as its data is read. Raises `RowError`."""
    place = {"source": row["ifcurate_source"], "row_number": row["ifcurate_row"]}
    value, layout = _stored(row)
    if layout.format != "example":
        return parse_row(value, layout, **place)[-1]
    text = read_record(row)
    texts = {name: getattr(text, name) for name in _SHARED}
    read = {name: value[name] for name in ("row", "response_path") if name in value}
    return Example(**place, **texts, **read)


def _stored(row: Mapping[str, Any]) -> tuple[dict[str, Any], RowLayout]:
    """Return a mixture's row as it was read, and its layout."""
    name, _, columns = row["ifcurate_format"].partition(" ")
    layout = RowLayout(name, json.loads(columns) if columns else None, context=())
    return json.loads(row["ifcurate_record"]), layout


def example_record(example: Example) -> str:
    """Return an example as JSON, with the row that it was read from."""
    text = asdict(example_text(example))
    read = {"row": dict(example.row), "response_path": example.response_path}
    return json.dumps({**text, **read}, ensure_ascii=False, default=str)


def _draft_text(draft: Draft, row: Mapping[str, Any]) -> RowText:
    asked = (draft.instruction.text, draft.context.text, draft.response.text, draft.system.text)
    turns = (draft.history, draft.trailing, draft.tools)
    rejected = read_rejected(row, draft.response.text)
    return RowText(*asked, *turns, rejected, draft.response_calls)


def example_text(example: Example) -> RowText:
    """Return the texts of an example."""
    texts = {name: getattr(example, name) for name in _SHARED}
    return RowText(**texts, rejected=read_rejected(example.row, example.response))


def example_exclusions(example: Example) -> list[bool]:
    """Return for each answer of an example, the response last, whether its row excludes it."""
    turns = (*example.history, *example.trailing)
    return excluded_answers(example.row, turns, example.response_path)


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


def digest_texts(text: RowText) -> bytes:
    """Return a hash of the texts, 16 bytes; equal for rows that differ only in other fields.

    Raises `RowError` for half a surrogate pair, which UTF-8 cannot encode.
    """
    parts = [text.system, text.instruction, text.context, text.response, text.tools]
    answer = [Turn("assistant", "", tool_calls=text.response_calls)] * bool(text.response_calls)
    for turn in (*text.history, Turn("user", "\0"), *text.trailing, *answer):
        calls = json.dumps(turn.tool_calls, sort_keys=True, default=str) if turn.tool_calls else ""
        parts += (turn.role, turn.content, turn.name, calls)
    parts += [text.rejected] if text.rejected else []
    try:
        # The lengths distinguish texts that are the same when joined.
        whole = f"{[*map(len, parts)]}{''.join(parts)}".encode()
    except UnicodeEncodeError as error:
        raise RowError("half a surrogate pair in a text: repair or drop the row") from error
    return hashlib.blake2b(whole, digest_size=16).digest()
