"""Score with any causal language model that transformers can load.

    log p(y_t | x, y_<t) = log_softmax(z_t)[y_t]    for every response token y_t

Only the positions that predict response tokens pass through the head, and the
log-softmax is taken in float32 whatever dtype the model's body computes in.
This module and the `hf_*` ones beside it are the only door to torch and
transformers for scoring.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Literal

import numpy as np

from ifcurate.engines.base import (
    Answer,
    Engine,
    EngineIdentity,
    EngineReport,
    Float32Array,
    Prompt,
    arrays_of,
    run_now,
)
from ifcurate.engines.checks import check_prompt
from ifcurate.engines.hf.arithmetic import use_arithmetic
from ifcurate.engines.hf.bodies import SingleBody, exact_length
from ifcurate.engines.hf.loading import (
    choose_device,
    choose_dtype,
    load_config,
    load_model,
    load_tokenizer,
    stored_dtype,
)
from ifcurate.engines.hf.packing import PackFiller, Plan, make_plan
from ifcurate.engines.hf.prefix_tree import Pack
from ifcurate.engines.hf.probes import (
    check_model,
    choose_arithmetic,
    choose_head,
    in_float32,
    right_routes,
)
from ifcurate.engines.hf.runner import PackRunner, fitting_threads, token_budget
from ifcurate.engines.hf.source import ModelSource, find_model
from ifcurate.engines.hf.tokenizer import HFTokenizer
from ifcurate.engines.hf.workers import OutOfMemoryError, PackFuture, WorkerPool, can_fork
from ifcurate.errors import ModelError, RowTooLargeError

__all__ = ["HFEngine", "load_hf_engine"]

_VERSION: Final = "3"  # raised whenever a score could change
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
    no_kernels: bool = False,
) -> HFEngine:
    """Load a causal language model for scoring, from a local folder or the Hub.

    `dtype` is "auto", "float32", "bfloat16" or "float16" (see `choose_dtype`);
    `device` "auto", "cpu", "cuda" or "cuda:N"; `max_length` at most the model's
    own; `batch_size` limits the sequences of a pack ("auto": its tokens alone, by
    memory); `threads` is how many cores to use (one process each on a CPU, all that
    torch sees by default); `no_kernels` leaves all arithmetic to PyTorch. Raises `ModelError`.
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
        no_kernels=no_kernels,
    )


class HFEngine(Engine):
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
        no_kernels: bool = False,
    ) -> None:
        self.tokenizer: HFTokenizer = tokenizer
        self.max_length = _length_limit(source, model.config, max_length)
        self.identity = EngineIdentity(
            engine="hf",
            engine_version=_VERSION,
            model=source.name,
            revision=source.revision,
            dtype=str(model.dtype).removeprefix("torch."),
            tokenizer=tokenizer.fingerprint,
        )
        self._model = model
        self._n_ids = int(model.get_input_embeddings().weight.shape[0])
        if tokenizer.vocab_size > self._n_ids:
            raise ModelError(
                f"{source.name}: tokenizer and model do not belong together; found "
                f"{tokenizer.vocab_size} tokens and {self._n_ids} embeddings; "
                "copy the model's own tokenizer files into its folder"
            )
        n_parameters = int(sum(p.numel() for p in model.parameters()))
        with fitting_threads(model, n_parameters):
            dtype = model.dtype
            check_model(model, source.name)
            names = {"fused", "packed"}
            with in_float32(model) as widened:
                if widened:
                    check_model(model, source.name)
                    wide = choose_arithmetic(model.device, model.dtype, no_kernels=no_kernels)
                    names = {n for n, _ in right_routes(model, choose_head(model, wide), wide)}
            arithmetic = choose_arithmetic(model.device, dtype, no_kernels=no_kernels)
            use_arithmetic(model, arithmetic)
            head = choose_head(model, arithmetic)
            right = right_routes(model, head, arithmetic, names)
            #: How sequences are computed: "fused", "packed" or "single" (see `bodies`).
            self.route, body = right[0] if right else ("single", SingleBody(model))
        self._exact_length = exact_length(model.config)
        self._runner = PackRunner(model, head, body, n_parameters)
        on_cpu = model.device.type == "cpu"
        self._workers = n_workers = threads if on_cpu and can_fork() else 1
        self._filler = PackFiller(
            token_budget(model),
            n_workers=n_workers,
            max_sequences=None if batch_size == "auto" else batch_size,
            share=self.route != "single",
        )
        self._pool: WorkerPool | None = None
        self._collector = ThreadPoolExecutor(1, thread_name_prefix="ifcurate-collect")
        used = ", ".join(arithmetic.notes) or "PyTorch's operations alone"
        self._report = EngineReport([f"scored by the {self.route} route, with {used}"])

    def report(self) -> EngineReport:
        """What the engine did so far.

        Counts are of tokens and sequences: `tokens_given` as the prompts have them,
        `tokens_computed` after sharing, `tokens_saved` the difference.
        """
        return self._report

    def close(self) -> None:
        """End the scoring processes, if there are any."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None
        self._collector.shutdown(cancel_futures=True)
        self._collector = ThreadPoolExecutor(1, thread_name_prefix="ifcurate-collect")

    def response_logprobs(self, prompts: Sequence[Prompt]) -> list[Float32Array]:
        """Natural-log probability of every response token given all before it.

        One float32 array per prompt, shape (n_response_tokens,), in the order
        given. Raises `ModelError` for a prompt that the model cannot take and for
        numbers that are not finite, `RowTooLargeError` for a prompt that memory does
        not hold.
        """
        return arrays_of(self.submit(prompts).result())

    def submit(self, prompts: Sequence[Prompt]) -> Future[list[Answer]]:
        """The same as a future; with processes, they are at work when this returns.

        Raises `ModelError` for a prompt that the model cannot take.
        """
        for i, prompt in enumerate(prompts):
            check_prompt(i, prompt, max_length=self.max_length, n_ids=self._n_ids)
        plan = make_plan(prompts)
        limit = self._exact_length or self.max_length
        together: list[int] = []
        alone: list[int] = []
        for i, sequence in enumerate(plan.sequences):
            (together if len(sequence.ids) - 1 <= limit else alone).append(i)
        packs = self._filler.fill(plan, together)
        self._start_workers(packs)
        under_way = [(pack, self._run(pack)) for pack in packs]
        collect = partial(self._collect, plan, len(prompts), under_way, alone)
        return run_now(collect) if self._pool is None else self._collector.submit(collect)

    def _start_workers(self, packs: Sequence[Pack]) -> None:
        """Where there is work for several processes, and they do not exist yet."""
        if self._pool is None and self._workers > 1 and self._runner.is_long(packs):
            self._pool = WorkerPool(self._workers, self._runner.run, self._runner.bytes_for)
            self._report.counts["processes"] = self._workers

    def _run(self, pack: Pack, *, single: bool = False) -> PackFuture:
        if self._pool is not None and not single:
            return self._pool.submit(pack)
        return run_now(self._runner.run_here, pack, single=single)

    def _collect(
        self,
        plan: Plan,
        n_prompts: int,
        under_way: list[tuple[Pack, PackFuture]],
        alone: Sequence[int],
    ) -> list[Answer]:
        """The answer to each prompt, from its pack's numbers."""
        found = self._gather(plan, under_way)
        lonely = self._filler.fill(plan, alone, single=True)
        found |= self._gather(plan, [(pack, self._run(pack, single=True)) for pack in lonely])
        self._count("prompts", n_prompts)
        self._count("tokens_given", plan.n_given)
        self._count("prompts_scored_before", plan.n_repeated)
        counts = self._report.counts
        counts["tokens_saved"] = counts["tokens_given"] - counts.get("tokens_computed", 0)
        if alone:
            self._count("sequences_scored_alone", len(alone))
        return plan.gather([found[i] for i in range(len(plan.sequences))])

    def _gather(self, plan: Plan, under_way: list[tuple[Pack, PackFuture]]) -> dict[int, Answer]:
        """The log-probabilities of each sequence; packs that memory does not hold are halved."""
        found: dict[int, Answer] = {}
        n_halved = 0
        while under_way:
            smaller: list[Pack] = []
            for pack, future in under_way:
                self._count("packs", 1)
                self._count("tokens_computed", pack.n_tokens)
                try:
                    arrays = [self._finite(values) for values in future.result()]
                    found.update(zip(pack.members, arrays, strict=True))
                except OutOfMemoryError:
                    if len(pack.members) == 1:
                        found[pack.members[0]] = _too_large(plan, pack)
                    else:
                        n_halved += 1
                        smaller += self._filler.halve(plan, pack)
                except BaseException:
                    for _, other in under_way:
                        other.cancel()
                    raise
            under_way = [(pack, self._run(pack)) for pack in smaller]
        if n_halved:
            self._filler.shrink()
            self._count("memory_retries", n_halved)
        return found

    def _finite(self, values: Float32Array) -> Float32Array:
        if not np.isfinite(values).all():
            raise ModelError(
                f"{self.identity.model}: the model gave a number that is not finite; found "
                f"{int((~np.isfinite(values)).sum())} of {len(values)} log-probabilities in "
                f"{self.identity.dtype}; use --dtype float32 or bfloat16, or check the weights"
            )
        return values

    def _count(self, name: str, n: int) -> None:
        self._report.counts[name] = self._report.counts.get(name, 0) + n


def _too_large(plan: Plan, pack: Pack) -> RowTooLargeError:
    length = len(plan.sequences[pack.members[0]].ids)
    return RowTooLargeError(
        f"too large for this machine's memory; found {length} tokens; leave the row out, "
        "shorten its context, or use a smaller model or dtype"
    )


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
