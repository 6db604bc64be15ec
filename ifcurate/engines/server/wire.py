"""Requests to a completions endpoint, and the checks of their answers.

Two forms of request for the log-probabilities of a prompt are common:

- ``prompt_logprobs`` (vLLM's server): for each token a mapping from its id. The ids of
  the answer are compared with those that were sent.
- ``echo`` with ``logprobs`` (OpenAI's first API, and similar servers): numbers in the
  order of the tokens. They are counted, and the probe's tokens must spell its text.

Both send prompts as token ids. A server that encodes text itself could encode it
differently, and score other tokens than the recorded ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from ifcurate.engines.base import Float32Array

ANSWER_BYTES: Final = 1024  # for each token, at most
_LARGEST: Final = float(np.finfo(np.float32).max)


class AnswerError(Exception):
    """An answer without one log-probability for every token. The message says what was found."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """A form of request, and the reader of its answer."""

    name: str
    fields: tuple[tuple[str, Any], ...]  # fields of the request, in addition to model and prompt
    read: Callable[[dict[str, Any], Sequence[int]], Float32Array]  # (n_tokens,), first one NaN

    def request(self, model: str, ids: Sequence[int]) -> dict[str, Any]:
        """Return the body of a request."""
        return {"model": model, "prompt": list(ids), **dict(self.fields)}


def _choice(answer: dict[str, Any]) -> dict[str, Any]:
    choices = answer.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise AnswerError("no single entry in choices")
    return choices[0]


def _number(value: Any, position: int) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        kind = "null" if value is None else type(value).__name__
        raise AnswerError(f"{kind} for token {position}, which is not a number")
    if _LARGEST < abs(value) < math.inf:
        raise AnswerError(f"a number beyond float32 for token {position}")
    return float(value)


def _read_prompt_logprobs(answer: dict[str, Any], ids: Sequence[int]) -> Float32Array:
    entries = _choice(answer).get("prompt_logprobs")
    if not isinstance(entries, list):
        raise AnswerError("no prompt_logprobs")
    if len(entries) != len(ids):
        raise AnswerError(f"prompt_logprobs of {len(entries)} tokens for {len(ids)}")
    values = np.full(len(ids), np.nan, dtype=np.float32)
    for position in range(1, len(ids)):
        entry = entries[position]
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
    numbers = logprobs.get("token_logprobs") if isinstance(logprobs, dict) else None
    if not isinstance(numbers, list):
        raise AnswerError("no logprobs.token_logprobs")
    if len(numbers) not in range(len(ids), len(ids) + generated + 1):
        raise AnswerError(f"log-probabilities of {len(numbers) - generated} tokens for {len(ids)}")
    usage = answer.get("usage")
    counted = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    if isinstance(counted, int) and counted != len(ids):
        raise AnswerError(f"a prompt of {counted} tokens where {len(ids)} were sent")
    values = np.full(len(ids), np.nan, dtype=np.float32)
    for position in range(1, len(ids)):
        values[position] = _number(numbers[position], position)
    return values


def spelled_text(answer: dict[str, Any], n_tokens: int) -> str | None:
    """Return the prompt's tokens as an echoing server spells them, in lower case.

    White space is removed, and so are the characters that vocabularies write for it. None
    if the server spells no tokens, or spells them as ids.
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
    fields = (("max_tokens", generated), ("temperature", 0), ("echo", True), ("logprobs", logprobs))
    return Dialect(f"echo-{generated}-{logprobs}", fields, partial(_read_echo, generated=generated))


#: In the order in which they are tried.
DIALECTS: Final = (
    Dialect(
        "prompt_logprobs",
        (("max_tokens", 1), ("temperature", 0), ("prompt_logprobs", 0)),
        _read_prompt_logprobs,
    ),
    _echo(0, 0),
    _echo(0, 1),
    _echo(1, 0),
    _echo(1, 1),
)
