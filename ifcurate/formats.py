"""How instruction data is laid out, and how a row becomes examples.

Known layouts: `alpaca` (instruction, input, output), `prompt_completion`,
`messages` (OpenAI style, with system, tool calls and tool results), `sharegpt`
(conversations of from/value), `qca` (question, context, answer), and `columns`,
a mapping given by the user.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from ifcurate.contexts import find_context, find_document, is_no_context
from ifcurate.errors import DataError, RowError
from ifcurate.records import ContextBlock, Example, Role, Turn
from ifcurate.turns import read_turns

__all__ = ["CONTEXT_KINDS", "FORMATS", "Layout", "detect_format", "parse_row", "row_hash"]

FORMATS: Final = ("alpaca", "prompt_completion", "messages", "sharegpt", "qca", "columns")
CONTEXT_KINDS: Final = ("field", "tool", "system", "inline")

_INSTRUCTION: Final = ("instruction",)
_INPUT: Final = ("input", "context")
_OUTPUT: Final = ("output", "response", "answer", "completion")
_ANSWER: Final = ("answer", "answers", "response", "output")


@dataclass(frozen=True, slots=True)
class Layout:
    """How rows are to be read."""

    format: str  # one of FORMATS
    columns: Mapping[str, str] | None = None  # for "columns": our name -> theirs
    turns: Literal["last", "all"] = "last"
    context: tuple[str, ...] = CONTEXT_KINDS  # kinds of context that are looked for
    min_confidence: float = 0.5  # of a rule that finds context inside a text


def row_hash(row: Mapping[str, Any]) -> str:
    """16 hex digits of the row's content, the same for any order of its keys."""
    text = json.dumps(row, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def detect_format(rows: Sequence[Mapping[str, Any]], where: str) -> str:
    """The layout that most of these rows have.

    Raises `DataError` with the columns that were found when none fits.
    """
    votes: dict[str, int] = {}
    for row in rows:
        name = _format_of(row)
        if name:
            votes[name] = votes.get(name, 0) + 1
    if votes:
        return max(votes, key=lambda name: (votes[name], -FORMATS.index(name)))
    keys = sorted({key for row in rows for key in row})
    raise DataError(
        f"{where}: no known layout; found the columns {', '.join(keys) or '(none)'}; "
        "map them: --columns instruction=... context=... response=..."
    )


def _format_of(row: Mapping[str, Any]) -> str:
    def has(*names: str) -> bool:
        return any(name in row for name in names)

    for name in ("messages", "conversations", "conversation"):
        turns = row.get(name)
        if isinstance(turns, list) and turns and isinstance(turns[0], Mapping):
            return "sharegpt" if "from" in turns[0] else "messages"
    if has("prompt") and has("completion", "response"):
        return "prompt_completion"
    if has("instruction") and has(*_OUTPUT):
        return "alpaca"
    if has("question") and has(*_ANSWER):
        return "qca"
    return ""


def parse_row(
    row: Mapping[str, Any], layout: Layout, *, source: str = "", row_number: int = 0
) -> list[Example]:
    """The examples of one row: one, or one for each scored turn of a chat.

    Raises `RowError` with the columns that were found when the row does not fit.
    """
    reader = {
        "alpaca": _alpaca,
        "prompt_completion": _prompt_completion,
        "messages": _messages,
        "sharegpt": _sharegpt,
        "qca": _qca,
        "columns": _columns,
    }[layout.format]
    identity = _row_id(row)
    examples = []
    for turn, draft in enumerate(reader(row, layout)):
        blocks = tuple(_find_blocks(draft, layout))
        examples.append(
            Example(
                id=identity,
                instruction=draft.instruction.text,
                context=draft.context.text,
                response=draft.response.text,
                system=draft.system.text,
                history=draft.history,
                trailing=draft.trailing,
                tools=draft.tools,
                blocks=blocks,
                source=source,
                row_number=row_number,
                turn=turn,
                response_path=draft.response.path,
                row=row,
            )
        )
    for example in examples:
        _refuse_broken_text(example)
    return examples


def _row_id(row: Mapping[str, Any]) -> str:
    for name in ("id", "uid", "uuid", "prompt_id"):
        value = row.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return str(value)
    return row_hash(row)


def _refuse_broken_text(example: Example) -> None:
    """Text that no tokenizer can take, half a surrogate pair, or that is none, a NUL."""
    turns = (*example.history, *example.trailing)
    texts = [example.instruction, example.context, example.response, example.system, example.id]
    texts += [example.tools, example.response_path]
    for turn in turns:
        texts += [turn.content, turn.name]
        if turn.tool_calls:
            texts.append(json.dumps(turn.tool_calls, ensure_ascii=False, default=str))
    for text in texts:
        if "\0" in text:
            raise RowError(_nul(text))
        if text.isascii():
            continue
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise RowError(
                f"half a surrogate pair (\\u{ord(text[error.start]):04x}) at character "
                f"{error.start} of a text; it stands for no character: repair or drop the row"
            ) from error


def _nul(text: str) -> str:
    at = text.index("\0")
    return f"a NUL at character {at} of a text; it stands for nothing: repair or drop the row"


@dataclass(frozen=True, slots=True)
class _Text:
    """A text and where it stands in the row."""

    text: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class _Draft:
    """An example before its context has been looked for."""

    instruction: _Text
    response: _Text
    context: _Text = _Text()
    system: _Text = _Text()
    history: tuple[Turn, ...] = ()
    trailing: tuple[Turn, ...] = ()
    tools: str = ""


def _text(row: Mapping[str, Any], names: Iterable[str], *, required: bool = True) -> _Text:
    """The first of these columns that the row has, as text."""
    names = tuple(names)
    for name in names:
        if name in row:
            value = row[name]
            if isinstance(value, str):
                return _Text(value, name)
            if value is None:
                return _Text("", name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                if isinstance(value, float) and not math.isfinite(value):
                    raise RowError(f"column {name!r}: expected text, found {value}")
                return _Text(str(value), name)
            raise RowError(f"column {name!r}: expected text, found {type(value).__name__}")
    if not required:
        return _Text()
    found = ", ".join(map(str, row)) or "(none)"
    raise RowError(f"no column {' or '.join(map(repr, names))}; found the columns {found}")


def _alpaca(row: Mapping[str, Any], layout: Layout) -> list[_Draft]:
    return [
        _Draft(
            instruction=_text(row, _INSTRUCTION),
            response=_text(row, _OUTPUT),
            context=_text(row, sorted(_INPUT, key=lambda n: not row.get(n)), required=False),
            system=_text(row, ("system",), required=False),
        )
    ]


def _prompt_completion(row: Mapping[str, Any], layout: Layout) -> list[_Draft]:
    prompt, completion = row.get("prompt"), row.get("completion", row.get("response"))
    if isinstance(prompt, list) and isinstance(completion, list):
        name = "completion" if "completion" in row else "response"
        turns = [
            *read_turns(prompt, "prompt", "role", "content"),
            *read_turns(completion, name, "role", "content"),
        ]
        return _chat(turns, layout, _tools(row))
    return [
        _Draft(
            instruction=_text(row, ("prompt",)),
            response=_text(row, ("completion", "response")),
            context=_text(row, ("context",), required=False),
            system=_text(row, ("system",), required=False),
        )
    ]


def _qca(row: Mapping[str, Any], layout: Layout) -> list[_Draft]:
    return [
        _Draft(
            instruction=_text(row, ("question",)),
            response=_first_answer(row, _ANSWER),
            context=_text(row, ("context",), required=False),
        )
    ]


def _first_answer(row: Mapping[str, Any], names: Sequence[str]) -> _Text:
    """The answer, or the first of several (a list, or SQuAD's {"text": [...]})."""
    for name in names:
        value = row.get(name)
        path = name
        if isinstance(value, Mapping) and "text" in value:
            value, path = value["text"], f"{name}.text"
        if isinstance(value, list):
            if not value:
                return _Text("", path)
            value, path = value[0], f"{path}[0]"
            if isinstance(value, Mapping) and isinstance(value.get("text"), str):
                value, path = value["text"], f"{path}.text"
        if isinstance(value, str):
            return _Text(value, path)
        if value is not None:
            raise RowError(f"column {name!r}: expected an answer, found {type(value).__name__}")
    return _text(row, names)


def _columns(row: Mapping[str, Any], layout: Layout) -> list[_Draft]:
    names = layout.columns or {}

    def mapped(name: str) -> _Text:
        return _text(row, (names[name],)) if name in names else _Text()

    return [
        _Draft(
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


def _messages(row: Mapping[str, Any], layout: Layout) -> list[_Draft]:
    name = next((n for n in ("messages", "conversations", "conversation") if n in row), "messages")
    turns = read_turns(row.get(name), name, "role", "content")
    return _chat(turns, layout, _tools(row))


def _sharegpt(row: Mapping[str, Any], layout: Layout) -> list[_Draft]:
    name = next((n for n in ("conversations", "conversation", "messages") if n in row), "")
    turns = read_turns(row.get(name), name or "conversations", "from", "value")
    system = _text(row, ("system",), required=False)
    if system.text and not (turns and turns[0].role == "system"):
        turns.insert(0, Turn("system", system.text, system.path))
    return _chat(turns, layout, _tools(row))


def _chat(turns: list[Turn], layout: Layout, tools: str) -> list[_Draft]:
    """One draft for the last, or for every, assistant turn."""
    answers = [i for i, turn in enumerate(turns) if turn.role == "assistant" and i > 0]
    if not answers:
        found = ", ".join(turn.role for turn in turns[:6]) or "no turn"
        raise RowError(f"no assistant turn that answers something; found the roles {found}")
    chosen = answers if layout.turns == "all" else answers[-1:]
    return [_draft_turn(turns[:i], turns[i], tools) for i in chosen]


def _draft_turn(before: list[Turn], answer: Turn, tools: str) -> _Draft:
    system = _Text()
    if before and before[0].role == "system":
        system = _Text(before[0].content, before[0].path)
        before = before[1:]
    users = [i for i, turn in enumerate(before) if turn.role == "user"]
    at = users[-1] if users else -1
    asked = _Text(before[at].content, before[at].path) if users else _Text()
    return _Draft(
        instruction=asked,
        response=_response(answer),
        system=system,
        history=tuple(before[:at]) if users else (),
        trailing=tuple(before[at + 1 :]) if users else tuple(before),
        tools=tools,
    )


def _response(turn: Turn) -> _Text:
    """The answer's text; a turn that only calls tools answers with its calls, as JSON."""
    if turn.content or not turn.tool_calls:
        return _Text(turn.content, turn.path)
    calls = [call.get("function", call) for call in turn.tool_calls]
    text = "\n".join(json.dumps(call, ensure_ascii=False) for call in calls)
    return _Text(text, turn.path.rsplit(".", 1)[0] + ".tool_calls")


def _find_blocks(draft: _Draft, layout: Layout) -> Iterable[ContextBlock]:
    """Where the context of a draft stands; see `contexts.RULES` for the rules in a text."""
    kinds = layout.context
    field = draft.context
    if "field" in kinds and field.text and not is_no_context(field.text):
        yield _whole("context", field, "field", 1.0)
        return
    if "system" in kinds and draft.system.text:
        for found in find_document(draft.system.text):
            if found.confidence >= layout.min_confidence:
                yield _block("system", draft.system.path, found)
    turns: list[tuple[str, _Text, Role]] = []
    for name, group in (("history", draft.history), ("trailing", draft.trailing)):
        texts = ((f"{name}[{i}]", _Text(t.content, t.path), t.role) for i, t in enumerate(group))
        turns.extend(texts)
        if name == "history":
            turns.append(("instruction", draft.instruction, "user"))
    for part, text, role in turns:
        if role == "tool" and "tool" in kinds and not is_no_context(text.text):
            yield _whole(part, text, "tool-result", 1.0)
        elif role == "user" and "inline" in kinds and text.text:
            for found in find_context(text.text, min_confidence=layout.min_confidence):
                yield _block(part, text.path, found)


def _whole(part: str, text: _Text, rule: str, confidence: float) -> ContextBlock:
    end = len(text.text)
    return ContextBlock(part, text.path, 0, end, 0, end, rule, confidence)


def _block(part: str, path: str, found: Any) -> ContextBlock:
    return ContextBlock(
        part,
        path,
        found.start,
        found.end,
        found.outer_start,
        found.outer_end,
        found.rule,
        found.confidence,
    )
