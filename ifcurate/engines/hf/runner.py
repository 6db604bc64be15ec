"""Run packs: body, head, numbers; halve and try again where memory runs out.

A pack that does not fit is cut in two and the token budget halved for all that
follow; a single sequence that does not fit is reported by `RowTooLargeError`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ifcurate.engines.base import Float32Array
from ifcurate.engines.hf.bodies import Body, SingleBody
from ifcurate.engines.hf.head import ResponseHead, pick_logprobs
from ifcurate.engines.hf.packing import Pack
from ifcurate.errors import ModelError

if TYPE_CHECKING:
    import torch

__all__ = ["OutOfMemoryError", "PackRunner", "is_memory_error", "run_with_backoff", "token_budget"]

_CPU_BUDGET: Final = 2048  # tokens: larger packs leave the caches, smaller ones cost calls
_GPU_BUDGET: Final = 16384
_MEMORY_SHARE: Final = 0.6  # of what is free; the rest is left for fragments and other programs


class OutOfMemoryError(Exception):
    """A pack did not fit; never leaves the engine."""


class PackRunner:
    """From a pack to one array of log-probabilities per sequence in it."""

    def __init__(self, model: Any, head: ResponseHead | None, body: Body) -> None:
        self._model = model
        self._head = head
        self._body = body
        self._single = SingleBody(model)

    def run(self, pack: Pack, *, single: bool = False) -> list[Float32Array]:
        """Score a pack; with `single` through the model's own pass, one sequence at a time.

        Raises `OutOfMemoryError` when it does not fit, `ModelError` when torch or the
        device fails otherwise.
        """
        import torch

        try:
            with torch.inference_mode():
                found = self._logprobs(pack, self._single if single else self._body)
                values: Float32Array = found.float().cpu().numpy()
        except (RuntimeError, MemoryError) as error:
            if not is_memory_error(error):
                raise _device_error(self._model.device, error) from error
            raise OutOfMemoryError(str(error)[:200]) from error
        return list(np.split(values, np.cumsum(pack.counts)[:-1]))

    def _logprobs(self, pack: Pack, body: Body) -> torch.Tensor:
        import torch

        targets = torch.from_numpy(pack.targets).to(self._model.device)
        if self._head is not None:
            return self._head.logprobs(body.hidden(pack), targets)
        parts = []
        for i, wanted in enumerate(torch.split(targets, pack.counts.tolist())):
            ids = torch.from_numpy(pack.tree.ids[pack.tree.sequence_rows(i)]).to(targets.device)
            logits = self._model(input_ids=ids[None], use_cache=False).logits[0]
            parts.append(pick_logprobs(logits[len(ids) - len(wanted) :].float(), wanted))
        return torch.cat(parts)


def run_with_backoff(
    packs: Sequence[Pack],
    run: Callable[[Sequence[Pack]], list[list[Float32Array] | None]],
    split: Callable[[Sequence[int], int], list[Pack]],
) -> tuple[dict[int, Float32Array], list[int], int]:
    """Run packs, halving those that do not fit.

    `run` gives None for a pack that ran out of memory; `split(members, budget)`
    packs sequences anew. Returns the log-probabilities by sequence, the
    sequences that do not fit even alone, and how often a pack was halved.
    """
    found: dict[int, Float32Array] = {}
    too_large: list[int] = []
    halvings = 0
    waiting = list(packs)
    while waiting:
        results = run(waiting)
        again: list[Pack] = []
        for pack, arrays in zip(waiting, results, strict=True):
            if arrays is not None:
                found.update(zip(pack.members, arrays, strict=True))
            elif len(pack.members) == 1:
                too_large.append(pack.members[0])
            else:
                halvings += 1
                middle = len(pack.members) // 2
                for part in (pack.members[:middle], pack.members[middle:]):
                    again += split(part, max(1, pack.n_tokens // 2))
        waiting = again
    return found, too_large, halvings


def _device_error(device: Any, error: BaseException) -> ModelError:
    """A GPU was lost, a kernel failed, an assertion on the device did not hold.

    After most of these nothing runs on the device any more in this process.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = f": {lines[0][:200]}" if lines else ""
    return ModelError(
        f"{device}: the model failed in the middle of the work; found {type(error).__name__}{said}"
        "; what is scored so far is kept: start the same command again, with a smaller "
        "--batch-size or another --device if it fails again"
    )


def is_memory_error(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a CPU or a GPU."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in words
        or "can't allocate memory" in words
        or "not enough memory" in words
        or "alloc_failed" in words  # cuBLAS and cuDNN, for their workspaces
    )


def token_budget(model: Any) -> int:
    """Tokens per pack that suit the device and fit into what memory is free now."""
    import torch

    device = model.device
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        most = _GPU_BUDGET
    else:
        free, most = free_memory(), _CPU_BUDGET
    fits = int(free * _MEMORY_SHARE / bytes_per_token(model))
    return max(1, min(most, fits))


def bytes_per_token(model: Any) -> int:
    """Working memory of one token in a forward pass, an estimate from above."""
    config = model.config
    config = config.get_text_config() if hasattr(config, "get_text_config") else config
    width = int(getattr(config, "hidden_size", 0) or getattr(config, "n_embd", 1024))
    inner = int(getattr(config, "intermediate_size", None) or 4 * width)
    size = int(model.dtype.itemsize)
    return (16 * width + 4 * inner) * size + 8 * width


def free_memory() -> int:
    """Bytes that this machine can still give; a large number where nobody says."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found = next(line for line in lines if line.startswith("MemAvailable"))
        return int(found.split()[1]) * 1024
    except (OSError, StopIteration, ValueError, IndexError):
        return 1 << 34
