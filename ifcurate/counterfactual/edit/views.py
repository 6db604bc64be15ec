"""The strings of an example's row, and the part of the example that each is in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ifcurate.data.paths import context_passages
from ifcurate.records import ContextBlock, Example

from ..checks import Check, Refusal
from ..lexicon.wording import without_end_marks
from ..recognise.spans import Span
from .edits import Edit, row_texts

TextRange = tuple[str, int, int]  # path, start, end
_KEPT_NAMES = frozenset({"from", "role", "id", "uid", "uuid", "prompt_id", "tools", "type"})
_MEMORY = ("memory_answer", "parametric_answer")
#: A question at the end of a context.
_ASKED = re.compile(
    r"(?:(?<=\n)|\A)[ \t]*(?:(?:question|q|query)\s*:[^\n]+|[^\n]{8,300}\?)\s*"
    r"(?:answer\s*:?\s*)?\Z",
    re.I,
)


@dataclass(frozen=True)
class View:
    """The strings of an example's row, and where context, question and response are."""

    texts: Mapping[str, str]
    context: tuple[TextRange, ...]
    question: tuple[TextRange, ...]
    response_path: str
    keep: frozenset[str]
    memory: tuple[str, ...] = ()  # remembered answers, which are not edited

    @cached_property
    def response(self) -> str:
        """The response without end-of-text markers."""
        return without_end_marks(self.texts[self.response_path])

    @cached_property
    def context_text(self) -> str:
        """All context in order, one range per line."""
        return "\n".join(self.texts[p][a:b] for p, a, b in self.context)

    @cached_property
    def question_text(self) -> str:
        """All text that asks, one range per line."""
        return "\n".join(self.texts[p][a:b] for p, a, b in self.question)


def within(place: Span | Edit, ranges: Iterable[TextRange]) -> bool:
    """Return whether a span, or the original of an edit, is inside one of the ranges."""
    return any(p == place.path and a <= place.start and place.end <= b for p, a, b in ranges)


def touches(place: Span | Edit, ranges: Iterable[TextRange]) -> bool:
    """Return whether a span, or the original of an edit, overlaps one of the ranges."""
    return any(p == place.path and a < place.end and place.start < b for p, a, b in ranges)


def view_example(example: Example) -> View:
    """Return the view of an example.

    A question at the end of the context is part of the question. Raises `Refusal` (ROW) if the row
    does not contain the response or a context.
    """
    texts = row_texts(example.row)
    context = [place for block in example.blocks for place in _places(block, example, texts)]
    if texts.get(example.response_path) != example.response:
        raise Refusal(Check.ROW, "the response is not a string of its row")
    given, carved = _carve(texts, context)
    return View(
        texts,
        given,
        (*_questions(example, texts), *carved),
        example.response_path,
        frozenset(p for p in texts if _is_kept(p)),
        memory_answers(example.row),
    )


def _places(block: ContextBlock, example: Example, texts: Mapping[str, str]) -> Iterator[TextRange]:
    """Yield where a context is in the row.

    Raises `Refusal` (ROW) if it is not in the row's strings.
    """
    if block.path in texts:
        yield block.path, block.start, block.end
        return
    passages = context_passages(example.row, block.path)
    joined = "\n\n".join(passages.values())
    whole = block.part == "context" and block.end - block.start == len(joined)
    if not whole or joined != example.context or not passages.items() <= texts.items():
        raise Refusal(Check.ROW, "a context of the example is not a string of its row")
    yield from ((path, 0, len(text)) for path, text in passages.items())


def _questions(example: Example, texts: Mapping[str, str]) -> Iterator[TextRange]:
    """Instruction, system prompt and the user's turns, without the contexts in them.

    A row may repeat such a text, as `rejected` does when it is a whole conversation.
    """
    outer: dict[str, list[tuple[int, int]]] = {}  # key: the text
    for block in example.blocks:
        outer.setdefault(texts.get(block.path, ""), []).append((block.outer_start, block.outer_end))
    asked = {example.instruction, example.system} - {""}
    asked |= {t.content for t in (*example.history, *example.trailing) if t.role == "user"}
    own = {b.path for b in example.blocks if b.part == "context"} | {example.response_path}
    for path, text in texts.items():
        if path not in own and text in asked:
            yield from _gaps(path, len(text), outer.get(text, ()))


def _gaps(path: str, size: int, outer: Sequence[tuple[int, int]]) -> Iterator[TextRange]:
    """Yield the ranges between the contexts of a text of `size` characters."""
    last = 0
    for start, end in (*sorted(outer), (size, size)):
        if last < start:
            yield path, last, start
        last = end


def _carve(
    texts: Mapping[str, str], context: Sequence[TextRange]
) -> tuple[tuple[TextRange, ...], tuple[TextRange, ...]]:
    """Return the contexts without the question at their end, and that question."""
    given: list[TextRange] = []
    carved: list[TextRange] = []
    for path, start, end in context:
        if asked := _ASKED.search(texts[path], start, end):
            carved.append((path, asked.start(), end))
            end = asked.start()
        if start < end:
            given.append((path, start, end))
    return tuple(given), tuple(carved)


def _is_kept(path: str) -> bool:
    """Return whether a string must not be edited: ids, roles, tools, remembered answers."""
    head = path.split(".")[0].split("[")[0]
    return path.rsplit(".", 1)[-1].split("[")[0] in _KEPT_NAMES or head in {"tools", *_MEMORY}


def memory_answers(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the remembered answers of a row; a list of aliases gives several."""
    given = [row[name] for name in _MEMORY if isinstance(row.get(name), str)]
    parts = [part.strip(" ,.*") for text in given for part in re.split(r";|\bor\b|[()*]", text)]
    return tuple(dict.fromkeys(part for part in parts if len(part) > 1))
