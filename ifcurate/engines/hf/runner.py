"""Run packs through body and head, and estimate the memory that they take."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch

from ifcurate.engines.base import Float32Array
from ifcurate.engines.hf.arithmetic import Body
from ifcurate.engines.hf.bodies import SingleBody
from ifcurate.engines.hf.head import ResponseHead, pick_logprobs
from ifcurate.engines.hf.prefix_tree import Pack
from ifcurate.engines.hf.workers import OutOfMemoryError, can_fork
from ifcurate.errors import ModelError
from ifcurate.memory import MemoryBudget, free_memory

_CPU_BUDGET: Final = 2048  # tokens: larger packs do not fit caches, smaller ones need more calls
_GPU_BUDGET: Final = 16384
_WORTH_FORKING: Final = 200_000_000_000  # floating-point operations, about two core seconds
_SMALL: Final = 50_000_000  # parameters; operations of smaller models are too short to divide
_MEMORY_SHARE: Final = 0.6  # share of free memory; the rest is for fragments and other programs


@dataclass(frozen=True, slots=True)
class PackRunner:
    """Computes the log-probabilities of each sequence in a pack."""

    model: Any
    head: ResponseHead | None
    body: Body
    n_parameters: int

    def is_long(self, packs: Sequence[Pack]) -> bool:
        """Return whether packs are enough work to start processes for."""
        work = 2 * self.n_parameters * sum(pack.n_tokens for pack in packs)
        return work >= _WORTH_FORKING

    def bytes_for(self, pack: Pack) -> int:
        """Return an upper estimate of the working memory of a pack."""
        return pack.n_tokens * bytes_per_token(self.model)

    def run(self, pack: Pack) -> list[Float32Array]:
        """Score a pack.

        Raises `OutOfMemoryError` when the pack does not fit into memory, and `ModelError`
        when torch or the device fails for another reason.
        """
        single = SingleBody(self.model)
        try:
            with fitting_threads(self.model, self.n_parameters), torch.inference_mode():
                targets = torch.from_numpy(pack.targets).to(self.model.device)
                if self.head is not None:
                    hidden = (single if pack.alone else self.body).hidden(pack)
                    logprobs = self.head.logprobs(hidden, targets)
                else:
                    logprobs = pick_logprobs(single.logits(pack).float(), targets)
                values: Float32Array = logprobs.float().cpu().numpy()
        except (RuntimeError, MemoryError) as error:
            if not is_memory_error(error):
                raise _device_error(self.model.device, error) from error
            raise OutOfMemoryError(str(error)[:200]) from error
        return list(np.split(values, np.cumsum(pack.counts)[:-1]))


@contextlib.contextmanager
def fitting_threads(model: Any, n_parameters: int) -> Iterator[None]:
    """Use one thread inside the block, on a CPU where processes can share the work.

    Threads wait for each other at every operation, by spinning. On a busy machine, a
    model of a million parameters took nine times the processor time with two threads,
    and seven times the wall-clock time. In bfloat16 the number of threads also changes
    how products are divided, and so the last bits of scores.
    """
    if model.device.type != "cpu" or (n_parameters >= _SMALL and not can_fork()):
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _device_error(device: Any, error: BaseException) -> ModelError:
    """Return the error for a lost GPU, a failed kernel or a failed assertion on the device.

    After most of these, the device is unusable in this process.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = f": {lines[0][:200]}" if lines else ""
    return ModelError(
        f"{device}: the model failed while scoring; found {type(error).__name__}{reason}"
        "; the scored rows are kept: start the same command again, with a smaller "
        "--batch-size or another --device if it fails again"
    )


def is_memory_error(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on a CPU or a GPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in words
        or "can't allocate memory" in words
        or "not enough memory" in words
        or "alloc_failed" in words  # cuBLAS and cuDNN, for their workspaces
    )


def token_budget(model: Any, *, memory: int | None = None, n_workers: int = 1) -> int:
    """Tokens per pack that suit the device and fit into the memory that is free now.

    On a CPU, `memory` limits the packs that all processes compute at a time, in bytes.
    """
    device = model.device
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        most = _GPU_BUDGET
    else:
        free, most = free_memory(), _CPU_BUDGET
    fits = int(free * _MEMORY_SHARE / bytes_per_token(model))
    if memory is not None and device.type == "cpu":
        share = MemoryBudget(memory).packs // n_workers
        fits = min(fits, int(share / bytes_per_token(model)))
    return max(1, min(most, fits))


def bytes_per_token(model: Any) -> int:
    """Working memory of one token in a forward pass, an upper estimate."""
    config = model.config.get_text_config()
    width = int(getattr(config, "hidden_size", 0) or getattr(config, "n_embd", 1024))
    inner = int(getattr(config, "intermediate_size", None) or 4 * width)
    size = int(model.dtype.itemsize)
    return (16 * width + 4 * inner) * size + 8 * width
