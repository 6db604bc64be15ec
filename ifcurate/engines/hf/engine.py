"""Score with any causal language model that transformers can load.

    log p(y_t | x, y_<t) = log_softmax(z_t)[y_t]    for every response token y_t

Only the positions that predict response tokens pass through the head, and the
log-softmax is taken in float32 whatever dtype the model's body computes in.
This module and the `hf_*` ones beside it are the only door to torch and
transformers for scoring.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from ifcurate.engines.base import EngineIdentity, EngineReport, Float32Array, Prompt
from ifcurate.engines.checks import check_prompt
from ifcurate.engines.cpu.kernels import Kernels, load_kernels
from ifcurate.engines.cpu.linears import choose_products, use_products
from ifcurate.engines.hf.bodies import exact_length
from ifcurate.engines.hf.loading import (
    choose_device,
    choose_dtype,
    load_config,
    load_model,
    load_tokenizer,
    stored_dtype,
)
from ifcurate.engines.hf.packing import Plan, make_plan
from ifcurate.engines.hf.packs import Begun, PackScorer, fitting_threads
from ifcurate.engines.hf.probes import check_model, choose_body, choose_head
from ifcurate.engines.hf.runner import PackRunner
from ifcurate.engines.hf.source import ModelSource, find_model
from ifcurate.engines.hf.tokenizer import HFTokenizer
from ifcurate.errors import ModelError

__all__ = ["HFEngine", "load_hf_engine"]

_VERSION: Final = "2"  # raised whenever a score could change
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
    fused: bool = True,
) -> HFEngine:
    """Load a causal language model for scoring, from a local folder or the Hub.

    `dtype` is "auto", "float32", "bfloat16" or "float16" (see `choose_dtype`);
    `device` "auto", "cpu", "cuda" or "cuda:N"; `max_length` at most the model's
    own; `batch_size` limits the sequences of a pack ("auto": its tokens alone, by
    memory); `threads` is how many cores to use (one process each on a CPU, all that
    torch sees by default); `fused` allows compiled kernels. Raises `ModelError`.
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
    return HFEngine(
        loaded,
        tokenizer,
        source,
        batch_size=batch_size,
        max_length=max_length,
        threads=torch.get_num_threads(),
        kernels=load_kernels() if fused and place.type == "cpu" else None,
    )


class HFEngine:
    """A loaded model that says how likely responses are; see `load_hf_engine`."""

    def __init__(
        self,
        model: Any,
        tokenizer: HFTokenizer,
        source: ModelSource,
        *,
        batch_size: int | Literal["auto"] = "auto",
        max_length: int | None = None,
        threads: int = 1,
        kernels: Kernels | None = None,
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
        self._n_parameters = int(sum(p.numel() for p in model.parameters()))
        with fitting_threads(model, self._n_parameters):
            check_model(model, source.name)
            products = choose_products(model.device, model.dtype, kernels)
            use_products(model, products)
            head = choose_head(model, kernels, products)
            body, self._route = choose_body(model, head, kernels, products)
        self._exact_length = exact_length(model.config)
        self._packs = PackScorer(
            model,
            PackRunner(model, head, body),
            self._report,
            n_parameters=self._n_parameters,
            threads=threads,
            max_sequences=None if batch_size == "auto" else batch_size,
            share=self._route != "single",
        )
        self._report.notes.append(f"scored by the {self._route} route")
        if products.way:
            self._report.notes.append(f"float32 products through {products.way}")

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

    @property
    def route(self) -> str:
        """How sequences are computed: "fused", "packed" or "single" (see `hf_bodies`)."""
        return self._route

    def report(self) -> EngineReport:
        """What the engine did so far.

        Counts are of tokens and sequences: `tokens_given` as the prompts have them,
        `tokens_computed` after sharing, `tokens_saved` the difference.
        """
        return self._report

    def close(self) -> None:
        """End the scoring processes, if there are any."""
        self._packs.close()

    @property
    def works_apart(self) -> bool:
        """Whether this process has time while the model works; see `base.works_apart`."""
        return self._packs.works_apart

    def response_logprobs(self, prompts: Sequence[Prompt]) -> list[Float32Array]:
        """Natural-log probability of every response token given all before it.

        One float32 array per prompt, shape (n_response_tokens,), in the order
        given. Raises `ModelError` for a prompt that the model cannot take and for
        numbers that are not finite, `RowTooLargeError` (with the prompt's `index`)
        for one that memory does not hold.
        """
        return self.begin(prompts).result()

    def begin(self, prompts: Sequence[Prompt]) -> _Asked:
        """The same in two steps: with processes, they are at work when this returns."""
        for i, prompt in enumerate(prompts):
            check_prompt(i, prompt, max_length=self._max_length, n_ids=self._n_ids)
        plan = make_plan(prompts)
        everyone = range(len(plan.sequences))
        limit = self._exact_length or self._max_length
        alone = [i for i in everyone if len(plan.sequences[i].ids) - 1 > limit]
        apart = set(alone)
        together = [i for i in everyone if i not in apart]
        return _Asked(self, plan, len(prompts), self._packs.begin(plan, together), alone)

    def _gather(self, asked: _Asked) -> list[Float32Array]:
        plan = asked.plan
        found = asked.begun.result()
        found.update(self._packs.begin(plan, asked.alone, single=True).result())
        self._add_counts(plan, asked.n_prompts, len(asked.alone))
        return plan.gather([self._finite(found[i]) for i in range(len(plan.sequences))])

    def _finite(self, values: Float32Array) -> Float32Array:
        if not np.isfinite(values).all():
            raise ModelError(
                f"{self._source.name}: the model gave a number that is not finite; found "
                f"{int((~np.isfinite(values)).sum())} of {len(values)} log-probabilities in "
                f"{self.identity.dtype}; use --dtype float32 or bfloat16, or check the weights"
            )
        return values

    def _add_counts(self, plan: Plan, n_prompts: int, n_alone: int) -> None:
        counts = self._report.counts
        self._packs.count("prompts", n_prompts)
        self._packs.count("tokens_given", plan.n_given)
        self._packs.count(
            "prompts_scored_before", sum(i >= 0 for i in plan.source) - len(plan.sequences)
        )
        counts["tokens_saved"] = counts["tokens_given"] - counts.get("tokens_computed", 0)
        if n_alone:
            self._packs.count("sequences_scored_alone", n_alone)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Prompts that an engine has begun with."""

    engine: HFEngine
    plan: Plan
    n_prompts: int
    begun: Begun
    alone: list[int]

    def result(self) -> list[Float32Array]:
        """What `response_logprobs` returns and raises."""
        return self.engine._gather(self)

    def cancel(self) -> None:
        """They are not wanted any more."""
        self.begun.cancel()


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
