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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ifcurate.contexts.find import Explained, find_context
from ifcurate.contexts.learn import LOOKED_AT, learn_shapes
from ifcurate.data.blocks import explain_text, find_blocks, user_texts
from ifcurate.data.row_formats import (
    ANSWERS,
    CONTEXT_KINDS,
    CONTEXTS,
    OUTPUTS,
    QUESTIONS,
    READERS,
    Draft,
    Layout,
)
from ifcurate.errors import DataError, RowError
from ifcurate.records import Example

__all__ = [
    "CONTEXT_KINDS",
    "FORMATS",
    "Layout",
    "Unread",
    "detect_format",
    "explain_texts",
    "learn_layout",
    "parse_row",
    "row_hash",
    "unread_columns",
]

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

    if has("chosen") and has("rejected"):
        return "preference"
    for name in ("messages", "conversations", "conversation"):
        turns = row.get(name)
        if isinstance(turns, list) and turns and isinstance(turns[0], Mapping):
            return "sharegpt" if "from" in turns[0] else "messages"
    if has("prompt") and has("completion", "response"):
        return "prompt_completion"
    if has("instruction") and (has(*OUTPUTS) or isinstance(row.get("instances"), list)):
        return "alpaca"
    if has(*QUESTIONS) and has(*ANSWERS):
        return "qca"
    pairs = (("inputs", "targets"), ("input", "output"), ("input", "target"))
    if any(has(prompt) and has(completion) for prompt, completion in pairs):
        return "prompt_completion"
    return ""


@dataclass(frozen=True, slots=True)
class Unread:
    """Columns of some rows that no example is made of."""

    columns: tuple[str, ...]
    likely_contexts: tuple[str, ...] = ()  # of them, those that look like a context
    read_from: tuple[str, str] = ("", "")  # the columns of the instruction and the response

    @property
    def advice(self) -> list[str]:
        """For each likely context the line to paste."""
        asked, answer = self.read_from
        if not (asked and answer) or "[" in asked + answer:
            return [f"{name} looks like a context" for name in self.likely_contexts]
        return [
            f"{name} looks like a context; to read it: "
            f"--columns instruction={asked},context={name},response={answer}"
            for name in self.likely_contexts
        ]


def unread_columns(rows: Sequence[Mapping[str, Any]], layout: Layout) -> Unread:
    """The columns that are not read, of the rows that have the layout.

    A column looks like a context by its name, or by its length, when most of its values
    have 30 words and more.
    """
    seen: dict[str, None] = {}
    read: set[str] = set()
    texts: dict[str, list[int]] = {}
    found_context, read_from = False, ("", "")
    for row in rows:
        try:
            drafts = READERS[layout.format](row, layout)
        except RowError:
            continue
        seen.update(dict.fromkeys(row))
        for draft in drafts:
            read |= _columns_of(draft)
            read_from = draft.instruction.path, draft.response.path
            found_context = found_context or bool(draft.context.text.strip())
        for name, value in row.items():
            if isinstance(value, str) and value.strip():
                texts.setdefault(name, []).append(len(value.split(None, 30)))
    unread = [str(name) for name in seen if name not in read and name not in _NOT_TEXTS]
    long = [n for n in unread if _mostly_long(texts.get(n, []))]
    likely = [n for n in unread if n.lower() in CONTEXTS or n in long]
    answers = ("rejected", "chosen", "text")  # a second answer; a rendering of the whole row
    likely = [n for n in likely if n not in answers and not found_context]
    return Unread(tuple(unread), tuple(likely), read_from)


def explain_texts(row: Mapping[str, Any], layout: Layout) -> list[tuple[str, str, Explained]]:
    """The place and text of each user message of a row, and what was tried on it.

    Raises `RowError` when the row does not have the layout.
    """
    found = []
    for draft in READERS[layout.format](row, layout):
        for part, text in user_texts(draft):
            found.append((text.path, text.text, explain_text(draft, part, text.text, layout)))
    return found


_NOT_TEXTS: Final = ("id", "uid", "uuid", "prompt_id", "is_impossible")


def _mostly_long(sizes: list[int]) -> bool:
    return bool(sizes) and sum(size > 30 for size in sizes) > len(sizes) / 2


def _columns_of(draft: Draft) -> set[str]:
    """The top-level columns that a draft was made of."""
    parts = (draft.instruction, draft.response, draft.context, draft.system)
    paths = [part.path for part in parts] + [t.path for t in (*draft.history, *draft.trailing)]
    columns = {path.split("[")[0].split(".")[0] for path in paths} | set(paths)
    return columns | ({"tools"} if draft.tools else set())


def learn_layout(rows: Sequence[Mapping[str, Any]], layout: Layout) -> Layout:
    """The layout with the templates that these rows share, where texts carry their context."""
    if "inline" not in layout.context or layout.pattern:
        return layout
    texts: list[str] = []
    for row in rows[:LOOKED_AT]:
        try:
            draft = READERS[layout.format](row, layout)[-1]
        except (RowError, RecursionError, ValueError, IndexError):
            continue
        field = draft.context.text.strip() and "field" in layout.context
        if draft.instruction.text and not draft.history and not field:
            texts.append(draft.instruction.text)
    return replace(layout, shapes=learn_shapes(texts, find_context))


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
        blocks = tuple(find_blocks(draft, layout))
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
                response_calls=draft.response_calls,
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
