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
