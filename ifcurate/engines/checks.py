"""Checks that every engine makes: of its prompts, and of the numbers that it returns."""

from __future__ import annotations

import numpy as np

from ifcurate.engines.base import Float32Array, Prompt
from ifcurate.errors import ModelError

_ABOVE_ZERO = 1e-3  # rounding; a log-probability is at most 0
_MINUS_INFINITY = -9999.0  # vLLM's server writes this, because JSON has no infinity


def check_max_length(name: str, wanted: int, limit: int | None) -> None:
    """Raise `ModelError` for a length above the model's limit (None if unknown)."""
    if limit is not None and wanted > limit:
        raise ModelError(
            f"{name}: max_length must be at most the model's own; found {wanted}, "
            f"the model takes {limit}; leave it out, or give a smaller one"
        )


def check_vocabulary(name: str, n_tokens: int, n_ids: int) -> None:
    """Raise `ModelError` for a tokenizer with more tokens than the model has embeddings."""
    if n_tokens > n_ids:
        raise ModelError(
            f"{name}: the tokenizer does not fit the model; found {n_tokens} tokens and {n_ids} "
            "embeddings; copy the model's own tokenizer files into its folder"
        )


def check_prompt(i: int, prompt: Prompt, *, max_length: int, n_ids: int | None) -> None:
    """Raise `ModelError` for a prompt that the model cannot score; `n_ids` is None if unknown."""
    n = len(prompt.ids)
    if not 1 <= prompt.response_start <= n:
        raise ModelError(
            f"prompt {i}: the response must follow at least one token; found response_start "
            f"{prompt.response_start} of {n} tokens; put a start token in front"
        )
    if n > max_length:
        raise ModelError(
            f"prompt {i}: longer than the model takes; found {n} tokens, the most is "
            f"{max_length}; shorten the context, or leave the row out"
        )
    if not (min(prompt.ids) >= 0 and (n_ids is None or max(prompt.ids) < n_ids)):
        most = "" if n_ids is None else f", the model has 0 to {n_ids - 1}"
        raise ModelError(
            f"prompt {i}: ids outside the model's vocabulary; found {min(prompt.ids)} to "
            f"{max(prompt.ids)}{most}; encode with this engine's own tokenizer"
        )


def check_finite(where: str, values: Float32Array, *, dtype: str) -> None:
    """Raise `ModelError` for numbers that are not finite."""
    bad = ~np.isfinite(values) | (values <= _MINUS_INFINITY)
    if bad.any():
        raise ModelError(
            f"{where}: the model gave a number that is not finite; found {int(bad.sum())} of "
            f"{len(values)} log-probabilities in {dtype}; use float32 or bfloat16 (--dtype), or "
            "check the weights"
        )


def check_logprobs(where: str, values: Float32Array, *, dtype: str) -> None:
    """Raise `ModelError` for numbers that are not log-probabilities: not finite, or above 0."""
    check_finite(where, values, dtype=dtype)
    if (values > _ABOVE_ZERO).any():
        raise ModelError(
            f"{where}: numbers that are not log-probabilities; found {float(values.max()):.4g}, "
            "above 0; make it return raw log-probabilities (vLLM: --logprobs-mode raw_logprobs)"
        )
