"""An engine without a model, for dry runs and tests: deterministic and instant.

A token is likely if it occurs earlier in its sequence, and likelier if it repeats a pair
of tokens. So a response that copies its context has a gain, as with a real model. The
numbers mean nothing else.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Final

import numpy as np

from ifcurate.engines.base import (
    Encoding,
    Engine,
    EngineIdentity,
    EngineReport,
    Float32Array,
    Prompt,
)

_WORD: Final = re.compile(r" ?\w+| ?[^\w\s]|\s")
_BUCKETS: Final = 50_021  # a prime; ids are hashes of words
_REPEATED, _SEEN, _NEW = (float(np.log(p)) for p in (0.9, 0.2, 0.01))


class ToyTokenizer:
    """Words and signs, each with the space before it; ids are hashes."""

    fingerprint = "toy-words-1"
    bos_id: int | None = 1
    fallback_start_id = 1
    eos_text = "</s>"
    chat_template: str | None = None

    def encode(self, text: str) -> Encoding:
        """Encode one text."""
        words = _WORD.findall(text)  # every character is in one of them
        ends = list(accumulate(map(len, words)))
        return Encoding([_id(word) for word in words], list(zip([0, *ends], ends, strict=False)))

    def encode_batch(self, texts: Sequence[str]) -> list[Encoding]:
        """Encode many."""
        return [self.encode(text) for text in texts]

    def special_tokens(self) -> Mapping[str, str]:
        """Return the two special tokens."""
        return {"bos_token": "<s>", "eos_token": self.eos_text}


@lru_cache(maxsize=200_000)
def _id(word: str) -> int:
    digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return 2 + int.from_bytes(digest, "big") % _BUCKETS


class ToyEngine(Engine):
    """Log-probabilities from repetition only."""

    def __init__(self, *, max_length: int = 4096) -> None:
        self.max_length = max_length
        self.tokenizer: ToyTokenizer = ToyTokenizer()
        self.identity = EngineIdentity(
            "toy", "1", "toy", "none", "float32", self.tokenizer.fingerprint
        )

    def response_logprobs(self, prompts: Sequence[Prompt]) -> list[Float32Array]:
        """See `Engine.response_logprobs`."""
        return [_logprobs(prompt) for prompt in prompts]

    def report(self) -> EngineReport:
        """Return a note that the numbers mean nothing."""
        return EngineReport(
            notes=["toy engine: the numbers mean nothing; use it only for dry runs"]
        )


def _logprobs(prompt: Prompt) -> Float32Array:
    ids = list(prompt.ids)
    start = prompt.response_start
    seen = set(ids[:start])
    pairs = set(pairwise(ids[:start]))
    values = []
    for pair in pairwise(ids[start - 1 :]):
        token = pair[1]
        likely = _REPEATED if pair in pairs else _SEEN if token in seen else _NEW
        # A small amount for each token, so that rows do not tie by chance.
        values.append(likely - (token % 97) / 1000)
        seen.add(token)
        pairs.add(pair)
    return np.asarray(values, dtype=np.float32)


def load_toy_engine(*, model: str = "") -> ToyEngine:
    """Return the toy engine. It has no model, so a name is ignored."""
    del model
    return ToyEngine()
