"""An engine without a model, for dry runs and tests: deterministic, instant, honest about itself.

A token is likely when it occurred before in its sequence, and likelier the
longer the context that it repeats; so a response that copies its context has a
gain, as with a real model. The numbers mean nothing else.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from ifcurate.engines.base import Encoding, EngineIdentity, EngineReport, Float32Array, Prompt

__all__ = ["ToyEngine", "ToyTokenizer"]

_WORD: Final = re.compile(r" ?\w+| ?[^\w\s]|\s")
_BUCKETS: Final = 50_021  # a prime; ids are hashes of words


class ToyTokenizer:
    """Words and signs, each with the space before it; ids are hashes."""

    fingerprint = "toy-words-1"
    bos_id: int | None = 1
    fallback_start_id = 1
    eos_text = "</s>"
    chat_template: str | None = None

    def encode(self, text: str) -> Encoding:
        """Encode one text."""
        ids, offsets = [], []
        for match in _WORD.finditer(text):
            ids.append(2 + _stable_hash(match.group()) % _BUCKETS)
            offsets.append(match.span())
        return Encoding(ids, offsets)

    def encode_batch(self, texts: Sequence[str]) -> list[Encoding]:
        """Encode many."""
        return [self.encode(text) for text in texts]

    def special_tokens(self) -> Mapping[str, str]:
        """Its two special tokens."""
        return {"bos_token": "<s>", "eos_token": self.eos_text}


_hashes: dict[str, int] = {}


def _stable_hash(word: str) -> int:
    if word not in _hashes:
        if len(_hashes) > 200_000:
            _hashes.clear()
        digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=4).digest()
        _hashes[word] = int.from_bytes(digest, "big")
    return _hashes[word]


class ToyEngine:
    """Log-probabilities from repetition alone."""

    def __init__(self, *, max_length: int = 4096) -> None:
        self.max_length = max_length
        self.tokenizer = ToyTokenizer()
        self.identity = EngineIdentity(
            "toy", "1", "toy", "none", "float32", self.tokenizer.fingerprint
        )

    def response_logprobs(self, prompts: Sequence[Prompt]) -> list[Float32Array]:
        """See `Engine.response_logprobs`."""
        return [_logprobs(prompt) for prompt in prompts]

    def report(self) -> EngineReport:
        """Nothing but what it is."""
        return EngineReport(notes=["toy engine: the numbers mean nothing, use them for dry runs"])


def _logprobs(prompt: Prompt) -> Float32Array:
    ids = list(prompt.ids)
    seen: set[int] = set()
    pairs: set[tuple[int, int]] = set()
    values = []
    for i, token in enumerate(ids):
        if i >= prompt.response_start:
            likely = 0.9 if (ids[i - 1], token) in pairs else 0.2 if token in seen else 0.01
            # A little of the token's own, so that no two rows tie by accident.
            values.append(np.log(likely) - (token % 97) / 1000)
        seen.add(token)
        if i:
            pairs.add((ids[i - 1], token))
    return np.asarray(values, dtype=np.float32)
