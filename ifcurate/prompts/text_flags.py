"""Properties of a row's texts: end markers, typed special tokens, repeated context.

These are end-of-text markers at the end of a response, special tokens spelled out inside
texts, and words of a context that are also elsewhere in the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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
_WORD: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")


def split_end_marker(response: str) -> tuple[str, str]:
    """Return a response without the end-of-text markers at its end, and the markers.

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


def context_overlap(example: Example) -> float | None:
    """Return the share of the context's distinct words that are also elsewhere in the prompt.

    None without a context. Letter case is ignored. In scripts without spaces each character
    counts as a word.
    """
    words = set(_WORD.findall(example.context_text.lower()))
    if not words:
        return None
    rest = " ".join(example.without_context().prompt_texts).lower()
    return len(words & set(_WORD.findall(rest))) / len(words)


class SpecialTokens:
    """The special tokens of one tokenizer, and where they are typed inside texts."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        named = {text for text in tokenizer.special_tokens().values() if text}
        # Tokenizers of other packages may lack the attribute.
        added: Mapping[str, bool] = getattr(tokenizer, "added_tokens", {})
        self._added = named | added.keys()
        special = named | {text for text, is_special in added.items() if is_special}
        longest_first = sorted(special, key=len, reverse=True)
        self._typed = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def count(self, example: Example) -> int:
        """Return the number of special tokens in the texts and the response of an example."""
        texts = (*example.prompt_texts, example.response)
        return sum(1 for text in texts for _ in self._typed.finditer(text))

    def is_added(self, text: str) -> bool:
        """Return whether a text is one token that was added to the vocabulary, as markers are."""
        return text in self._added
