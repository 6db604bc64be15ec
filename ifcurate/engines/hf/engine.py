"""Score with any causal language model that transformers can load.

    log p(y_t | x, y_<t) = log_softmax(z_t)[y_t]    for every response token y_t

Only the positions that predict response tokens pass through the head. The log-softmax is
computed in float32, regardless of the dtype of the model's body.
"""

from __future__ import annotations

import hashlib
import sys
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import torch

from ifcurate.engines.base import (
    NO_KERNELS,
    Answer,
    Engine,
    EngineIdentity,
    EngineReport,
    Float32Array,
    Prompt,
    Span,
    arrays_of,
    finished,
)
from ifcurate.engines.checks import check_finite, check_max_length, check_prompt, check_vocabulary
from ifcurate.engines.hf.bodies import exact_length
from ifcurate.engines.hf.loading import load_causal_model, stated_length
from ifcurate.engines.hf.packing import DistinctPrompts, PackFiller, find_distinct
from ifcurate.engines.hf.prefix_tree import Pack
from ifcurate.engines.hf.probes import are_kernels_off, choose_route
from ifcurate.engines.hf.runner import PackRunner, fitting_threads, token_budget
from ifcurate.engines.hf.source import ModelSource
from ifcurate.engines.hf.tokenizer import HFTokenizer
from ifcurate.engines.hf.workers import OutOfMemoryError, TooSlowError, WorkerPool, can_fork
from ifcurate.errors import ModelError, RowTimeoutError, RowTooLargeError
from ifcurate.options.base import takes_options
from ifcurate.options.score import ENGINE_OPTIONS, LoadOptions

#: A pack, and the numbers of its sequences if a process computes them.
UnderWay = tuple[Pack, Future[list[Float32Array]] | None]

_VERSION: Final = "5"  # increased whenever a score could change
_NO_LIMIT: Final = 1 << 20  # tokens, for recurrent models, which state no length


@takes_options(LoadOptions, ENGINE_OPTIONS["hf"], engine="hf")
def load_hf_engine(model: str, *, options: LoadOptions) -> HFEngine:
    """Load a causal language model for scoring: a local folder, a Hub id, or "pocket".

    On a CPU, `threads` are processes with a core each, by default as many as torch sees.

    Raises:
        OptionError: an option has a wrong value.
        ModelError: the model cannot be found, loaded or used.
    """
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    source, loaded, tokenizer = load_causal_model(model, options)
    wrapped = HFTokenizer(tokenizer, where=str(source.folder))
    return HFEngine(loaded, wrapped, source, options, threads=torch.get_num_threads())


@takes_options(LoadOptions, ("batch_size", "max_length", "threads"))
def wrap_model(model: Any, tokenizer: Any, *, options: LoadOptions) -> HFEngine:
    """Score with a causal language model of transformers that is loaded.

    The model keeps its dtype and device. It must be in evaluation mode. Its identity is a
    hash of its config and weights, so scores of different weights are never mixed.

    Raises:
        TypeError: there is no tokenizer, or `model` is not a model of transformers.
        ModelError: the model is in training mode, or cannot be used for scoring.
    """
    if not isinstance(model, torch.nn.Module) or not hasattr(model, "config"):
        raise TypeError(
            f"model: found {type(model).__name__}; give a name, a folder, or a loaded causal "
            "language model of transformers"
        )
    if tokenizer is None:
        raise TypeError("tokenizer: found None; a loaded model needs its tokenizer too")
    if isinstance(tokenizer, str | Path):
        raise TypeError(
            f"tokenizer: found a text; load it: AutoTokenizer.from_pretrained({str(tokenizer)!r})"
        )
    if model.training:
        raise ModelError(
            "model: is in training mode, so dropout would change its numbers; call model.eval()"
        )
    name = str(getattr(model.config, "_name_or_path", "")) or type(model).__name__
    source = ModelSource(name, Path(), _hash_model(model), (), False)
    wrapped = HFTokenizer(tokenizer, where=name)
    return HFEngine(model, wrapped, source, options, threads=options.threads or 1)


class HFEngine(Engine):
    """An engine around a loaded model; see `load_hf_engine` and `wrap_model`."""

    gives_attention = True

    def __init__(
        self,
        model: Any,
        tokenizer: HFTokenizer,
        source: ModelSource,
        options: LoadOptions,
        *,
        threads: int,
    ) -> None:
        self.tokenizer: HFTokenizer = tokenizer
        self.max_length = _length_limit(source, model.config, options.max_length)
        kernels_off = are_kernels_off(model.device, no_kernels=options.no_kernels)
        self.identity = EngineIdentity(
            engine="hf",
            # Kernels change the last digits, so a run does not resume where they are switched off.
            engine_version=_VERSION + (NO_KERNELS if kernels_off else ""),
            model=source.name,
            revision=source.revision,
            dtype=str(model.dtype).removeprefix("torch."),
            tokenizer=tokenizer.fingerprint,
        )
        self._model = model
        self._n_ids = int(model.get_input_embeddings().weight.shape[0])
        check_vocabulary(source.name, tokenizer.vocab_size, self._n_ids)
        n_parameters = int(sum(p.numel() for p in model.parameters()))
        with fitting_threads(model, n_parameters):
            route = choose_route(model, source.name, no_kernels=options.no_kernels)
        #: How sequences are computed: "fused", "packed" or "single" (see `bodies`).
        self.route = route.name
        self._runner = PackRunner(model, route.head, route.body, n_parameters)
        on_cpu = model.device.type == "cpu"
        self._workers = n_workers = threads if on_cpu and can_fork() else 1
        most = None if options.batch_size == "auto" else options.batch_size
        self._filler = PackFiller(
            budget=token_budget(model, memory=options.memory, n_workers=n_workers),
            n_workers=n_workers,
            max_sequences=1 if self.route == "single" else most,
            longest=exact_length(model.config) or self.max_length,
        )
        if options.row_timeout is not None and not (on_cpu and can_fork()):
            raise ModelError(
                f"row_timeout: needs a process that can be ended, which there is on a CPU under "
                f"Linux; found {model.device.type} under {sys.platform}; leave it out"
            )
        self._row_timeout = options.row_timeout
        self._pool: WorkerPool | None = None
        self._collector = ThreadPoolExecutor(1, thread_name_prefix="ifcurate-collect")
        used = ", ".join(route.arithmetic.notes) or "PyTorch's operations alone"
        self._report = EngineReport(details={"route": f"{self.route}, with {used}"})
        if route.checked_in in ("bfloat16", "float16"):
            self._report.notes.append(
                f"the route was checked in {route.checked_in} only: memory did not hold a copy of "
                "the weights in float32"
            )

    def report(self) -> EngineReport:
        """Return the work of the engine so far.

        `tokens_given` counts the tokens of the prompts, `tokens_computed` those left after
        sharing, and `tokens_saved` the difference.
        """
        return self._report

    def memory_used(self) -> dict[str, int]:
        """Return the peak memory so far in bytes, of this process and of the model's GPU."""
        used = super().memory_used()
        device = self._model.device
        if device.type == "cuda":
            used[str(device)] = torch.cuda.max_memory_reserved(device)
        return used

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
        given. Raises `ModelError` for a prompt that the model cannot score and for numbers that are
        not finite, and `RowTooLargeError` for a prompt that does not fit into memory.
        """
        return arrays_of(self.submit(prompts).result())

    def submit(self, prompts: Sequence[Prompt]) -> Future[list[Answer]]:
        """Return the result as a future. Scoring processes start when there is enough to do.

        Raises `ModelError` for a prompt that the model does not take.
        """
        for i, prompt in enumerate(prompts):
            check_prompt(i, prompt, max_length=self.max_length, n_ids=self._n_ids)
        distinct = find_distinct(prompts)
        packs = self._filler.fill(distinct)
        timed = self._row_timeout is not None
        if self._pool is None and (timed or (self._workers > 1 and self._runner.is_long(packs))):
            run, needs = self._runner.run, self._runner.bytes_for
            self._pool = WorkerPool(self._workers, run, needs, row_timeout=self._row_timeout)
            self._report.counts["processes"] = self._workers
        work = deque(map(self._begin, packs))
        if self._pool is None:
            return finished(self._collect(distinct, work))
        return self._collector.submit(self._collect, distinct, work)

    def attention_shares(
        self, prompts: Sequence[Prompt], spans: Sequence[Sequence[Span]]
    ) -> list[Float32Array]:
        """See `Engine.attention_shares`. It needs a separate pass with eager attention."""
        from ifcurate.engines.hf.watching import attention_shares

        return attention_shares(self._model, prompts, spans)

    def _begin(self, pack: Pack) -> UnderWay:
        """Give a pack to the processes, if there are any."""
        return pack, None if self._pool is None else self._pool.submit(pack)

    def _collect(self, distinct: DistinctPrompts, work: deque[UnderWay]) -> list[Answer]:
        """Return the answer to each prompt, from its pack's numbers.

        Packs that do not fit into memory are halved.
        """
        answers: dict[int, Answer] = {}
        counts = self._report.counts
        n_halved = 0
        try:
            while work:
                pack, future = work.popleft()
                try:
                    found = self._runner.run(pack) if future is None else future.result()
                except (OutOfMemoryError, TooSlowError) as error:
                    slow = isinstance(error, TooSlowError)
                    if len(pack.members) == 1:
                        answers[pack.members[0]] = self._failure(distinct, pack, slow=slow)
                    else:
                        n_halved += not slow
                        work += map(self._begin, self._filler.halve(distinct, pack))
                else:
                    answers |= self._take(distinct, pack, found)
                counts["packs"] += 1
                counts["tokens_computed"] += pack.n_tokens
                if pack.alone:
                    counts["sequences_scored_alone"] += 1
        finally:  # after an error, work is left
            for _, future in work:
                if future is not None:
                    future.cancel()
        if n_halved:
            self._filler.shrink()
            counts["memory_retries"] += n_halved
        counts["prompts"] += len(distinct.source)
        counts["tokens_given"] += distinct.n_given
        counts["prompts_scored_before"] += distinct.n_repeated
        counts["tokens_saved"] = counts["tokens_given"] - counts["tokens_computed"]
        return distinct.gather(answers)

    def _take(
        self, distinct: DistinctPrompts, pack: Pack, found: Sequence[Float32Array]
    ) -> dict[int, Float32Array]:
        """Return the numbers of a pack by sequence, after a check."""
        for values in found:
            check_finite(self.identity.model, values, dtype=self.identity.dtype)
        if self.on_scored is not None:
            self.on_scored(*distinct.count(pack.members))
        return dict(zip(pack.members, found, strict=True))

    def _failure(
        self, distinct: DistinctPrompts, pack: Pack, *, slow: bool
    ) -> RowTimeoutError | RowTooLargeError:
        length = len(distinct.sequences[pack.members[0]].ids)
        if slow:
            return RowTimeoutError(
                f"not scored within {self._row_timeout:g} s (--row-timeout); found {length} "
                "tokens; give more time, shorten its context, or leave the row out"
            )
        return RowTooLargeError(
            f"does not fit into this machine's memory; found {length} tokens; leave the row out, "
            "shorten its context, or use a smaller model or dtype"
        )


def _length_limit(source: ModelSource, config: Any, wanted: int | None) -> int:
    limit = stated_length(config) or _NO_LIMIT
    if wanted is not None:
        check_max_length(source.name, wanted, limit)
    return wanted or limit


def _hash_model(model: Any) -> str:
    """Return a hash of the config and of every weight."""
    digest = hashlib.blake2b(digest_size=12)
    digest.update(model.config.to_json_string(use_diff=False).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(
            tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        )
    return f"memory:{digest.hexdigest()}"
