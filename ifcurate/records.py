"""An instruction-tuning example, independent of the format of its row.

An `Example` is one response to be scored, and everything before it. Its `ContextBlock`s say
which characters of its texts are context. The prompt without the context is rendered from
the same example with those characters cut.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Self

#: The reason of an empty response that is no fault of the data.
UNANSWERABLE: Final = "the row says that its question has no answer"

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the conversation before the response."""

    role: Role
    content: str
    path: str = ""  # the place of the content in the row, e.g. "messages[2].content"
    tool_calls: tuple[Mapping[str, Any], ...] = ()  # as the row has them (OpenAI style)
    name: str = ""  # the tool that answered, if the row names it


def write_calls(calls: Sequence[Mapping[str, Any]]) -> str:
    """Tool calls as JSON lines; arguments that are already JSON are not encoded again."""
    return "\n".join(json.dumps(parse_call(call), ensure_ascii=False) for call in calls)


def parse_call(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return the function of a tool call, its arguments as an object where they are JSON."""
    function = dict(call.get("function", call))
    if isinstance(function.get("arguments"), str):
        with contextlib.suppress(ValueError):
            function["arguments"] = json.loads(function["arguments"])
    return function


def native_call(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool call with its arguments as an object, as chat templates and trainers expect."""
    function = parse_call(call)
    if isinstance(function.get("arguments"), str):
        function["arguments"] = {"arguments": function["arguments"]}
    return {"type": "function", "function": function}


@dataclass(frozen=True, slots=True, repr=False)
class ContextBlock:
    """A part of one text of an `Example` that is context.

    `start:end` is the context itself. `outer_start:outer_end` also has all that is cut with
    it: its label, its quotes, the blank line after it. Both count characters (Python code
    points) of the text that `part` names.
    """

    part: str  # "context", "instruction", "system", "history[i]" or "trailing[i]"
    path: str  # the same text in the original row, e.g. "input", "messages[0].content"
    start: int
    end: int
    outer_start: int
    outer_end: int
    rule: str  # how it was found, e.g. "field", "label", "tool-result"
    confidence: float  # 0..1, the probability that it is right; 1 for a separate field

    def __repr__(self) -> str:
        place = f"{self.part}[{self.start}:{self.end}]"
        return f"ContextBlock({place}, rule {self.rule}, confidence {self.confidence:.2f})"


#: Stands for blocks that were not given. `__post_init__` replaces it.
_NOT_GIVEN: Final = (ContextBlock("", "", 0, 0, 0, 0, "", 0.0),)

_TEXTS: Final = ("id", "instruction", "context", "response", "system")
_SHOWN: Final = 40  # characters of a text in a repr


def _cut(text: str) -> str:
    """Return the text in quotes; the start of a long one."""
    return repr(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Example:
    """One response with everything that comes before it. All fields are given by name.

    `instruction` is the last user message as written; `blocks` mark a context inside it.
    `context` is a context in a separate field (Alpaca's `input`), "" otherwise.
    """

    id: str = ""  # unique in its run; a hash of the content when none is given
    instruction: str = ""
    context: str = ""
    response: str = ""  # the target: the only text the loss is taken over
    system: str = ""
    history: tuple[Turn, ...] = ()  # turns before the instruction, oldest first
    trailing: tuple[Turn, ...] = ()  # turns between instruction and response (tool calls, results)
    tools: str = ""  # the tools on offer, JSON as the row has it
    blocks: tuple[ContextBlock, ...] = _NOT_GIVEN
    source: str = ""  # the file or dataset that it was read from
    row_number: int = 0  # 0-based, in its source
    turn: int = 0  # which response of its row, 0-based
    response_path: str = ""  # the place of the response in the row
    response_calls: tuple[Mapping[str, Any], ...] = ()  # tool calls that are (part of) the response
    row: Mapping[str, Any] = field(default_factory=dict)  # the original record, untouched

    def __new__(cls, *given: object, **_fields: object) -> Self:
        """Refuse fields without names, whose order is easily mistaken."""
        if given:
            raise TypeError(
                f"Example: found {len(given)} values without names; write "
                "Example(instruction=..., context=..., response=...)"
            )
        return object.__new__(cls)

    def __post_init__(self) -> None:
        """For an example made by hand: an id, and the whole `context` as context."""
        for name in _TEXTS:
            value = getattr(self, name)
            if not isinstance(value, str):
                raise TypeError(
                    f"Example: {name}: found {type(value).__name__}; give a text"
                    + (', "" for none' if value is None else "")
                )
        if not self.id:
            texts = "\0".join((self.instruction, self.context, self.response))
            content = hashlib.blake2b(texts.encode("utf-8", "surrogatepass"), digest_size=8)
            object.__setattr__(self, "id", content.hexdigest())
        if self.blocks is _NOT_GIVEN:
            end = len(self.context)
            block = ContextBlock("context", "context", 0, end, 0, end, "field", 1.0)
            object.__setattr__(self, "blocks", (block,) if self.context.strip() else ())

    def __repr__(self) -> str:
        texts = {name: getattr(self, name) for name in _TEXTS}
        shown = [f"{name}={_cut(text)}" for name, text in texts.items() if text]
        turns = len(self.history) + len(self.trailing)
        more = [f"{turns} more turns"] if turns else []
        return f"Example({', '.join([*shown, *more])})"

    def part(self, name: str) -> str:
        """Return the text that a block's `part` names."""
        if name.endswith("]"):
            turns, _, index = name[:-1].partition("[")
            return str(getattr(self, turns)[int(index)].content)
        return str(getattr(self, name))

    @property
    def parts(self) -> list[tuple[str, str]]:
        """Name and role of each text before the response, in order. Empty texts are left out."""
        turns = {
            name: [(f"{name}[{i}]", turn.role) for i, turn in enumerate(getattr(self, name))]
            for name in ("history", "trailing")
        }
        first, middle = ("system", "system"), (("instruction", "user"), ("context", "context"))
        ordered = (first, *turns["history"], *middle, *turns["trailing"])
        return [(name, role) for name, role in ordered if self.part(name)]

    @property
    def prompt_texts(self) -> tuple[str, ...]:
        """All texts but the response; empty ones too."""
        turns = (turn.content for turn in (*self.history, *self.trailing))
        return (self.system, self.instruction, self.context, self.tools, *turns)

    @property
    def context_text(self) -> str:
        """The texts of all blocks in their order, separated by blank lines."""
        return "\n\n".join(self.part(b.part)[b.start : b.end] for b in self.blocks)

    @property
    def unanswerable(self) -> bool:
        """Whether the row itself says that its question has no answer, as SQuAD 2.0's do."""
        answers = self.row.get("answers")
        texts = answers.get("text") if isinstance(answers, Mapping) else answers
        said = self.row.get("is_impossible") is True or self.row.get("answerable") is False
        return said or texts == []

    @property
    def has_context(self) -> bool:
        """Whether any text is context."""
        return bool(self.blocks)

    def without_context(self) -> Example:
        """Return the same example with every block cut out, labels included."""
        return self._edit_blocks([""] * len(self.blocks), outer=True)

    def with_contexts(self, texts: list[str]) -> Example:
        """Return the same example with the text of each block replaced, labels kept."""
        if len(texts) != len(self.blocks):
            raise ValueError(
                f"found {len(texts)} texts for {len(self.blocks)} blocks; give one each"
            )
        return self._edit_blocks(texts, outer=False)

    def _edit_blocks(self, texts: list[str], *, outer: bool) -> Example:
        parts: dict[str, list[tuple[int, int, str]]] = {}
        for block, text in zip(self.blocks, texts, strict=True):
            start, end = (block.outer_start, block.outer_end) if outer else (block.start, block.end)
            parts.setdefault(block.part, []).append((start, end, text))
        changed: dict[str, Any] = {}
        for name, edits in parts.items():
            text = self.part(name)
            for start, end, new in sorted(edits, reverse=True):
                text = text[:start] + new + text[end:]
            if name.endswith("]"):
                turns, _, index = name[:-1].partition("[")
                edited = list(changed.get(turns, getattr(self, turns)))
                edited[int(index)] = replace(edited[int(index)], content=text)
                changed[turns] = tuple(edited)
            else:
                changed[name] = text
        return replace(self, blocks=(), **changed)
