"""The compiled kernels for the operations between two matrix products."""

from __future__ import annotations

from typing import Any

import torch

from ifcurate.engines.cpu.native import call
from ifcurate.engines.hf.arithmetic import Arithmetic, Body


class Kernels(Arithmetic):
    """The compiled functions, for contiguous CPU tensors."""

    notes: tuple[str, ...] = ("compiled kernels",)

    def __init__(self, compiled: Any) -> None:
        self.compiled = compiled

    def fuse(self, model: Any) -> Body | None:
        """See `Arithmetic.fuse`."""
        from ifcurate.engines.cpu.fused import fuse_decoder

        return fuse_decoder(model, self, self.compiled)

    def softmax(
        self, scores: torch.Tensor, *, group: int, before: int, scale: float, cap: float
    ) -> torch.Tensor:
        """See `Arithmetic.softmax`; in place."""
        scratch = torch.empty(scores.shape[2])
        sizes = (*scores.shape, group, before)
        call(self.compiled, "causal_softmax", scores, scratch, *sizes, scale, cap)
        return scores

    def add_logsumexp(self, logits: torch.Tensor, top: torch.Tensor, total: torch.Tensor) -> None:
        """See `Arithmetic.add_logsumexp`."""
        call(self.compiled, "lse", logits, *logits.shape, logits.stride(0), top, total)


def kernels_agree(kernels: Kernels) -> bool:
    """Return whether every kernel gives PyTorch's numbers on a small example."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    def near(a: torch.Tensor, b: torch.Tensor, dtype: torch.dtype) -> bool:
        spacing = 2 * torch.finfo(dtype).eps if dtype is torch.bfloat16 else 1e-5
        return torch.allclose(a.float(), b.float(), rtol=spacing, atol=spacing * 0.1)

    good = True
    for dtype in (torch.float32, torch.bfloat16):
        x, weight = draw(3, 32).to(dtype), draw(32)
        out = torch.empty_like(x)
        call(kernels.compiled, "rms_norm", x, weight, out, *x.shape, 1e-5)
        wide = x.float()
        norm = weight * wide * (wide.square().mean(-1, keepdim=True) + 1e-5).rsqrt()
        good &= near(out, norm, dtype)
        gate_up = (8 * draw(3, 64)).to(dtype)
        call(kernels.compiled, "silu_mul", gate_up, out, *out.shape)
        gate, up = gate_up.float().chunk(2, dim=-1)
        good &= near(out, torch.nn.functional.silu(gate) * up, dtype)
        scores = (4 * draw(2, 6, 32)).to(dtype)
        soft = Arithmetic().softmax(scores.float(), group=2, before=11, scale=0.5, cap=0.0)
        found = kernels.softmax(scores, group=2, before=11, scale=0.5, cap=0.0)
        good &= near(found, soft, dtype)
    logits = 5 * draw(3, 50)
    top, total = torch.full((3,), -torch.inf), torch.zeros(3)
    for block in (logits[:, :24], logits[:, 24:]):
        kernels.add_logsumexp(block, top, total)
    return good and near(top + total.log(), logits.logsumexp(-1), torch.float32)
