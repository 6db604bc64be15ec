"""The reader of each format of rows: the texts of a row, and where in the row each text is.

A reader makes drafts of a row: examples before the search for their context.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from ifcurate.contexts.asking import asks
from ifcurate.contexts.learned_template import LearnedTemplate
from ifcurate.contexts.words import Language
from ifcurate.data import chats, column_texts as texts
from ifcurate.data.column_texts import CONTEXTS, Draft, Text
from ifcurate.data.paths import read_path
from ifcurate.data.turns import split_speakers
from ifcurate.errors import RowError
from ifcurate.options.data import DataOptions
from ifcurate.records import Role, Turn

_DEFAULTS: Final = DataOptions()


@dataclass(frozen=True, slots=True)
class RowLayout:
    """How rows are read."""

    format: str  # one of FORMATS
    columns: Mapping[str, str] | None = None  # our name -> theirs; a context alone adds to a format
    turns: Literal["last", "all"] = _DEFAULTS.turns
    context: tuple[str, ...] = _DEFAULTS.context  # kinds of context to find
    min_confidence: float = _DEFAULTS.min_confidence  # lowest confidence of a context in a text
    labels: tuple[str, ...] = ()  # additional labels of contexts
    languages: tuple[Language, ...] = ()  # additional words
    pattern: str = ""  # a regular expression that replaces the model
    templates: tuple[LearnedTemplate, ...] = ()  # templates that the rows of the source share

    def as_record(self) -> dict[str, Any]:
        """Return plain values for a run's identity, without those at their default."""
        record: dict[str, Any] = {
            "format": self.format,
            "columns": dict(self.columns) if self.columns else None,
            "turns": self.turns,
            "context": list(self.context),
            "min_confidence": self.min_confidence,
        }
        added = {
            "labels": list(self.labels),
            "languages": [language.as_record() for language in self.languages],
            "pattern": self.pattern,
            # The key keeps its first name, so that runs of earlier versions can be read.
            "shapes": [template.as_record() for template in self.templates],
        }
        return record | {name: value for name, value in added.items() if value}

    @property
    def added(self) -> tuple[Language, ...]:
        """The additional labels and languages."""
        labels = frozenset(label.lower() for label in self.labels)
        return (*([Language(name="labels", context=labels)] if labels else ()), *self.languages)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> RowLayout:
        """Create it from what `as_record` returned."""
        values = {"templates" if key == "shapes" else key: v for key, v in record.items()}
        return TypeAdapter(cls).validate_python(values)


def _flat(
    row: Mapping[str, Any],
    questions: Sequence[str],
    answers: Sequence[str],
    contexts: Sequence[str] = CONTEXTS,
) -> list[Draft]:
    """Return the drafts of a row with a question and an answer, in the first of these columns."""
    asked, answer = texts.read_text(row, questions), texts.read_answer(row, answers)
    if row.get("is_impossible") is True or row.get("answerable") is False:
        # The context does not answer the question. An answer in the row is plausible but wrong.
        answer = Text("", answer.path)
    context = texts.read_context(row, contexts, asked.text)
    said = split_speakers(asked.text, asked.path)
    if not said:
        return [Draft(asked, answer, context, texts.read_system(row))]
    turns = [Turn("assistant", answer.text, answer.path)]
    drafts = _draft_after(row, said, turns, asked.path, answer.path)
    return [replace(draft, response=answer, context=context) for draft in drafts]


def _alpaca(row: Mapping[str, Any], layout: RowLayout) -> list[Draft]:
    instances = row.get("instances")
    places, contexts = [""], ["input", *CONTEXTS]
    if isinstance(instances, list) and not any(name in row for name in texts.OUTPUTS):
        places, contexts = [f"instances[{i}]." for i in range(len(instances))], ["input", "context"]
    for place in places:
        texts.check_context(row, f"{place}input")
    return [
        _ask_in_input(draft)
        for place in places
        for draft in _flat(
            row,
            ("instruction",),
            [place + name for name in texts.OUTPUTS],
            [place + name for name in contexts],
        )
    ]


def _ask_in_input(draft: Draft) -> Draft:
    """Return the draft whose input is the prompt, if nothing else in the row asks."""
    if draft.instruction.text.strip() or asks(draft.system.text):
        return draft
    return replace(draft, instruction=draft.context, context=Text())


def _prompt_completion(row: Mapping[str, Any], layout: RowLayout) -> list[Draft]:
    prompt = next((name for name in texts.PROMPTS if name in row), texts.PROMPTS[0])
    completion = next((name for name in texts.COMPLETIONS if name in row), texts.COMPLETIONS[0])
    if isinstance(row.get(prompt), list) and isinstance(row.get(completion), list):
        turns = [*chats.read_conversation(row, prompt), *chats.read_conversation(row, completion)]
        return chats.draft_chat(turns, row, every=layout.turns == "all")
    return _flat(row, texts.PROMPTS, texts.COMPLETIONS)


#: Columns that may hold the conversation before the chosen answer, if they are lists.
_CONVERSATIONS: Final = (
    *("conversations", "conversation", "messages", "prompt", "history"),
    "input.messages",
)


def _preference(row: Mapping[str, Any], layout: RowLayout) -> list[Draft]:
    """Read a preference row: the chosen answer is the response to a prompt or a conversation."""
    before = next((n for n in _CONVERSATIONS if isinstance(read_path(row, n)[1], list)), "")
    names = ("prompt", *texts.QUESTIONS, "instruction", "input")
    asked = Text() if before else texts.read_text(row, names, required=False)
    said = (
        chats.read_conversation(row, before) if before else split_speakers(asked.text, asked.path)
    )
    turns = _chosen_turns(row, asked)
    if not said and not any(turn.role == "user" for turn in turns):
        if not asked.path:
            raise RowError("no column 'prompt' or 'conversations' beside 'chosen'; add the prompt")
        said = [Turn("user", asked.text, asked.path)]
    drafts = _draft_after(row, said, turns, before or asked.path, "chosen")
    if asked.path:
        contexts = ("input", *CONTEXTS) if asked.path != "input" else CONTEXTS
        context = texts.read_context(row, contexts, asked.text)
        drafts = [replace(draft, context=context) for draft in drafts]
    return drafts


def _draft_after(
    row: Mapping[str, Any], said: list[Turn], turns: list[Turn], before: str, response: str
) -> list[Draft]:
    """Return the drafts of a conversation in `before` and the turns of `response`."""
    joined, n_left_out = chats.join_turns(said, turns)
    drafts = chats.draft_chat(joined, row)
    if not n_left_out:
        return drafts
    note = f"{before} ends in an answer, which is not read; {response} is the response"
    return [replace(draft, note=note) for draft in drafts]


def _chosen_turns(row: Mapping[str, Any], asked: Text) -> list[Turn]:
    """Return the turns of `chosen`: the answer, or the whole conversation."""
    if isinstance(row.get("chosen"), list | Mapping):
        return chats.read_conversation(row, "chosen")
    answer = texts.read_answer(row, ("chosen",))
    # An answer that only quotes a dialogue does not repeat the prompt.
    spoken = split_speakers(answer.text, "chosen") if asked.text.strip() in answer.text else []
    return spoken or [Turn("assistant", answer.text, answer.path)]


def _qca(row: Mapping[str, Any], layout: RowLayout) -> list[Draft]:
    if isinstance(row.get("questions"), list) and not any(name in row for name in texts.QUESTIONS):
        return _questions(row, layout)
    return _flat(row, texts.QUESTIONS, texts.ANSWERS)


def _questions(row: Mapping[str, Any], layout: RowLayout) -> list[Draft]:
    """Read a conversation about a context: a list of questions, and one of their answers."""
    asked = _each_text(row["questions"], "questions")
    name = "orig_answers" if "orig_answers" in row else "answers"
    said = _each_text(row.get(name), name)
    if len(asked) != len(said):
        raise RowError(f"{len(asked)} questions and {len(said)} {name}; each needs one answer")
    turns = [
        Turn(role, text.text, text.path)
        for pair in zip(asked, said, strict=True)
        for role, text in zip(_SPEAKERS, pair, strict=True)
    ]
    drafts = chats.draft_chat(turns, row, every=layout.turns == "all")
    context = texts.read_context(row, CONTEXTS, "")
    return [replace(draft, context=context) for draft in drafts]


_SPEAKERS: Final[tuple[Role, Role]] = ("user", "assistant")


def _each_text(value: Any, path: str) -> list[Text]:
    """Return the text of each item: of a list, or of the list in CoQA's and QuAC's objects."""
    if isinstance(value, Mapping):
        key = next((key for key in ("input_text", "texts", "text") if key in value), "")
        value, path = value.get(key), f"{path}.{key}"
    if not isinstance(value, list):
        raise RowError(f"column {path!r}: expected a list, found {type(value).__name__}")
    return [
        texts.read_answer({f"{path}[{i}]": item}, (f"{path}[{i}]",)) for i, item in enumerate(value)
    ]


def _columns(row: Mapping[str, Any], layout: RowLayout) -> list[Draft]:
    names = layout.columns or {}
    asked = texts.read_text(row, [names["instruction"]])
    draft = Draft(asked, texts.read_answer(row, [names["response"]]))
    return [texts.add_columns(draft, row, names)]


_TREE: Final = "of the replies to a message, the one with the best rank is read"


def _chat(row: Mapping[str, Any], layout: RowLayout) -> list[Draft]:
    """Read the chat in the first of these columns, or in another one."""
    columns = ("conversations", "conversation", "messages")
    columns = columns if layout.format == "sharegpt" else chats.CHATS[:3]
    name = next((column for column in columns if column in row), "") or chats.find_chat(row)
    name = name or columns[0]
    is_tree = isinstance(row.get(name), Mapping) and "replies" in row[name]
    turns = chats.read_thread(row[name], name) if is_tree else chats.read_conversation(row, name)
    drafts = chats.draft_chat(turns, row, every=layout.turns == "all")
    return [replace(draft, note=_TREE) for draft in drafts] if is_tree else drafts


#: The reader of each format, for rows whose columns are in lower case.
READERS: Final[dict[str, Callable[[Mapping[str, Any], RowLayout], list[Draft]]]] = {
    "alpaca": _alpaca,
    "prompt_completion": _prompt_completion,
    "messages": _chat,
    "sharegpt": _chat,
    "preference": _preference,
    "qca": _qca,
}


def read_drafts(row: Mapping[str, Any], layout: RowLayout) -> list[Draft]:
    """Return the draft of a row, or one for each scored turn of a chat.

    Columns with known names may be in any letter case. Raises `RowError` when the row has another
    format.
    """
    if layout.format == "columns":
        return _columns(row, layout)
    small, names = texts.lower_names(row)
    drafts = READERS[layout.format](small, layout)
    if isinstance(small.get("history"), list):
        drafts = [chats.add_history(draft, small) for draft in drafts]
    if any(not draft.tools for draft in drafts) and chats.has_tools(small):
        drafts = [replace(draft, tools=chats.write_tools(small)) for draft in drafts]
    if names:
        drafts = [texts.restore_names(draft, names) for draft in drafts]
    if layout.columns:
        drafts = [texts.add_columns(draft, row, layout.columns) for draft in drafts]
    return drafts
