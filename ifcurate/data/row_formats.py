"""What the rows of each layout say, and where in the row it stands.

A reader makes drafts of a row: examples whose context has not been looked for.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from ifcurate.contexts.shapes import Shape
from ifcurate.data.turns import read_turns
from ifcurate.errors import RowError
from ifcurate.options.data import CONTEXT_KINDS
from ifcurate.records import Turn, write_calls

__all__ = [
    "ANSWERS",
    "COMPLETIONS",
    "CONTEXTS",
    "CONTEXT_KINDS",
    "OUTPUTS",
    "PROMPTS",
    "QUESTIONS",
    "READERS",
    "Draft",
    "Layout",
    "Text",
    "read_path",
]

#: Names of a column that holds a context, the likeliest first.
CONTEXTS: Final = (
    *("context", "contexts", "passage", "passages", "document", "documents", "article"),
    *("paragraph", "paragraphs", "story", "background", "evidence", "text"),
)
OUTPUTS: Final = ("output", "response", "answer", "completion")
PROMPTS: Final = ("prompt", "inputs", "input")
COMPLETIONS: Final = ("completion", "response", "targets", "target", "output")
QUESTIONS: Final = ("question", "query")
ANSWERS: Final = ("answer", "answers", "response", "output", "completion")


@dataclass(frozen=True, slots=True)
class Layout:
    """How rows are to be read."""

    format: str  # one of FORMATS
    columns: Mapping[str, str] | None = None  # for "columns": our name -> theirs
    turns: Literal["last", "all"] = "last"
    context: tuple[str, ...] = CONTEXT_KINDS  # kinds of context that are looked for
    min_confidence: float = 0.5  # of a rule that finds context inside a text
    labels: tuple[str, ...] = ()  # of contexts, beside those that are known
    pattern: str = ""  # finds the context in a text, instead of the rules
    shapes: tuple[Shape, ...] = ()  # templates that the rows of the source share

    def as_record(self) -> dict[str, Any]:
        """Plain values, for a run's identity; what is at its default stays out."""
        record: dict[str, Any] = {
            "format": self.format,
            "columns": dict(self.columns) if self.columns else None,
            "turns": self.turns,
            "context": list(self.context),
            "min_confidence": self.min_confidence,
        }
        if self.labels:
            record["labels"] = list(self.labels)
        if self.pattern:
            record["pattern"] = self.pattern
        if self.shapes:
            record["shapes"] = [shape.as_record() for shape in self.shapes]
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Layout:
        """The opposite of `as_record`."""
        values: dict[str, Any] = {**record, "context": tuple(record["context"])}
        values["labels"] = tuple(record.get("labels", ()))
        values["shapes"] = tuple(map(Shape.from_record, record.get("shapes", ())))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Text:
    """A text and where it stands in the row."""

    text: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """An example before its context has been looked for."""

    instruction: Text
    response: Text
    context: Text = Text()
    system: Text = Text()
    history: tuple[Turn, ...] = ()
    trailing: tuple[Turn, ...] = ()
    tools: str = ""
    response_calls: tuple[Mapping[str, Any], ...] = ()


_STEP: Final = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")


def read_path(row: Mapping[str, Any], name: str) -> tuple[bool, Any]:
    """Whether a row has the column or path of that name (`instances[0].input`), and its value."""
    if name in row or not any(sign in name for sign in ".["):
        return name in row, row.get(name)
    value: Any = row
    for key, index in _STEP.findall(name):
        if key and isinstance(value, Mapping) and key in value:
            value = value[key]
        elif index and isinstance(value, list) and int(index) < len(value):
            value = value[int(index)]
        else:
            return False, None
    return True, value


def _text(row: Mapping[str, Any], names: Iterable[str], *, required: bool = True) -> Text:
    """The first of these columns, or paths, that the row has, as text."""
    names = tuple(names)
    for name in names:
        has, value = read_path(row, name)
        if not has:
            continue
        if isinstance(value, str):
            return Text(value, name)
        if value is None:
            return Text("", name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            if isinstance(value, float) and not math.isfinite(value):
                raise RowError(f"column {name!r}: expected text, found {value}")
            return Text(str(value), name)
        raise RowError(f"column {name!r}: expected text, found {type(value).__name__}")
    if not required:
        return Text()
    found = ", ".join(map(str, row)) or "(none)"
    raise RowError(f"no column {' or '.join(map(repr, names))}; found the columns {found}")


def _context(row: Mapping[str, Any], names: Iterable[str], instruction: str) -> Text:
    """The first context column with a text; one that repeats the instruction is a rendering."""
    empty = Text()
    asked = instruction.strip()
    for name in names:
        has, value = read_path(row, name)
        text = _joined(value, name) if has else None
        if text is None:
            continue
        repeats = len(asked) >= 12 and asked in text.text
        if text.text.strip() and not repeats:
            return text
        empty = empty if empty.path or repeats else text
    return empty


def _joined(value: Any, name: str) -> Text | None:
    """A context as text: several passages with a blank line between; None when it is none."""
    if isinstance(value, str):
        return Text(value, name)
    if isinstance(value, Mapping):  # HotpotQA's {"sentences": [[...]]}, {"text": ...}
        for key in ("text", "passage_text", "sentences"):
            if key in value:
                return _joined(value[key], f"{name}.{key}")
        return None
    if isinstance(value, list):
        parts = [_joined(part, f"{name}[{i}]") for i, part in enumerate(value)]
        texts = [part for part in parts if part is not None and part.text.strip()]
        if len(texts) == 1:
            return texts[0]
        return Text("\n\n".join(text.text for text in texts), name) if texts else None
    return Text("", name) if value is None else None


def _alpaca(row: Mapping[str, Any], layout: Layout) -> list[Draft]:
    instruction = _text(row, ("instruction",))
    system = _text(row, ("system",), required=False)
    instances = row.get("instances")
    if isinstance(instances, list) and not any(name in row for name in OUTPUTS):
        places = [f"instances[{i}]" for i in range(len(instances))]
        return [
            Draft(
                instruction=instruction,
                response=_text(row, [f"{place}.{name}" for name in OUTPUTS]),
                context=_context(row, [f"{place}.input", f"{place}.context"], instruction.text),
                system=system,
            )
            for place in places
        ]
    return [
        Draft(
            instruction=instruction,
            response=_text(row, OUTPUTS),
            context=_context(row, ("input", *CONTEXTS), instruction.text),
            system=system,
        )
    ]


def _prompt_completion(row: Mapping[str, Any], layout: Layout) -> list[Draft]:
    prompt = next((name for name in PROMPTS if name in row), PROMPTS[0])
    completion = next((name for name in COMPLETIONS if name in row), COMPLETIONS[0])
    if isinstance(row.get(prompt), list) and isinstance(row.get(completion), list):
        return _chat([*_turns(row, prompt), *_turns(row, completion)], layout, _tools(row))
    asked = _text(row, PROMPTS)
    return [
        Draft(
            instruction=asked,
            response=_text(row, COMPLETIONS),
            context=_context(row, CONTEXTS, asked.text),
            system=_text(row, ("system",), required=False),
        )
    ]


def _turns(row: Mapping[str, Any], name: str) -> list[Turn]:
    """The turns of a column, as OpenAI or as ShareGPT writes them."""
    value = row.get(name)
    value = [value] if isinstance(value, Mapping) else value
    first = value[0] if isinstance(value, list) and value else {}
    sharegpt = isinstance(first, Mapping) and "from" in first
    keys = ("from", "value") if sharegpt else ("role", "content")
    if isinstance(row.get(name), Mapping):
        return [
            replace(turn, path=turn.path.replace(f"{name}[0]", name, 1))
            for turn in read_turns(value, name, *keys)
        ]
    return read_turns(value, name, *keys)


_CONVERSATIONS: Final = ("conversations", "conversation", "messages", "prompt", "history")


def _preference(row: Mapping[str, Any], layout: Layout) -> list[Draft]:
    """The chosen answer is the response; what comes before it, a prompt or a conversation."""
    chosen = row.get("chosen")
    before = next((n for n in _CONVERSATIONS if isinstance(row.get(n), list)), "")
    if isinstance(chosen, list | Mapping):
        turns = _turns(row, "chosen")
        said = _turns(row, before) if before else []
        if not before and isinstance(row.get("prompt"), str) and len(turns) == 1:
            said = [Turn("user", row["prompt"], "prompt")]
        if [(t.role, t.content) for t in turns[: len(said)]] != [(t.role, t.content) for t in said]:
            turns = [*said, *turns]
        return _chat(turns, replace(layout, turns="last"), _tools(row))
    answer = _text(row, ("chosen",))
    if before:
        turns = [*_turns(row, before), Turn("assistant", answer.text, answer.path)]
        return _chat(turns, replace(layout, turns="last"), _tools(row))
    names = ("prompt", *QUESTIONS, "instruction", "input")
    asked = _text(row, names, required=False)
    if not asked.path:
        return _chat(_spoken(answer.text), replace(layout, turns="last"), "")
    contexts = ("input", *CONTEXTS) if asked.path != "input" else CONTEXTS
    return [
        Draft(
            instruction=asked,
            response=answer,
            context=_context(row, contexts, asked.text),
            system=_text(row, ("system",), required=False),
        )
    ]


_SAID: Final = re.compile(r"(?:\A|\n\n)(Human|Assistant): ?")


def _spoken(text: str) -> list[Turn]:
    """The turns of a chat written as one text, as HH-RLHF writes it."""
    pieces = _SAID.split(text)
    speakers = zip(pieces[1::2], pieces[2::2], strict=True)
    turns = [Turn("user" if who == "Human" else "assistant", said) for who, said in speakers]
    if not turns:
        raise RowError("no column 'prompt' or 'conversations' beside 'chosen'; add the prompt")
    return turns


def _qca(row: Mapping[str, Any], layout: Layout) -> list[Draft]:
    asked = _text(row, QUESTIONS)
    response = _first_answer(row, ANSWERS)
    if row.get("is_impossible") is True:
        # The context does not answer it; an answer that stands there all the same is a lure.
        response = Text("", response.path)
    return [
        Draft(
            instruction=asked,
            response=response,
            context=_context(row, CONTEXTS, asked.text),
        )
    ]


def _first_answer(row: Mapping[str, Any], names: Sequence[str]) -> Text:
    """The answer, or the first of several (a list, or SQuAD's {"text": [...]})."""
    for name in names:
        value = read_path(row, name)[1]
        path = name
        if isinstance(value, Mapping) and "text" in value:
            value, path = value["text"], f"{name}.text"
        if isinstance(value, list):
            if not value:
                return Text("", path)
            value, path = value[0], f"{path}[0]"
            if isinstance(value, Mapping) and isinstance(value.get("text"), str):
                value, path = value["text"], f"{path}.text"
        if isinstance(value, str):
            return Text(value, path)
        if value is not None:
            raise RowError(f"column {name!r}: expected an answer, found {type(value).__name__}")
    return _text(row, names)


def _columns(row: Mapping[str, Any], layout: Layout) -> list[Draft]:
    names = layout.columns or {}

    def mapped(name: str) -> Text:
        return _text(row, (names[name],)) if name in names else Text()

    if "context" in names and not read_path(row, names["context"])[0]:
        mapped("context")  # raises with the columns that were found
    return [
        Draft(
            instruction=mapped("instruction"),
            response=_first_answer(row, (names["response"],)),
            context=_context(row, (names["context"],), "") if "context" in names else Text(),
            system=mapped("system"),
        )
    ]


def _tools(row: Mapping[str, Any]) -> str:
    tools = row.get("tools")
    if not tools:
        return ""
    return tools if isinstance(tools, str) else json.dumps(tools, ensure_ascii=False)


def _messages(row: Mapping[str, Any], layout: Layout) -> list[Draft]:
    name = next((n for n in ("messages", "conversations", "conversation") if n in row), "messages")
    turns = read_turns(row.get(name), name, "role", "content")
    return _chat(turns, layout, _tools(row))


def _sharegpt(row: Mapping[str, Any], layout: Layout) -> list[Draft]:
    name = next((n for n in ("conversations", "conversation", "messages") if n in row), "")
    turns = read_turns(row.get(name), name or "conversations", "from", "value")
    system = _text(row, ("system",), required=False)
    if system.text and not (turns and turns[0].role == "system"):
        turns.insert(0, Turn("system", system.text, system.path))
    return _chat(turns, layout, _tools(row))


def _chat(turns: list[Turn], layout: Layout, tools: str) -> list[Draft]:
    """One draft for the last, or for every, assistant turn."""
    answers = [i for i, turn in enumerate(turns) if turn.role == "assistant" and i > 0]
    if not answers:
        found = ", ".join(turn.role for turn in turns[:6]) or "no turn"
        raise RowError(f"no assistant turn that answers something; found the roles {found}")
    if layout.turns == "all":
        return [_draft_turn(turns[:i], turns[i], tools) for i in answers]
    if answers[-1] < len(turns) - 1:  # the last turn is still to be answered
        return [_draft_turn(turns, Turn("assistant", ""), tools)]
    return [_draft_turn(turns[:-1], turns[-1], tools)]


def _draft_turn(before: list[Turn], answer: Turn, tools: str) -> Draft:
    system = Text()
    if before and before[0].role == "system":
        system = Text(before[0].content, before[0].path)
        before = before[1:]
    users = [i for i, turn in enumerate(before) if turn.role == "user"]
    at = users[-1] if users else -1
    asked = Text(before[at].content, before[at].path) if users else Text()
    return Draft(
        instruction=asked,
        response=_response(answer),
        system=system,
        history=tuple(before[:at]) if users else (),
        trailing=tuple(before[at + 1 :]) if users else tuple(before),
        tools=tools,
        response_calls=answer.tool_calls,
    )


def _response(turn: Turn) -> Text:
    """The answer's text; a turn that only calls tools answers with its calls, as JSON."""
    if turn.content or not turn.tool_calls:
        return Text(turn.content, turn.path)
    return Text(write_calls(turn.tool_calls), turn.path.rsplit(".", 1)[0] + ".tool_calls")


#: How a row of each layout is read: one draft, or one for each scored turn of a chat.
READERS: Final[dict[str, Callable[[Mapping[str, Any], Layout], list[Draft]]]] = {
    "alpaca": _alpaca,
    "prompt_completion": _prompt_completion,
    "messages": _messages,
    "sharegpt": _sharegpt,
    "preference": _preference,
    "qca": _qca,
    "columns": _columns,
}
