"""The formats of rows, and how a row becomes examples.

The formats are `alpaca` (instruction, input, output), `prompt_completion`, `messages` (OpenAI
style, with system, tool calls and tool results), `sharegpt` (conversations of from/value),
`preference` (prompt, chosen, rejected; the chosen response is the response), `qca` (question,
context, answer; SQuAD's too, whose unanswerable questions have an empty response), and
`columns`, the user's own mapping. A `RowLayout` is a format with the options of reading.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ifcurate.contexts.asking import asks
from ifcurate.contexts.find import Explained, Tried, explain_context, find_document
from ifcurate.contexts.spans import ContextSpan, says_no_input
from ifcurate.contexts.words import add_languages
from ifcurate.data.column_texts import Draft
from ifcurate.data.readers.files import RawRow
from ifcurate.data.row_formats import RowLayout, read_drafts
from ifcurate.errors import RowError
from ifcurate.records import ContextBlock, Example, Turn

_NO_CHARACTER: Final = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ReadRow:
    """One row of the data, with its examples. Its `error` says why it has none."""

    raw: RawRow
    examples: tuple[Example, ...] = ()

    @property
    def bad(self) -> RawRow | None:
        """The row if it cannot be used."""
        return self.raw if self.raw.error else None


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one chunk that are in memory together: all, unless they are large."""

    number: int  # number of the chunk
    rows: list[ReadRow]
    ends: bool = True  # the chunk has no further piece

    @property
    def examples(self) -> list[Example]:
        """The examples of all its rows."""
        return [example for row in self.rows for example in row.examples]

    @property
    def bad(self) -> list[RawRow]:
        """The rows that cannot be used."""
        return [row.raw for row in self.rows if row.raw.error]


def row_hash(row: Mapping[str, Any]) -> str:
    """Return a hash of the row's content, 16 hex digits; the order of keys does not matter."""
    text = json.dumps(row, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def parse_row(
    row: Mapping[str, Any], layout: RowLayout, *, source: str = "", row_number: int = 0
) -> list[Example]:
    """Return the examples of one row: one, or one for each scored turn of a chat.

    Raises `RowError` with the columns that were found when the row has another format.
    """
    identity = row_id(row)
    examples = []
    for turn, draft in enumerate(read_drafts(row, layout)):
        with add_languages(layout.added):
            blocks = tuple(_find_blocks(draft, layout))
        place = {"source": source, "row_number": row_number, "turn": turn}
        examples.append(draft_example(draft, id=identity, blocks=blocks, row=row, **place))
    for example in examples:
        _refuse_broken_text(example)
    return examples


def draft_example(draft: Draft, **more: Any) -> Example:
    """Return the example of a draft; `more` are its other fields, such as its blocks."""
    return Example(
        instruction=draft.instruction.text,
        context=draft.context.text,
        response=draft.response.text,
        system=draft.system.text,
        history=draft.history,
        trailing=draft.trailing,
        tools=draft.tools,
        response_path=draft.response.path,
        response_calls=draft.response_calls,
        **more,
    )


def row_id(row: Mapping[str, Any]) -> str:
    """Return the row's own id, or the hash of its content."""
    for name in ("id", "uid", "uuid", "prompt_id"):
        value = row.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return str(value)
    return row_hash(row)


def _refuse_broken_text(example: Example) -> None:
    """Raise `RowError` for half a surrogate pair, which no tokenizer accepts, or a NUL."""
    texts = [example.instruction, example.context, example.response, example.system, example.id]
    texts += [example.tools, example.response_path]
    for turn in (*example.history, *example.trailing):
        texts += [turn.content, turn.name]
        if turn.tool_calls:
            texts.append(json.dumps(turn.tool_calls, ensure_ascii=False, default=str))
    for text in texts:
        quick = text.isascii() and "\0" not in text
        if found := None if quick else _NO_CHARACTER.search(text):
            code = ord(found[0])
            what = f"half a surrogate pair (\\u{code:04x})" if code else "a NUL"
            raise RowError(
                f"{what} at character {found.start()} of a text; it is not a character: "
                "repair or drop the row"
            )


# --------------------------------------------------------------- the context of a row
def explain_texts(row: Mapping[str, Any], layout: RowLayout) -> list[tuple[str, str, Explained]]:
    """Return the place and text of each user message of a row, and what was tried on it.

    Raises `RowError` when the row has another format.
    """
    with add_languages(layout.added):
        return [
            (turn.path, turn.content, _explain_text(draft, part, turn.content, layout))
            for draft in read_drafts(row, layout)
            for part, turn in _turns(draft)
            if turn.role == "user" and turn.content
        ]


def template_texts(rows: Sequence[Mapping[str, Any]], layout: RowLayout) -> list[tuple[str, str]]:
    """Return the instructions of these rows from which templates are learned, and their responses.

    Rows with a history or with a context field are left out. The list is empty when contexts
    inside a text are not looked for, or when a pattern of the user finds them.
    """
    if "inline" not in layout.context or layout.pattern:
        return []
    texts: list[tuple[str, str]] = []
    for row in rows:
        try:
            draft = read_drafts(row, layout)[-1]
        except (RowError, RecursionError, ValueError, IndexError):
            continue
        field = draft.context.text.strip() and "field" in layout.context
        if draft.instruction.text and not draft.history and not field:
            texts.append((draft.instruction.text, draft.response.text))
    return texts


def _find_blocks(draft: Draft, layout: RowLayout) -> Iterator[ContextBlock]:
    """Yield the context of a draft; see `ifcurate.contexts.find` for those in a text.

    The context of earlier turns counts only when the last user message asks for something.
    "Thanks!" after a tool result does not need its context.
    """
    kinds = layout.context
    field = draft.context
    if "field" in kinds and field.text and not says_no_input(field.text):
        yield _whole("context", field.text, field.path, "field")
        return
    if "system" in kinds and draft.system.text:
        for document in find_document(draft.system.text):
            if document.confidence >= layout.min_confidence:
                yield _block("system", draft.system.path, document)
    in_use = not draft.history or not draft.instruction.text or asks(draft.instruction.text)
    for part, turn in _turns(draft):
        if in_use or not part.startswith("history"):
            yield from _turn_blocks(draft, part, turn, layout)


def _turn_blocks(draft: Draft, part: str, turn: Turn, layout: RowLayout) -> Iterator[ContextBlock]:
    """Yield the context of one turn: a tool's result, or the contexts in a user's text."""
    if turn.role == "tool" and "tool" in layout.context and not says_no_input(turn.content):
        yield _whole(part, turn.content, turn.path, "tool-result")
    elif turn.role == "user" and "inline" in layout.context and turn.content:
        for context in _explain_text(draft, part, turn.content, layout).spans:
            yield _block(part, turn.path, context)


def _turns(draft: Draft) -> Iterator[tuple[str, Turn]]:
    """Yield the turns before the response in their order, each with the name of its part."""
    yield from ((f"history[{i}]", turn) for i, turn in enumerate(draft.history))
    yield "instruction", Turn("user", draft.instruction.text, draft.instruction.path)
    yield from ((f"trailing[{i}]", turn) for i, turn in enumerate(draft.trailing))


def _explain_text(draft: Draft, part: str, text: str, layout: RowLayout) -> Explained:
    """Return the contexts found in one text of a draft, and what was tried."""
    if layout.pattern:
        return _by_pattern(text, layout.pattern)
    elsewhere = part != "instruction" or (bool(draft.system.text) and asks(draft.system.text))
    return explain_context(
        text,
        min_confidence=layout.min_confidence,
        must_ask=not elsewhere,
        templates=layout.templates if part == "instruction" and not draft.history else (),
    )


def _by_pattern(text: str, pattern: str) -> Explained:
    """Return the groups `context`, `context2`, ... of the user's pattern."""
    match = re.search(pattern, text)
    if match is None:
        return Explained((), (Tried(("regex",), "the pattern does not match"),))
    groups = {name: match.span(name) for name, found in match.groupdict().items() if found}
    cut = groups.pop("cut", None)
    spans = [span for name, span in groups.items() if name.startswith("context")]
    contexts: list[ContextSpan] = []
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        outer = cut if cut and len(spans) == 1 else (start, end)
        inside = contexts and end <= contexts[-1].end  # a group within another is part of it
        if text[start:end].strip() and not inside:
            contexts.append(ContextSpan(start, end, *outer, "regex", 1.0))
    outcome = "taken" if contexts else "its groups are empty"
    return Explained(tuple(contexts), (Tried(("regex",), outcome, tuple(contexts)),))


def _whole(part: str, text: str, path: str, rule: str) -> ContextBlock:
    return _block(part, path, ContextSpan(0, len(text), 0, len(text), rule, 1.0))


def _block(part: str, path: str, f: ContextSpan) -> ContextBlock:
    outer = f.outer_start, f.outer_end
    return ContextBlock(part, path, f.start, f.end, *outer, f.rule, f.confidence)
