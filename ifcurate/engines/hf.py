"""Score with any causal language model that transformers can load.

    log p(y_t | x, y_<t) = log_softmax(z_t)[y_t]    for every response token y_t

Only the positions that predict response tokens pass through the head, and the
log-softmax is taken in float32 whatever dtype the model's body computes in.
This module and the `hf_*` ones beside it are the only door to torch and
transformers for scoring.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from ifcurate.engines.base import EngineIdentity, EngineReport, Float32Array, Prompt
from ifcurate.engines.hf_head import ResponseHead, find_head, pick_logprobs
from ifcurate.engines.hf_loading import (
    choose_device,
    choose_dtype,
    load_config,
    load_model,
    load_tokenizer,
    stored_dtype,
)
from ifcurate.engines.hf_source import ModelSource, find_model
from ifcurate.engines.hf_tokenizer import HFTokenizer
from ifcurate.errors import ModelError

if TYPE_CHECKING:
    pass

__all__ = ["HFEngine", "load_hf_engine"]

_VERSION: Final = "1"  # raised whenever a score could change
_NO_LIMIT: Final = 1 << 20  # where a model states no length: recurrent ones


def load_hf_engine(
    model: str,
    *,
    revision: str | None = None,
    dtype: str = "auto",
    device: str = "auto",
    batch_size: int | Literal["auto"] = "auto",
    max_length: int | None = None,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
    threads: int | None = None,
) -> HFEngine:
    """Load a causal language model for scoring, from a local folder or the Hub.

    `dtype` is "auto", "float32", "bfloat16" or "float16" (see `choose_dtype`);
    `device` "auto", "cpu", "cuda" or "cuda:N"; `max_length` at most the model's
    own; `threads` sets torch's threads in this process. Raises `ModelError`.
    """
    import torch

    if batch_size != "auto" and batch_size < 1:
        raise ModelError(
            f"batch size: must be at least 1; found {batch_size}; use a count, or auto"
        )
    place = choose_device(device)
    source = find_model(
        model, revision=revision, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code
    )
    config = load_config(source, trust_remote_code=trust_remote_code)
    kind = choose_dtype(dtype, place, stored_dtype(source, config))
    tokenizer = HFTokenizer(
        load_tokenizer(source, trust_remote_code=trust_remote_code), where=str(source.folder)
    )
    if threads is not None:
        torch.set_num_threads(threads)
    loaded = load_model(
        source, config, dtype=kind, device=place, trust_remote_code=trust_remote_code
    )
    return HFEngine(loaded, tokenizer, source, max_length=max_length)


class HFEngine:
    """A loaded model that says how likely responses are; see `load_hf_engine`."""

    def __init__(
        self,
        model: Any,
        tokenizer: HFTokenizer,
        source: ModelSource,
        *,
        max_length: int | None = None,
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._source = source
        self._report = EngineReport()
        self._max_length = _length_limit(source, model.config, max_length)
        self._n_ids = int(model.get_input_embeddings().weight.shape[0])
        if tokenizer.vocab_size > self._n_ids:
            raise ModelError(
                f"{source.name}: tokenizer and model do not belong together; found "
                f"{tokenizer.vocab_size} tokens and {self._n_ids} embeddings; "
                "copy the model's own tokenizer files into its folder"
            )
        self._head = self._check_model()

    @property
    def identity(self) -> EngineIdentity:
        """Engine, model, revision, dtype and tokenizer that the numbers come from."""
        return EngineIdentity(
            engine="hf",
            engine_version=_VERSION,
            model=self._source.name,
            revision=self._source.revision,
            dtype=str(self._model.dtype).removeprefix("torch."),
            tokenizer=self._tokenizer.fingerprint,
        )

    @property
    def tokenizer(self) -> HFTokenizer:
        """The tokenizer whose ids `response_logprobs` takes."""
        return self._tokenizer

    @property
    def max_length(self) -> int:
        """The most tokens one sequence may have."""
        return self._max_length

    def report(self) -> EngineReport:
        """What the engine did so far: tokens given and computed, and what it fell back to."""
        return self._report

    def response_logprobs(self, prompts: Sequence[Prompt]) -> list[Float32Array]:
        """Natural-log probability of every response token given all before it.

        One float32 array per prompt, shape (n_response_tokens,), in the order
        given. Raises `ModelError` for a prompt that the model cannot take, for
        numbers that are not finite, and when memory runs out.
        """
        for i, prompt in enumerate(prompts):
            self._check_prompt(i, prompt)
        return [self._score_one(prompt) for prompt in prompts]

    def _score_one(self, prompt: Prompt) -> Float32Array:
        import torch

        ids = torch.tensor([list(prompt.ids)], dtype=torch.long, device=self._model.device)
        start = prompt.response_start
        targets = ids[0, start:]
        if len(targets) == 0:
            return np.zeros(0, dtype=np.float32)
        with torch.inference_mode():
            # The last token predicts nothing that is asked for.
            if self._head is None:
                logits = self._model(input_ids=ids[:, :-1], use_cache=False).logits
                found = pick_logprobs(logits[0, start - 1 :].float(), targets)
            else:
                body = self._model.base_model(input_ids=ids[:, :-1], use_cache=False)
                found = self._head.logprobs(body.last_hidden_state[0, start - 1 :], targets)
        values: Float32Array = found.float().cpu().numpy()
        if not np.isfinite(values).all():
            raise ModelError(
                f"{self._source.name}: the model gave a number that is not finite; found "
                f"{int((~np.isfinite(values)).sum())} of {len(values)} log-probabilities in "
                f"{self.identity.dtype}; use --dtype float32 or bfloat16, or check the weights"
            )
        return values

    def _check_prompt(self, i: int, prompt: Prompt) -> None:
        n = len(prompt.ids)
        if not 1 <= prompt.response_start <= n:
            raise ModelError(
                f"prompt {i}: the response must follow at least one token; found response_start "
                f"{prompt.response_start} of {n} tokens; put a start token in front"
            )
        if n > self._max_length:
            raise ModelError(
                f"prompt {i}: longer than the model takes; found {n} tokens, the most is "
                f"{self._max_length}; shorten the context, or leave the row out"
            )
        if n and not (min(prompt.ids) >= 0 and max(prompt.ids) < self._n_ids):
            raise ModelError(
                f"prompt {i}: ids outside the model's vocabulary; found {min(prompt.ids)} to "
                f"{max(prompt.ids)}, the model has 0 to {self._n_ids - 1}; "
                "encode with this engine's own tokenizer"
            )

    def _check_model(self) -> ResponseHead | None:
        """Find the head, and see that no position looks at later ones."""
        import torch

        n = min(16, self._max_length)
        ids = (torch.arange(n, device=self._model.device) * 7 + 3) % self._n_ids
        other = ids.clone()
        other[n - n // 4 :] = (other[n - n // 4 :] + 1) % self._n_ids
        try:
            with torch.inference_mode():
                first, second = (
                    self._model(input_ids=x[None], use_cache=False).logits[0].float()
                    for x in (ids, other)
                )
            head = find_head(self._model, ids[None])
        except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise ModelError(
                f"{self._source.name}: the model does not run on a short text; found "
                f"{type(error).__name__}: {str(error)[:200]}; "
                "upgrade transformers, or choose another model"
            ) from error
        kept = n - n // 4
        if not torch.isfinite(first).all():
            raise ModelError(
                f"{self._source.name}: the model gives numbers that are not finite; found a short "
                f"text whose logits are NaN or infinite in {self.identity.dtype}; "
                "use --dtype float32 or bfloat16, or check the weights"
            )
        change = float((first[:kept] - second[:kept]).abs().max())
        if not change <= 0.05 * float(first.abs().max()):
            raise ModelError(
                f"{self._source.name}: not a causal language model: a position sees the tokens "
                f"after it; found logits that move by {change:.3g} when later tokens change; "
                "choose a decoder-only model"
            )
        if head is None:
            self._report.notes.append(
                "the model does more than one matrix product after its last layer; "
                "its own forward pass computes the logits"
            )
        return head


def _length_limit(source: ModelSource, config: Any, wanted: int | None) -> int:
    config = config.get_text_config() if hasattr(config, "get_text_config") else config
    names = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
    stated = [int(n) for name in names if isinstance(n := getattr(config, name, None), int)]
    limit = stated[0] if stated and stated[0] > 0 else _NO_LIMIT
    if wanted is None:
        return limit
    if not 2 <= wanted <= limit:
        raise ModelError(
            f"{source.name}: max_length must be between 2 and the model's own; found {wanted}, "
            f"the model takes {limit}; leave it out, or give less"
        )
    return wanted
