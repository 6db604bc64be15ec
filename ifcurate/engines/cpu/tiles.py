"""Attention, bfloat16 heads and float32 products on a processor's matrix tiles (AMX).

Tiles multiply bfloat16 numbers and add up in float32. The head of a bfloat16 model and
attention run on them directly, and their scores stay in the cache. A float32 number
is the sum of three bfloat16 numbers, so six products of these give the float32 product,
with less rounding than float32 arithmetic and in about half its time (`tiles_f32.h`).
The bits of a row do not depend on the other rows.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any, Final

import torch
from torch import Tensor

from ifcurate.engines.cpu.kernels import Kernels
from ifcurate.engines.hf.attention import LANES
from ifcurate.engines.hf.prefix_tree import PrefixTree

_MULTIPLE: Final = 32  # widths of matrices must be multiples of this
_WIDEST: Final = 256  # numbers of an attention head


class Tiles(Kernels):
    """Operations on tiles where these take the sizes and the dtype; else those of `Kernels`."""

    notes = (*Kernels.notes, "matrix tiles")
    replaces_linears = True

    def __init__(self, compiled: Any) -> None:
        super().__init__(compiled)
        # The library releases Python's lock, so two engines in two threads run at the same time.
        self._rooms = threading.local()

    def linear(
        self, x: Tensor, weight: Tensor, bias: Tensor | None = None, out: Tensor | None = None
    ) -> Tensor:
        """See `Arithmetic.linear`; on tiles for float32 of sizes that are multiples of 32."""
        if not _fit_product(x, weight):
            return super().linear(x, weight, bias, out)
        made = x.new_empty(len(x), len(weight)) if out is None else out
        self._multiply(x, weight, bias, made, add=False)
        return made

    def add_linear(self, total: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        """See `Arithmetic.add_linear`; on tiles as `linear`."""
        if not (total.is_contiguous() and _fit_product(x, weight)):
            return super().add_linear(total, x, weight)
        self._multiply(x, weight, None, total, add=True)
        return total

    def _multiply(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor, *, add: bool
    ) -> None:
        sizes = ctypes.c_int64(), ctypes.c_int64()
        self.compiled.linear_room(*map(ctypes.c_long, x.shape), *map(ctypes.byref, sizes))
        rooms = (
            self._room(n, size.value) for n, size in zip(("left", "right"), sizes, strict=True)
        )
        shape = (len(x), *weight.shape)
        self.call("linear", x, weight, bias, out, *rooms, *shape, int(add))

    def logsumexp(self, hidden: Tensor, weight: Tensor) -> tuple[Tensor, Tensor] | None:
        """See `Arithmetic.logsumexp`; for bfloat16 of sizes that are multiples of 32.

        Products are added up in float32 and not rounded.
        """
        if not (hidden.dtype is weight.dtype is torch.bfloat16 and _fits(weight)):
            return None
        rows, width = hidden.shape
        padded = -(-rows // 32) * 32
        packed = self._room("right", padded * width)
        top, total = torch.empty(padded), torch.empty(padded)
        tensors = (hidden.contiguous(), weight, packed, top, total)
        self.call("head_logsumexp", *tensors, rows, *weight.shape)
        return top[:rows], total[:rows]

    def attend(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        tree: PrefixTree,
        out: Tensor,
        *,
        scale: float,
        cap: float = 0.0,
    ) -> None:
        """See `Arithmetic.attend`."""
        kv_heads, rows, group, dim = q.shape
        known = q.dtype in (torch.bfloat16, torch.float32)
        # Values may have another width than keys (DeepSeek's); the tile kernel takes one width.
        alike = k.shape == v.shape and cap == 0.0
        if not (known and alike and dim % _MULTIPLE == 0 and dim <= _WIDEST):
            super().attend(q, k, v, tree, out, scale=scale, cap=cap)
            return
        most = -(-tree.longest // 32) * 32
        scores = self._room("scores", most * max(2 * LANES, dim), torch.float32)
        parts = 3 if q.dtype is torch.float32 else 1
        soft = self._room("soft", 2 * parts * most * LANES)
        path = self._room("path", 2 * parts * most * dim)
        places = torch.from_numpy(tree.nodes), torch.from_numpy(tree.spans)
        tensors = (q, k, v, out, *places, scores, soft, path)
        sizes = (len(tree.nodes), rows, k.shape[1], kv_heads, group, dim, most)
        self.call("tree_attention", *tensors, *sizes, scale)

    def _room(self, name: str, size: int, dtype: torch.dtype | None = None) -> Tensor:
        """Working memory, reused by all calls: new memory costs more than the arithmetic."""
        held: Tensor | None = getattr(self._rooms, name, None)
        if held is None or held.numel() < size:
            held = torch.empty(size, dtype=dtype or torch.bfloat16)
            setattr(self._rooms, name, held)
        return held


def _fit_product(x: Tensor, weight: Tensor) -> bool:
    """Return whether tiles take a product: float32, rows that lie together, known sizes."""
    wide = x.dtype is weight.dtype is torch.float32
    return wide and x.is_contiguous() and _fits(weight)


def _fits(weight: Tensor) -> bool:
    return weight.is_contiguous() and all(n % _MULTIPLE == 0 for n in weight.shape)
