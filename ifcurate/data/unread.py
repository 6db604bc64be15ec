"""The columns of rows that the examples do not use, and which of them look like a context."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from ifcurate.contexts.words import count_words
from ifcurate.data.column_texts import CONTEXTS, Draft, lower_names, read_context
from ifcurate.data.paths import column_of, read_path
from ifcurate.data.row_formats import RowLayout, read_drafts
from ifcurate.data.turns import TEXT_KEYS, excluded_answers
from ifcurate.errors import RowError

_NOT_TEXTS: Final = ("id", "uid", "uuid", "prompt_id", "weight", "is_impossible", "answerable")
#: Words in the name of a context column, in addition to the names that are read as a context.
_CONTEXT_WORDS: Final = frozenset(
    f"{' '.join(CONTEXTS)} doc docs snippet snippets excerpt excerpts reference references "
    "knowledge chunk chunks facts transcript abstract".split()
) - {"text"}
#: Words in the name of a column that is never a context: another answer, or the reasoning for it.
_ANSWER_WORDS: Final = frozenset(
    re.findall(
        r"\w+",
        "rejected chosen answer answers response responses output outputs completion completions "
        "generation generations prediction predictions rationale rationales explanation "
        "explanations reasoning cot thought thoughts thinking analysis solution feedback critique "
        "justification id ids url urls title titles",
    )
)
#: Columns that may have the right answer to compare the response with.
_GOLD: Final = ("reference", "references")
#: Words in the name of a column whose length alone does not make it a context.
_PROMPT_WORDS: Final = frozenset(("text", "prompt", "instruction", "system", "question", "query"))
_NAME_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
_MOST_ITEMS: Final = 5  # most items of a list that are searched
_MOST_STEPS: Final = 4  # most steps of a path

_KEPT: Final = "rejected is kept for DPO and not scored"
_WEIGHT: Final = (
    "answers have weight 0 or train false; they are scored like the others, and an export keeps "
    "the weight or leaves out the row"
)
#: Columns that say what to do in all rows of a task.
_TASKS: Final = ("definition", "instructions", "task_description")
_TASK: Final = "{0} looks like an instruction; to read it: --columns system={0}"
#: Columns in which false means that the answer is bad.
_FLAGS: Final = ("label", "kto_tag")
_SPEAKER: Final = re.compile(r"\s*Human: ")
#: Columns with the possible answers to a question.
_CHOICES: Final = ("choices", "options", "endings")
_CHOICE: Final = re.compile(r"\(?(\d|[A-J])[).]?")


_Fitting = tuple[Mapping[str, Any], Sequence[Draft]]  # a row that has the format, and its drafts


@dataclass(frozen=True, slots=True)
class Unread:
    """What the examples of some rows do not use."""

    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # notes on other texts that are left out, or read as something else
    advice: tuple[str, ...] = ()  # a line for each likely context, with the option to paste


def unread_columns(rows: Sequence[Mapping[str, Any]], layout: RowLayout) -> Unread:
    """Return what is not read of the rows that have the format.

    A text looks like a context by the name of its column, or because most of its values have
    more than 30 words. If a context is already read, only the name is considered.
    """
    fitting = list(_with_drafts(rows, layout))
    drafts = [draft for _, of_row in fitting for draft in of_row]
    mapped = dict(layout.columns or {})
    # Columns that the user names are read, if with a text or not.
    parts = (part for column in mapped.values() for part in (column, *column.split("+")))
    read = {column_of(part.strip()) for part in parts}.union(_NOT_TEXTS, *map(_columns_of, drafts))
    seen = dict.fromkeys(str(name) for row, _ in fitting for name in row)
    # Columns that a step added are not texts of the data.
    unread = [name for name in seen if name not in read and not name.startswith("ifcurate_")]
    notes = list(dict.fromkeys(note for row, of_row in fitting for note in _notes(row, of_row)))
    small = next((lower_names(row) for row, _ in fitting), ({}, {}))
    rejected = small[1].get("rejected", "rejected")
    if "chosen" in small[0] and rejected in unread:
        unread.remove(rejected)
        notes.insert(0, _KEPT)
    notes += [_TASK.format(name) for name in unread if name.lower() in _TASKS]
    path = next((draft.context.path for draft in drafts if draft.context.text.strip()), "")
    context = mapped.pop("context", "") or column_of(path)
    likely = _find_likely(unread, fitting, second=bool(context))
    advice = tuple(_advise(path, context, mapped) for path in likely)
    return Unread(tuple(unread), tuple(notes), advice)


def _advise(path: str, context: str, mapped: Mapping[str, str]) -> str:
    """Return the advice to read a path as context, beside the one that is read, if any."""
    a, it, both = ("a second", "both", f"{context}+") if context else ("a", "it", "")
    option = ",".join([f"context={both}{path}", *map("=".join, mapped.items())])
    return f"{path} looks like {a} context; to read {it}: --columns {shlex.quote(option)}"


def _notes(row: Mapping[str, Any], drafts: Sequence[Draft]) -> Iterator[str]:
    yield from _turn_notes(row)
    if any(any(excluded_answers(row, d.turns, d.response.path)) for d in drafts):
        yield _WEIGHT
    for name in _FLAGS:
        if isinstance(row.get(name), bool):
            yield (
                f"{name} is not read: rows with {name} false are scored and kept like the others; "
                "if they are bad answers, remove them first"
            )
    choices = next((name for name in _CHOICES if isinstance(row.get(name), list | dict)), "")
    for draft in drafts:
        if note := draft.note or draft.response.note:
            yield note
        if isinstance(read_path(row, draft.response.path)[1], bool):
            name = draft.response.path
            yield f"{name} is a boolean; the responses are the texts true and false"
        if choices and _CHOICE.fullmatch(draft.response.text.strip()):
            yield (
                f"the responses are numbers or letters of {choices}, which is not read; "
                "write the choices into the question"
            )
        if _SPEAKER.match(draft.instruction.text):
            yield f"{draft.instruction.path} starts with Human:, which is part of the instruction"


def _turn_notes(row: Mapping[str, Any]) -> Iterator[str]:
    """Notes on the keys of the row's turns other than their texts."""
    lists = (value for value in row.values() if isinstance(value, list))
    turns = [m for m in chain(*lists) if isinstance(m, Mapping) and {"role", "from"} & m.keys()]
    for key in dict.fromkeys(key for turn in turns for key in _unread_keys(turn)):
        yield f"messages have {key}, which is not read"


def _unread_keys(turn: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys of a turn with a text of several words that is not read."""
    texts = [value for key, value in turn.items() if key in TEXT_KEYS]
    for key, value in turn.items():
        read = key in TEXT_KEYS or value in texts or not isinstance(value, str)
        if not read and count_words(value, 4) >= 4:
            yield key


def _with_drafts(rows: Sequence[Mapping[str, Any]], layout: RowLayout) -> Iterator[_Fitting]:
    """Yield the rows that have the format, each with its drafts."""
    for row in rows:
        try:
            drafts = read_drafts(row, layout)
        except RowError:
            continue
        yield row, drafts


def describe_unread(columns: Mapping[str, Unread], most: int = 12) -> list[str]:
    """Return the lines of `list_unread` and the advice for each source, after the source's name."""
    return [
        f"{name}: {line}"
        for name, unread in columns.items()
        for line in (*list_unread(unread, most), *unread.advice)
    ]


def list_unread(unread: Unread, most: int = 12) -> list[str]:
    """Return a line with the first `most` columns that are not read, and the notes."""
    more = ", …" * (len(unread.columns) > most)
    shown = f"columns not read: {', '.join(unread.columns[:most])}{more}"
    return [*([shown] if unread.columns else []), *unread.notes]


# ------------------------------------------------------------- what looks like a context
def _find_likely(
    unread: Sequence[str], fitting: Sequence[_Fitting], *, second: bool
) -> Iterator[str]:
    """Yield the paths of the texts that look like a context; `second` if one is already read."""
    paths = (p for name in unread for row, _ in fitting for p in _text_paths(row.get(name), name))
    for path in dict.fromkeys(paths):
        if least := _least_words(path, second=second):
            texts = [_new_text(path, row, drafts) for row, drafts in fitting]
            sizes = [count_words(text, 30) for text in texts if text]
            if sum(size >= least for size in sizes) > len(sizes) / 2:
                yield path


def _text_paths(value: Any, path: str) -> Iterator[str]:
    """Yield the paths of the texts in a value, with `[*]` for every item of a list.

    Turns are left out.
    """
    if isinstance(value, str):
        yield path
    elif path.count(".") + path.count("[") >= _MOST_STEPS:
        return
    elif isinstance(value, list):
        for item in value[:_MOST_ITEMS]:
            yield from [path] if isinstance(item, str) else _text_paths(item, f"{path}[*]")
    elif isinstance(value, Mapping) and not {"role", "from"} & value.keys():
        for key, item in value.items():
            if not re.search(r"[.\[\],=+]", str(key)):
                yield from _text_paths(item, f"{path}.{key}")


def _least_words(path: str, *, second: bool) -> int:
    """Return the least number of words of a context with this name; 0 for any other name."""
    steps = [step for step in re.split(r"[.\[\]*]+", path) if step]
    last = {word.lower() for word in _NAME_WORD.findall(steps[-1])}
    words = last.union(word.lower() for step in steps for word in _NAME_WORD.findall(step))
    if words & _ANSWER_WORDS or path == "text" or path.lower() in _GOLD:
        return 0
    if path.lower() in CONTEXTS:
        return 1
    if words & _CONTEXT_WORDS:
        return 4 if last & _CONTEXT_WORDS else 8
    return 0 if second or last & _PROMPT_WORDS else 31


def _new_text(path: str, row: Mapping[str, Any], drafts: Sequence[Draft]) -> str:
    """Return the text of a path; "" if it repeats the prompt, or if the prompt has it already."""
    text = read_context(row, (path,), "").text.strip()
    for draft in drafts:
        turns = draft.turns
        said = [draft.instruction.text, draft.context.text, draft.system.text]
        asked, answer = draft.instruction.text.strip(), draft.response.text.strip()
        if any(text in part for part in (*said, *(turn.content for turn in turns))):
            return ""
        if (len(asked) >= 12 and asked in text) or (len(answer) >= 60 and answer in text):
            return ""
    return text


def _columns_of(draft: Draft) -> set[str]:
    """Return the top-level columns that a draft uses."""
    parts = (draft.instruction, draft.response, draft.context, draft.system)
    paths = [part.path for part in parts] + [t.path for t in draft.turns]
    return {*paths, *map(column_of, paths)} | ({"tools"} if draft.tools else set())
