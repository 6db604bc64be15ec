"""How instruction data is laid out, and how a row becomes examples.

Known layouts: `alpaca` (instruction, input, output), `prompt_completion`,
`messages` (OpenAI style, with system, tool calls and tool results), `sharegpt`
(conversations of from/value), `preference` (prompt, chosen, rejected; the chosen response
is the response), `qca` (question, context, answer; SQuAD's too, whose
unanswerable questions have an empty response), and `columns`, a mapping given by the
user.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ifcurate.contexts.find import find_context, find_document, is_no_context
from ifcurate.data.row_formats import ANSWERS, CONTEXT_KINDS, OUTPUTS, READERS, Draft, Layout, Text
from ifcurate.errors import DataError, RowError
from ifcurate.records import ContextBlock, Example, Role

__all__ = ["CONTEXT_KINDS", "FORMATS", "Layout", "detect_format", "parse_row", "row_hash"]

FORMATS: Final = (
    "alpaca",
    "prompt_completion",
    "messages",
    "sharegpt",
    "preference",
    "qca",
    "columns",
)


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
        f"{_what_to_do(rows, keys, where)}"
    )


def _what_to_do(rows: Sequence[Mapping[str, Any]], keys: Sequence[str], where: str) -> str:
    """Two mistakes that are often made, else what always helps."""
    for key in keys:
        value = rows[0].get(key)
        if len(rows) == 1 and isinstance(value, list) and value and isinstance(value[0], Mapping):
            return f"do the rows stand under {key!r}? jq -c '.{key}[]' {where} > rows.jsonl"
    if len(keys) == 1 and (sign := next((s for s in ";|\t" if s in keys[0]), "")):
        return (
            f"its cells seem to be separated by {sign!r}; save the table with commas, "
            "or with tabs as .tsv"
        )
    return "map them: --columns instruction=... context=... response=..."


def _format_of(row: Mapping[str, Any]) -> str:
    def has(*names: str) -> bool:
        return any(name in row for name in names)

    for name in ("messages", "conversations", "conversation"):
        turns = row.get(name)
        if isinstance(turns, list) and turns and isinstance(turns[0], Mapping):
            return "sharegpt" if "from" in turns[0] else "messages"
    if has("chosen") and has("rejected"):
        return "preference"
    if has("prompt") and has("completion", "response"):
        return "prompt_completion"
    if has("instruction") and has(*OUTPUTS):
        return "alpaca"
    if has("question") and has(*ANSWERS):
        return "qca"
    return ""


def parse_row(
    row: Mapping[str, Any], layout: Layout, *, source: str = "", row_number: int = 0
) -> list[Example]:
    """The examples of one row: one, or one for each scored turn of a chat.

    Raises `RowError` with the columns that were found when the row does not fit.
    """
    reader = READERS[layout.format]
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


def _find_blocks(draft: Draft, layout: Layout) -> Iterable[ContextBlock]:
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
    turns: list[tuple[str, Text, Role]] = []
    for name, group in (("history", draft.history), ("trailing", draft.trailing)):
        texts = ((f"{name}[{i}]", Text(t.content, t.path), t.role) for i, t in enumerate(group))
        turns.extend(texts)
        if name == "history":
            turns.append(("instruction", draft.instruction, "user"))
    for part, text, role in turns:
        if role == "tool" and "tool" in kinds and not is_no_context(text.text):
            yield _whole(part, text, "tool-result", 1.0)
        elif role == "user" and "inline" in kinds and text.text:
            for found in find_context(text.text, min_confidence=layout.min_confidence):
                yield _block(part, text.path, found)


def _whole(part: str, text: Text, rule: str, confidence: float) -> ContextBlock:
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
