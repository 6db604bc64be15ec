"""The formats of rows, and how a row becomes examples.

The formats are `alpaca` (instruction, input, output), `prompt_completion`, `messages` (OpenAI
style, with system, tool calls and tool results), `sharegpt` (conversations of from/value),
`preference` (prompt, chosen, rejected; the chosen response is the response), `qca` (question,
context, answer; SQuAD's too, whose unanswerable questions have an empty response), and
`columns`, the user's own mapping. A `Layout` is a format with the options of reading.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from ifcurate.contexts.asking import asks
from ifcurate.contexts.find import (
    ContextSpan,
    Explained,
    Tried,
    explain_context,
    find_document,
    is_no_context,
)
from ifcurate.contexts.words import add_languages
from ifcurate.data.cells import ANSWERS, CONTEXTS, OUTPUTS, QUESTIONS, Draft, Text
from ifcurate.data.chats import CHATS, find_chat, is_chat
from ifcurate.data.columns import lower_names
from ifcurate.data.row_formats import CONTEXT_KINDS, READERS, Layout
from ifcurate.data.turns import parse_list
from ifcurate.errors import DataError, RowError
from ifcurate.options.data import FORMATS
from ifcurate.records import ContextBlock, Example, Role, Turn

__all__ = [
    "CONTEXT_KINDS",
    "FORMATS",
    "Layout",
    "detect_format",
    "explain_texts",
    "parse_row",
    "row_hash",
    "row_id",
    "template_texts",
]


def row_hash(row: Mapping[str, Any]) -> str:
    """A hash of the row's content, 16 hex digits; the order of keys does not matter."""
    text = json.dumps(row, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def detect_format(rows: Sequence[Mapping[str, Any]], where: str) -> str:
    """The format that most of these rows have.

    Raises `DataError` with the columns that were found when no format fits.
    """
    if votes := Counter(name for row in rows if (name := _format_of(row))):
        return max(votes, key=lambda name: (votes[name], -FORMATS.index(name)))
    keys = sorted({key for row in rows for key in row})
    raise DataError(
        f"{where}: no known format of rows; found the columns {', '.join(keys) or '(none)'}; "
        f"{_what_to_do(rows, keys, where)}"
    )


def _what_to_do(rows: Sequence[Mapping[str, Any]], keys: Sequence[str], where: str) -> str:
    """The advice for two frequent mistakes, or the general one."""
    if len(rows) == 1 and (advice := _unwrap(rows[0], keys, where)):
        return advice
    if "parent_id" in keys:
        return "each row is one message; join the messages of a conversation to a list `messages`"
    if written := [key for key in keys if _is_object(rows[0].get(key))]:
        return (
            f"{written[0]} has Python objects that were written as text; save the data as JSON "
            "lines or Parquet, not as CSV"
        )
    if len(keys) == 1 and (sign := next((s for s in ";|\t" if s in keys[0]), "")):
        return (
            f"its cells seem to be separated by {sign!r}; save the table with commas, "
            "or with tabs as .tsv"
        )
    guesses = " ".join(_guess_columns(keys))
    if guesses.startswith("instruction=...") and guesses.count("...") == 1:
        return (
            "none of them looks like an instruction; add a column `instruction` that says what to "
            f"do, then map them: --columns {guesses.replace('...', 'instruction')}"
        )
    return f"map them: --columns {guesses}"


def _is_object(value: Any) -> bool:
    return isinstance(value, str) and bool(_OBJECTS.match(value))


def _unwrap(row: Mapping[str, Any], keys: Sequence[str], where: str) -> str:
    """The advice for a file that is one object around its rows; "" for another."""
    named = (key for key in keys if _REJECTED.isdisjoint(re.split(r"[^a-z]+", key.lower())))
    if inside := [key for key in named if _has_rows(row[key])]:
        names = " and ".join(map(repr, inside))
        quoted = [key if key.isidentifier() else json.dumps(key) for key in inside]
        parts = shlex.quote(", ".join(f".{key}[]" for key in quoted))
        return f"are the rows in {names}? jq -c {parts} {where} > rows.jsonl"
    if keys and all(isinstance(row[key], Mapping) for key in keys):
        return f"are its values the rows? jq -c '.[]' {where} > rows.jsonl"
    return ""


def _has_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)


def _guess_columns(keys: Sequence[str]) -> Iterator[str]:
    """The mapping to these columns, by the words of their names; "..." where none fits."""
    left = {key: re.split(r"[^a-z]+", key.lower()) for key in keys}
    for name, words in _GUESSES.items():
        fitting = (
            (key.lower() != w, words.index(w), key)
            for key, ws in left.items()
            if _REJECTED.isdisjoint(ws)
            for w in ws
            if w in words
        )
        column = min(fitting, default=(True, 0, "..."))[2]
        left.pop(column, None)
        yield shlex.quote(f"{name}={column}")


_OBJECTS: Final = re.compile(r"\[?\{'\w+': ")
_REJECTED: Final = frozenset(("rejected", "non", "incorrect", "wrong", "negative"))
#: What a column of an unknown format may be, by the words of its name; the likeliest first.
_GUESSES: Final = {
    "instruction": ("instruction", "question", "query", "prompt", "task", "request", "input"),
    "context": ("doc", "docs", "knowledge", *CONTEXTS),
    "response": (
        "chosen",
        "preferred",
        *ANSWERS,
        "completions",
        "target",
        "targets",
        "reply",
        "gold",
        "label",
        "summary",
        "highlights",
    ),
}


#: A row with one of the first columns and one of the second has the format; the first match counts.
_COLUMNS_OF: Final[tuple[tuple[str, Sequence[str], Sequence[str]], ...]] = (
    ("prompt_completion", ("prompt",), ("completion", "response", "answers")),
    ("alpaca", ("instruction",), (*OUTPUTS, "instances")),
    ("qca", QUESTIONS, ANSWERS),
    ("qca", ("questions",), ("answers", "orig_answers")),
    ("prompt_completion", ("inputs",), ("targets",)),
    ("prompt_completion", ("input",), ("output", "target")),
)


def _format_of(written: Mapping[str, Any]) -> str:
    row, _ = lower_names(written)
    if "chosen" in row and "rejected" in row:
        return "preference"
    for name in CHATS[:3]:
        if is_chat(row.get(name), name, sure=False):
            return _chat_format_of(row, name)
    columns = set(row)
    if not isinstance(row.get("instances"), list):
        columns.discard("instances")
    for name, asked, answers in _COLUMNS_OF:
        if not columns.isdisjoint(asked) and not columns.isdisjoint(answers):
            return name
    return _chat_format_of(row, find_chat(row))


def _chat_format_of(row: Mapping[str, Any], name: str) -> str:
    """The format of a row that has a chat in this column; "" without a column."""
    turns = parse_list(row.get(name))
    if isinstance(turns, list) and isinstance(turns[0], Mapping) and "from" in turns[0]:
        return "sharegpt"
    return "messages" if name else ""


def parse_row(
    row: Mapping[str, Any], layout: Layout, *, source: str = "", row_number: int = 0
) -> list[Example]:
    """The examples of one row: one, or one for each scored turn of a chat.

    Raises `RowError` with the columns that were found when the row has another format.
    """
    reader = READERS[layout.format]
    identity = row_id(row)
    examples = []
    for turn, draft in enumerate(reader(row, layout)):
        with add_languages(layout.added):
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
                response_calls=draft.response_calls,
                row=row,
            )
        )
    for example in examples:
        _refuse_broken_text(example)
    return examples


def row_id(row: Mapping[str, Any]) -> str:
    """The row's own id, or the hash of its content."""
    for name in ("id", "uid", "uuid", "prompt_id"):
        value = row.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return str(value)
    return row_hash(row)


def _refuse_broken_text(example: Example) -> None:
    """Raise `RowError` for half a surrogate pair, which no tokenizer takes, or a NUL."""
    turns = (*example.history, *example.trailing)
    texts = [example.instruction, example.context, example.response, example.system, example.id]
    texts += [example.tools, example.response_path]
    for turn in turns:
        texts += [turn.content, turn.name]
        if turn.tool_calls:
            texts.append(json.dumps(turn.tool_calls, ensure_ascii=False, default=str))
    for text in texts:
        if "\0" in text:
            raise RowError(
                f"a NUL at character {text.index(chr(0))} of a text; it is not a character: "
                "repair or drop the row"
            )
        if text.isascii():
            continue
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise RowError(
                f"half a surrogate pair (\\u{ord(text[error.start]):04x}) at character "
                f"{error.start} of a text; it is not a character: repair or drop the row"
            ) from error


# --------------------------------------------------------------- the context of a row
def explain_texts(row: Mapping[str, Any], layout: Layout) -> list[tuple[str, str, Explained]]:
    """The place and text of each user message of a row, and the rules that were tried on it.

    Raises `RowError` when the row has another format.
    """
    with add_languages(layout.added):
        return [
            (text.path, text.text, _explain_text(draft, part, text.text, layout))
            for draft in READERS[layout.format](row, layout)
            for part, text in _user_texts(draft)
        ]


def template_texts(rows: Sequence[Mapping[str, Any]], layout: Layout) -> list[tuple[str, str]]:
    """The instructions of these rows from which templates are learned, and their responses.

    Rows with a history or with a context field are left out. The list is empty when contexts
    inside a text are not looked for, or when a pattern of the user finds them.
    """
    if "inline" not in layout.context or layout.pattern:
        return []
    texts: list[tuple[str, str]] = []
    for row in rows:
        try:
            draft = READERS[layout.format](row, layout)[-1]
        except (RowError, RecursionError, ValueError, IndexError):
            continue
        field = draft.context.text.strip() and "field" in layout.context
        if draft.instruction.text and not draft.history and not field:
            texts.append((draft.instruction.text, draft.response.text))
    return texts


def _find_blocks(draft: Draft, layout: Layout) -> Iterator[ContextBlock]:
    """The context of a draft; see `ifcurate.contexts.rules` for the rules in a text.

    The context of earlier turns counts only when the last user message asks for something.
    "Thanks!" after a tool result does not need its context.
    """
    kinds = layout.context
    field = draft.context
    if "field" in kinds and field.text and not is_no_context(field.text):
        yield _whole("context", field, "field", 1.0)
        return
    if "system" in kinds and draft.system.text:
        for document in find_document(draft.system.text):
            if document.confidence >= layout.min_confidence:
                yield _block("system", draft.system.path, document)
    in_use = not draft.history or not draft.instruction.text or asks(draft.instruction.text)
    for part, text, role in _texts(draft):
        if in_use or not part.startswith("history"):
            yield from _turn_blocks(draft, part, text, role, layout)


def _turn_blocks(
    draft: Draft, part: str, text: Text, role: Role, layout: Layout
) -> Iterator[ContextBlock]:
    """The context of one turn: a tool's result, or the contexts in a user's text."""
    if role == "tool" and "tool" in layout.context and not is_no_context(text.text):
        yield _whole(part, text, "tool-result", 1.0)
    elif role == "user" and "inline" in layout.context and text.text:
        for context in _explain_text(draft, part, text.text, layout).spans:
            yield _block(part, text.path, context)


def _texts(draft: Draft) -> Iterator[tuple[str, Text, Role]]:
    """The turns before the response in their order, each with its part name, text and role."""
    yield from _group("history", draft.history)
    yield "instruction", draft.instruction, "user"
    yield from _group("trailing", draft.trailing)


def _group(name: str, turns: Iterable[Turn]) -> Iterator[tuple[str, Text, Role]]:
    for i, turn in enumerate(turns):
        yield f"{name}[{i}]", Text(turn.content, turn.path), turn.role


def _user_texts(draft: Draft) -> list[tuple[str, Text]]:
    """The user messages of a draft that are searched, with the name of each part."""
    return [(part, text) for part, text, role in _texts(draft) if role == "user" and text.text]


def _explain_text(draft: Draft, part: str, text: str, layout: Layout) -> Explained:
    """The contexts found in one text of a draft, and every rule that was tried."""
    if layout.pattern:
        return _by_pattern(text, layout.pattern)
    elsewhere = part != "instruction" or (bool(draft.system.text) and asks(draft.system.text))
    return explain_context(
        text,
        min_confidence=layout.min_confidence,
        must_ask=not elsewhere,
        shapes=layout.shapes if part == "instruction" and not draft.history else (),
    )


@functools.lru_cache(maxsize=16)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _by_pattern(text: str, pattern: str) -> Explained:
    """The groups `context`, `context2`, ... of the user's pattern, with `cut` around them."""
    match = _compiled(pattern).search(text)
    if match is None:
        return Explained((), (Tried(("regex",), "the pattern does not match"),))
    names = [name for name in match.re.groupindex if name.startswith("context") and match[name]]
    cut = match.span("cut") if "cut" in match.re.groupindex and match["cut"] else None
    contexts = []
    for name in names:
        start, end = match.span(name)
        outer = cut if cut and len(names) == 1 else (start, end)
        if text[start:end].strip():
            contexts.append(ContextSpan(start, end, *outer, "regex", 1.0))
    contexts.sort(key=lambda context: context.start)
    outcome = "taken" if contexts else "its groups are empty"
    return Explained(tuple(contexts), (Tried(("regex",), outcome, tuple(contexts)),))


def _whole(part: str, text: Text, rule: str, confidence: float) -> ContextBlock:
    end = len(text.text)
    return ContextBlock(part, text.path, 0, end, 0, end, rule, confidence)


def _block(part: str, path: str, f: ContextSpan) -> ContextBlock:
    outer = f.outer_start, f.outer_end
    return ContextBlock(part, path, f.start, f.end, *outer, f.rule, f.confidence)
