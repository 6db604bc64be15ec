"""Chats as one text, with a mark before each turn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ifcurate.records import Role, Turn

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
_ROLES: Final[dict[str, Role]] = {
    **{"system": "system", "user": "user", "human": "user", "assistant": "assistant"},
    **{"tool": "tool", "ipython": "tool", "function response": "tool", "model": "assistant"},
    **{"[inst]": "user", "[/inst]": "assistant"},
}
_STARTS: Final = ("", "<s>", "<bos>", "<|begin_of_text|>")
_ENDS: Final = (
    *("<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<end_of_turn>", "<|end|>", "<|endoftext|>"),
    *("</s>", "<s>"),
)
#: The system message inside the first message of Llama 2's chats.
_SYSTEM: Final = re.compile(r"\s*<<SYS>>(.*?)<</SYS>>\s*", re.DOTALL)


def split_speakers(text: str, name: str) -> list[Turn]:
    """The turns of a dialogue with `Human:` and `Assistant:`, as `split_chat` gives them."""
    return split_chat(text, name, (_SPEAKERS,))


def split_chat(text: str, name: str, marks: Sequence[re.Pattern[str]] = _MARKS) -> list[Turn]:
    """The turns of a chat that column `name` has as one text; [] for another text.

    Turn 2 has the path `name[2]`, which is not a place in the row. The end marks of a turn are not
    part of it. The chat begins with the user, or with a system message before the user's.
    """
    for mark in marks:
        pieces = mark.split(text)
        if len(pieces) > 3 and pieces[0].strip() in _STARTS:
            roles = [_ROLES[who.lower()] for who in pieces[1::2]]
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
