"""The turns of a chat, from the formats in which rows have them: lists of turns, or one text."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ifcurate.data.paths import column_of, read_path
from ifcurate.errors import RowError
from ifcurate.phrases import count
from ifcurate.records import Role, Turn

#: Our roles -> the names that data give them.
_NAMES: Final[Mapping[Role, Sequence[str]]] = {
    "system": ("system", "developer"),
    "user": ("user", "human", "prompter"),
    "assistant": (
        *("assistant", "gpt", "chatgpt", "model", "bot", "chatbot"),
        *("function_call", "tool_call"),
    ),
    "tool": ("tool", "function", "observation", "function_response", "tool_response", "ipython"),
}
_ROLES: Final = {name: role for role, names in _NAMES.items() for name in names}


_ITEM: Final = re.compile(r"[^\]]*\]")  # the item of a list that a path is in
#: The keys of a turn's text. The first that a turn has is used. Some rows mix two of them.
TEXT_KEYS: Final = ("content", "value", "text", "parts")
#: Keys of a turn that say whether it is trained on; `weight` also of a row.
WEIGHTS: Final = ("weight", "train")
#: Keys of a question and its answer that are one item of a list.
_PAIRS: Final = (
    *(("human", "assistant"), ("user", "assistant"), ("human", "bot"), ("input", "output")),
    *(("prompt", "response"), ("question", "answer"), ("query", "response")),
)


def read_turns(value: Any, path: str) -> list[Turn]:
    """Return the turns of a list: OpenAI's role/content, or ShareGPT's from/value.

    Items may also be pairs of a question and its answer, or texts that alternate, the user's
    first. A single turn may stand for the list, and a list may be written as JSON in a text.
    Raises `RowError` with the place of the first item that is not a turn.
    """
    value = parse_list(value)
    if isinstance(value, Mapping):
        return _read_item(value, path)
    if not isinstance(value, list):
        raise RowError(f"column {path!r}: expected a list of turns, found {type(value).__name__}")
    if len(value) > 1 and all(isinstance(item, str) for item in value):
        roles: tuple[Role, Role] = "user", "assistant"
        return [Turn(roles[i % 2], text, f"{path}[{i}]") for i, text in enumerate(value)]
    return [turn for i, item in enumerate(value) for turn in _read_item(item, f"{path}[{i}]")]


def parse_list(value: Any) -> Any:
    """Return a list that a table has as JSON in a text; every other value as it is."""
    if isinstance(value, str) and value.lstrip()[:2] in ("[{", '["'):
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(value)
    return value


def _read_item(item: Any, path: str) -> list[Turn]:
    """Return the turn of an item of a chat, or the two turns of a question and its answer."""
    if is_pair(item):
        return [Turn("user", item[0], f"{path}[0]"), Turn("assistant", item[1], f"{path}[1]")]
    if isinstance(item, Mapping) and not {"role", "from"} & item.keys():
        for asked, answer in _PAIRS:
            if isinstance(item.get(asked), str) and isinstance(item.get(answer), str):
                return [
                    Turn("user", item[asked], f"{path}.{asked}"),
                    Turn("assistant", item[answer], f"{path}.{answer}"),
                ]
    return [_read_turn(item, path)]


def is_pair(item: Any) -> bool:
    """Return whether an item of a chat is a list of a question and its answer."""
    return isinstance(item, list) and list(map(type, item)) == [str, str]


def _read_turn(item: Any, path: str) -> Turn:
    if not isinstance(item, Mapping):
        raise RowError(f"{path}: expected a turn, found {type(item).__name__}")
    # A table fills the keys of other turns with null.
    named = next((key for key in ("role", "from") if item.get(key)), "role")
    role = _ROLES.get(str(item.get(named)).strip().lower())
    if role is None:
        raise RowError(f"{path}: unknown {named} {item.get(named)!r}; known: {', '.join(_ROLES)}")
    keys = TEXT_KEYS if named == "role" else ("value", *TEXT_KEYS)
    key = next((key for key in keys if item.get(key) is not None), keys[0])
    content, where = _turn_text(item.get(key), f"{path}.{key}")
    calls = _read_calls(item, path)
    if not calls and item.get(named) in ("function_call", "tool_call"):
        calls = _call_in_text(content)
    return Turn(role, content, where, tuple(calls), str(item.get("name") or ""))


def excludes_path(row: Mapping[str, Any], path: str) -> bool:
    """Return whether a row says not to train on it, or on the turn whose text has this path."""
    if _says_no(row.get("weight")):
        return True
    item = _ITEM.match(path)
    if item is None:
        return False
    column = column_of(path)
    turn = read_path({column: parse_list(row.get(column))}, item[0])[1]
    return isinstance(turn, Mapping) and any(_says_no(turn.get(name)) for name in WEIGHTS)


def excluded_answers(
    row: Mapping[str, Any], turns: Sequence[Turn], response_path: str
) -> list[bool]:
    """Return for each answer, the response last, whether the row says not to train on it."""
    paths = (turn.path for turn in turns if turn.role == "assistant")
    return [excludes_path(row, path) for path in (*paths, response_path)]


def _says_no(value: Any) -> bool:
    return str(value).strip().lower() in ("0", "0.0", "false")


def _read_calls(item: Mapping[str, Any], path: str) -> Sequence[Any]:
    """Return the tool calls of a turn, as the row has them."""
    calls = item.get("tool_calls") or ()
    if not calls and isinstance(item.get("function_call"), Mapping):  # OpenAI's older form
        calls = [{"type": "function", "function": dict(item["function_call"])}]
    if isinstance(calls, str):  # as JSON, which a table needs
        with contextlib.suppress(ValueError):
            calls = json.loads(calls)
    if not isinstance(calls, list | tuple):
        raise RowError(f"{path}.tool_calls: expected a list, found {type(calls).__name__}")
    return calls


def _call_in_text(content: str) -> list[Mapping[str, Any]]:
    """Return the tool call in a turn's text.

    ShareGPT writes calls there; chat templates expect a call.
    """
    try:
        call = json.loads(content)
    except ValueError:
        return []
    if isinstance(call, Mapping) and isinstance(call.get("name"), str):
        return [{"type": "function", "function": dict(call)}]
    return []


def _turn_text(value: Any, path: str) -> tuple[str, str]:
    """Return the text of a turn, or of its only part, and its path."""
    if value is None:
        return "", path
    if isinstance(value, str):
        return value, path
    found = type(value).__name__
    if isinstance(value, list):
        parts = [p if isinstance(p, Mapping) else {"type": type(p).__name__} for p in value]
        kinds = [str(part.get("type", "text")) for part in parts]
        if len(parts) == 1 and kinds[0].endswith("text"):  # or input_text, output_text (OpenAI)
            for key in ("text", "value"):
                if isinstance(parts[0].get(key), str):
                    return parts[0][key], f"{path}[0].{key}"
        found = f"a list of {count(len(value), 'part')} ({', '.join(kinds[:4])})"
    raise RowError(
        f"{path}: expected text, found {found}; only text can be scored: join texts into one, "
        "write calls as `tool_calls`, and results as messages with the role `tool`"
    )


# --------------------------------------------------------- chats that are one text
#: The marks of HH-RLHF's dialogues. The group is the speaker.
_SPEAKERS: Final = re.compile(r"(?:\A|\n\n)(Human|Assistant): ?")
#: The marks of each kind of chat.
_MARKS: Final = (
    re.compile(r"<\|im_start\|>(system|user|assistant|tool)\n"),
    re.compile(r"<\|start_header_id\|>(system|user|assistant|ipython)<\|end_header_id\|>\n*"),
    re.compile(r"<start_of_turn>(user|model)\n"),
    re.compile(r"<\|(system|user|assistant)\|>\n?"),
    re.compile(r"(\[/?INST\]) ?"),
    re.compile(r"### (System|Human|User|Assistant): ?"),
    re.compile(r"^(SYSTEM|USER|ASSISTANT|FUNCTION RESPONSE): ?", re.M),
    _SPEAKERS,
)
_MARKED_ROLES: Final[dict[str, Role]] = {
    **_ROLES,
    **{"function response": "tool", "[inst]": "user", "[/inst]": "assistant"},
}
_STARTS: Final = ("", "<s>", "<bos>", "<|begin_of_text|>")
_ENDS: Final = (
    *("<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<end_of_turn>", "<|end|>", "<|endoftext|>"),
    *("</s>", "<s>"),
)
#: The system message inside the first message of Llama 2's chats.
_SYSTEM: Final = re.compile(r"\s*<<SYS>>(.*?)<</SYS>>\s*", re.DOTALL)


def split_speakers(text: str, name: str) -> list[Turn]:
    """Return the turns of a dialogue with `Human:` and `Assistant:`, as `split_chat` gives them."""
    return split_chat(text, name, (_SPEAKERS,))


def split_chat(text: str, name: str, marks: Sequence[re.Pattern[str]] = _MARKS) -> list[Turn]:
    """Return the turns of a chat that column `name` has as one text; [] for another text.

    Turn 2 has the path `name[2]`, which is not a place in the row. The end marks of a turn are not
    part of it. The chat begins with the user, or with a system message before the user's.
    """
    for mark in marks:
        pieces = mark.split(text)
        if len(pieces) > 3 and pieces[0].strip() in _STARTS:
            roles = [_MARKED_ROLES[who.lower()] for who in pieces[1::2]]
            # Human: and Assistant: have no end marks, so any such mark is data.
            said = [w if mark is _SPEAKERS else _without_ends(w) for w in pieces[2::2]]
            if roles[0] == "user" and (system := _SYSTEM.match(said[0])):
                roles, said = ["system", *roles], [system[1].strip(), *said]
                said[1] = said[1][system.end() :]
            if roles[roles[0] == "system"] == "user" and "assistant" in roles:
                turns = enumerate(zip(roles, said, strict=True))
                return [Turn(role, words, f"{name}[{i}]") for i, (role, words) in turns]
    return []


def _without_ends(text: str) -> str:
    text = text.rstrip()
    while end := next((end for end in _ENDS if text.endswith(end)), ""):
        text = text.removesuffix(end).rstrip()
    return text
