"""What is asked of a completions endpoint, and what its answer must hold.

Two ways of asking for the log-probabilities of a prompt are in use:

- ``prompt_logprobs`` (vLLM's server): for each token a mapping from its id, so
  the ids of the answer are compared with those that were sent;
- ``echo`` with ``logprobs`` (OpenAI's first API, and servers after it): numbers in
  the order of the tokens. They are counted, and the probe's tokens must spell its text.

Prompts are sent as token ids in both: a server that encodes text itself could
divide it otherwise, and score other tokens than the ones that are recorded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ifcurate.engines.base import Float32Array

_LARGEST: Final = float(np.finfo(np.float32).max)

__all__ = ["DIALECTS", "AnswerError", "Dialect", "spelled_text"]


class AnswerError(Exception):
    """An answer does not hold one log-probability for every token; says what it holds."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """A way of asking, and of reading what comes back."""

    name: str
    fields: tuple[tuple[str, Any], ...]  # of the request, beside model and prompt
    read: Callable[[dict[str, Any], Sequence[int]], Float32Array]  # (n_tokens,), first one NaN
    answer_bytes: int  # per token, generously

    def request(self, model: str, ids: Sequence[int]) -> dict[str, Any]:
        """The body of a request; nothing in it that is not needed."""
        return {"model": model, "prompt": list(ids), **dict(self.fields)}


def _choice(answer: dict[str, Any]) -> dict[str, Any]:
    choices = answer.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise AnswerError("no single entry in choices")
    return choices[0]


def _number(value: Any, position: int) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        found = "null" if value is None else type(value).__name__
        raise AnswerError(f"{found} for token {position}, which is no number")
    if _LARGEST < abs(value) < math.inf:
        raise AnswerError(f"a number beyond float32 for token {position}")
    return float(value)


def _read_prompt_logprobs(answer: dict[str, Any], ids: Sequence[int]) -> Float32Array:
    found = _choice(answer).get("prompt_logprobs")
    if not isinstance(found, list):
        raise AnswerError("no prompt_logprobs")
    if len(found) != len(ids):
        raise AnswerError(f"prompt_logprobs of {len(found)} tokens for {len(ids)}")
    values = np.full(len(ids), np.nan, dtype=np.float32)
    for position in range(1, len(ids)):
        entry = found[position]
        if not isinstance(entry, dict):
            raise AnswerError(f"nothing for token {position} of {len(ids)}")
        token = entry.get(str(ids[position]))
        if not isinstance(token, dict):
            other = ", ".join(map(str, list(entry)[:3])) or "none"
            raise AnswerError(f"id {other} at token {position}, where {ids[position]} was sent")
        values[position] = _number(token.get("logprob"), position)
    return values


def _read_echo(answer: dict[str, Any], ids: Sequence[int], *, generated: int) -> Float32Array:
    logprobs = _choice(answer).get("logprobs")
    found = logprobs.get("token_logprobs") if isinstance(logprobs, dict) else None
    if not isinstance(found, list):
        raise AnswerError("no logprobs.token_logprobs")
    if len(found) not in range(len(ids), len(ids) + generated + 1):
        raise AnswerError(f"log-probabilities of {len(found) - generated} tokens for {len(ids)}")
    usage = answer.get("usage")
    counted = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    if isinstance(counted, int) and counted != len(ids):
        raise AnswerError(f"a prompt of {counted} tokens where {len(ids)} were sent")
    values = np.full(len(ids), np.nan, dtype=np.float32)
    for position in range(1, len(ids)):
        values[position] = _number(found[position], position)
    return values


def spelled_text(answer: dict[str, Any], n_tokens: int) -> str | None:
    """The prompt's tokens as an echoing server spells them: no white space, lower case.

    Nor are there the signs that vocabularies write for white space or the lack of
    it. None when the server does not spell them, or as ids.
    """
    logprobs = _choice(answer).get("logprobs")
    tokens = logprobs.get("tokens") if isinstance(logprobs, dict) else None
    if not isinstance(tokens, list) or not all(isinstance(t, str) for t in tokens):
        return None
    if any(t.startswith("token_id:") for t in tokens):
        return None
    text = "".join(token.removeprefix("##") for token in tokens[:n_tokens])
    return "".join(text.replace("▁", " ").replace("Ġ", " ").split()).casefold()


def _echo(generated: int, logprobs: int) -> Dialect:
    def read(answer: dict[str, Any], ids: Sequence[int]) -> Float32Array:
        return _read_echo(answer, ids, generated=generated)

    fields = (
        ("max_tokens", generated),
        ("temperature", 0),
        ("echo", True),
        ("logprobs", logprobs),
    )
    return Dialect(f"echo-{generated}-{logprobs}", fields, read, 1024)


#: In the order in which they are tried.
DIALECTS: Final = (
    Dialect(
        "prompt_logprobs",
        (("max_tokens", 1), ("temperature", 0), ("prompt_logprobs", 0)),
        _read_prompt_logprobs,
        1024,
    ),
    _echo(0, 0),
    _echo(0, 1),
    _echo(1, 0),
    _echo(1, 1),
)
