"""Properties of a row's texts: end markers, typed special tokens, repeated context.

These are end-of-text markers at the end of a response, special tokens spelled out inside
texts, and words of a context that are also elsewhere in the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from ifcurate.engines.base import Tokenizer
from ifcurate.records import Example

#: Above this share, the prompt without the context still has most of its words.
MUCH_OVERLAP: Final = 0.6

_ENDS: Final = (
    *("<|endoftext|>", "</s>", "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|end|>"),
    *("<end_of_turn>", "<eos>", "[EOS]", "<|eom_id|>", "<|eot|>", "<｜end▁of▁sentence｜>"),
)
_SPECIAL: Final = re.compile(
    r"<\|[^|<>\s]{1,40}\|>|</?s>|\[/?INST\]|<(?:bos|eos|pad|unk|mask)>|<(?:start|end)_of_turn>|"
    r"\[(?:CLS|SEP|PAD|MASK|UNK)\]"
)
_WORD: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")


def split_end_marker(response: str) -> tuple[str, str]:
    """Return a response without end-of-text markers at its end, and the markers, "" if there are
    none.

    If the response is only markers, its text is empty.
    """
    bare = response.rstrip()
    while marker := next((end for end in _ENDS if bare.endswith(end)), ""):
        bare = bare.removesuffix(marker).rstrip()
    markers = response[len(bare) :].split()
    return (bare, " ".join(markers)) if markers else (response, "")


def has_text(response: str) -> bool:
    """Return whether a response has more than white space and end-of-text markers."""
    return bool(split_end_marker(response)[0].strip())


def without_end_marker(example: Example) -> Example:
    """Return the example without end-of-text markers at the end of its response.

    It is the same object if there are none, or if the response is only markers.
    """
    bare, marker = split_end_marker(example.response)
    return replace(example, response=bare) if marker and bare else example


def _texts(example: Example) -> Iterator[str]:
    yield from (example.system, example.instruction, example.context, example.tools)
    for turn in (*example.history, *example.trailing):
        yield turn.content


def context_overlap(example: Example) -> float | None:
    """Return the share of the context's distinct words that are also elsewhere in the prompt, 0 to
    1.

    None without a context. Letter case is ignored. In scripts without spaces each character
    counts as a word.
    """
    words = set(_WORD.findall(example.context_text.lower()))
    if not words:
        return None
    rest = " ".join(_texts(example.without_context())).lower()
    return len(words & set(_WORD.findall(rest))) / len(words)


class SpecialTokens:
    """Counts the special tokens of one tokenizer that are typed inside texts."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        named = (text for text in tokenizer.special_tokens().values() if text)
        self._known: dict[str, bool] = dict.fromkeys(named, True)

    def count(self, example: Example) -> int:
        """Return the number of special tokens in the texts and the response of an example."""
        texts = (*_texts(example), example.response)
        return sum(self.is_special(m[0]) for text in texts for m in _SPECIAL.finditer(text))

    def is_special(self, text: str) -> bool:
        """Return whether the tokenizer encodes a marker as one token."""
        if text not in self._known:
            if _SPECIAL.fullmatch(text) is None:
                return False
            self._known[text] = len(self._tokenizer.encode(text).ids) == 1
        return self._known[text]
