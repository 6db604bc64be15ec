"""Arithmetic that is faster than PyTorch's on some processors: the entry point of this package.

| what | where it helps |
|---|---|
| the layers of Llama's family in few passes over memory (`fused`, `kernels`) | AVX-512 |
| float32 products on matrix tiles (`tiles`) | AMX, one thread |
| attention and bfloat16 head on matrix tiles (`tiles`) | AMX, float32 on one thread |
| float32 products by oneDNN in place of MKL | AMD |

`benchmarks/scoring/RESULTS.md` has the gain of each. The C code is compiled when an engine
is made and compared with PyTorch's own operations. Code that fails or differs is not used.
oneDNN's operation is private to PyTorch, so it is compared too. The weights stay unchanged,
so memory holds them once.
"""

from __future__ import annotations

import functools
import time
from typing import Any, Final

import torch

from ifcurate.engines.cpu.kernels import Kernels, load_kernels
from ifcurate.engines.cpu.tiles import Tiles
from ifcurate.engines.hf.arithmetic import Arithmetic, Body
from ifcurate.engines.hf.attention import AttentionPlan

_WORTH: Final = 1.25  # the speed-up that oneDNN must reach
_SIZE: Final = 512
_REPEATS: Final = 5


def find_arithmetic(dtype: torch.dtype) -> Arithmetic:
    """Return the fastest operations of this processor for a dtype, or PyTorch's own."""
    if dtype not in (torch.float32, torch.bfloat16):
        return Arithmetic()
    kernels = load_kernels()
    wide = dtype is torch.float32
    # The tile kernel for float32 runs on one thread; with more threads, libraries are faster.
    # The choice is not timed: on a busy machine a resumed run could choose differently.
    tiles = kernels.tiles if kernels is not None else None
    if wide and torch.get_num_threads() > 1:
        tiles = None
    arithmetic = KernelArithmetic(kernels, tiles, onednn=wide and tiles is None and _onednn_wins())
    return arithmetic if arithmetic.notes else Arithmetic()


class KernelArithmetic(Arithmetic):
    """Compiled kernels, matrix tiles and oneDNN, each where the processor has it."""

    def __init__(self, kernels: Kernels | None, tiles: Tiles | None, *, onednn: bool) -> None:
        self.kernels = kernels
        self.tiles = tiles
        self.onednn = onednn
        self.replaces_linears = onednn or tiles is not None
        names = {
            "compiled kernels": kernels is not None,
            "matrix tiles": tiles is not None,
            "float32 products through oneDNN": onednn,
        }
        self.notes = tuple(name for name, is_used in names.items() if is_used)

    def linear(
        self,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None = None,
        out: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """See `Arithmetic.linear`."""
        if self.tiles is not None and self.tiles.fit_linear(x, weight):
            made: torch.Tensor = x.new_empty(len(x), len(weight)) if out is None else out
            self.tiles.linear(x, weight, made, bias)
            return made
        if self.onednn:
            made = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
            return made
        return super().linear(x, weight, bias, out)

    def add_linear(
        self, total: torch.Tensor, x: torch.Tensor, weight: torch.Tensor
    ) -> torch.Tensor:
        """See `Arithmetic.add_linear`."""
        if self.tiles is not None and total.is_contiguous() and self.tiles.fit_linear(x, weight):
            self.tiles.linear(x, weight, total, add=True)
            return total
        if self.onednn:
            made: torch.Tensor = torch.ops.mkldnn._linear_pointwise.binary(
                x, total, weight, None, "add"
            )
            return made
        return super().add_linear(total, x, weight)

    def attend(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        plan: AttentionPlan,
        out: torch.Tensor,
        *,
        scale: float,
        cap: float = 0.0,
    ) -> None:
        """See `Arithmetic.attend`."""
        # Values may have another width than keys (DeepSeek's); the tile kernel takes one width.
        alike = k.shape == v.shape and cap == 0.0
        if self.tiles is not None and alike and self.tiles.fit_heads(q):
            self.tiles.tree_attention(
                q, k, v, out, plan.nodes, plan.spans, most_keys=plan.most_keys, scale=scale
            )
        else:
            super().attend(q, k, v, plan, out, scale=scale, cap=cap)

    def softmax(
        self, scores: torch.Tensor, *, group: int, before: int, scale: float, cap: float
    ) -> torch.Tensor:
        """See `Arithmetic.softmax`."""
        if self.kernels is None:
            return super().softmax(scores, group=group, before=before, scale=scale, cap=cap)
        self.kernels.causal_softmax(scores, group=group, before=before, scale=scale, cap=cap)
        return scores

    def logsumexp(
        self, hidden: torch.Tensor, weight: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """See `Arithmetic.logsumexp`."""
        if self.tiles is None or not self.tiles.fit_head(hidden, weight):
            return None
        return self.tiles.head_logsumexp(hidden, weight)

    def add_logsumexp(self, logits: torch.Tensor, top: torch.Tensor, total: torch.Tensor) -> None:
        """See `Arithmetic.add_logsumexp`."""
        if self.kernels is None:
            super().add_logsumexp(logits, top, total)
        else:
            self.kernels.add_logsumexp(logits, top, total)

    def fuse(self, model: Any) -> Body | None:
        """See `Arithmetic.fuse`."""
        if self.kernels is None:
            return None
        from ifcurate.engines.cpu.fused import fuse_decoder

        return fuse_decoder(model, self, self.kernels)


def _probe() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x, weight, total = (torch.randn(_SIZE, _SIZE, generator=generator) for _ in range(3))
    return x, weight, total


@functools.cache
def _onednn_wins() -> bool:
    plain, other = Arithmetic(), KernelArithmetic(None, None, onednn=True)
    x, weight, total = _probe()
    bias = total[0].contiguous()
    try:
        with torch.inference_mode():
            for shift in (None, bias):
                truth = torch.nn.functional.linear(x, weight, shift)
                if not torch.allclose(other.linear(x, weight, shift), truth, rtol=1e-4, atol=1e-3):
                    return False
            truth = total + x @ weight.t()
            added = other.add_linear(total.clone(), x, weight)
            if not torch.allclose(added, truth, rtol=1e-4, atol=1e-3):
                return False
            return _seconds(plain, x, weight) > _WORTH * _seconds(other, x, weight)
    except (RuntimeError, AttributeError, TypeError, NotImplementedError):
        return False


def _seconds(products: Arithmetic, x: torch.Tensor, weight: torch.Tensor) -> float:
    times = []
    for _ in range(_REPEATS):
        start = time.process_time()
        products.linear(x, weight)
        times.append(time.process_time() - start)
    return min(times)
