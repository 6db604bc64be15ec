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

import numpy as np
import torch

from ifcurate.engines.cpu.native import call
from ifcurate.engines.hf.arithmetic import Arithmetic
from ifcurate.engines.hf.attention import LANES, padded_rows, plan_attention
from ifcurate.engines.hf.prefix_tree import build_tree

_MULTIPLE: Final = 32  # widths of matrices must be multiples of this
_WIDEST: Final = 256  # numbers of an attention head


class Tiles:
    """Operations on tiles, for contiguous CPU tensors of bfloat16 or float32."""

    def __init__(self, library: Any) -> None:
        self._library = library
        # The library releases Python's lock, so two engines in two threads run at the same time.
        self._rooms = threading.local()

    @staticmethod
    def fit_linear(x: torch.Tensor, weight: torch.Tensor) -> bool:
        """Return whether tiles support the sizes of a float32 product."""
        wide = x.dtype is weight.dtype is torch.float32
        return wide and x.is_contiguous() and _fits(weight)

    @staticmethod
    def fit_head(hidden: torch.Tensor, weight: torch.Tensor) -> bool:
        """Return whether tiles support the sizes of a bfloat16 head."""
        return hidden.dtype is weight.dtype is torch.bfloat16 and _fits(weight)

    @staticmethod
    def fit_heads(q: torch.Tensor) -> bool:
        """Return whether tiles support the dtype and the size of attention heads."""
        dim = q.shape[-1]
        known = q.dtype in (torch.bfloat16, torch.float32)
        return known and dim % _MULTIPLE == 0 and dim <= _WIDEST

    def linear(
        self,
        x: torch.Tensor,  # (rows, width) float32
        weight: torch.Tensor,  # (outputs, width) float32, both sizes multiples of 32
        out: torch.Tensor,  # (rows, outputs)
        bias: torch.Tensor | None = None,  # (outputs,)
        *,
        add: bool = False,
    ) -> None:
        """`out = x @ weight.T + bias`; with `add`, `out += x @ weight.T`."""
        sizes = ctypes.c_int64(), ctypes.c_int64()
        self._library.linear_room(*map(ctypes.c_long, x.shape), *map(ctypes.byref, sizes))
        rooms = (
            self._room(n, size.value) for n, size in zip(("left", "right"), sizes, strict=True)
        )
        shape = (len(x), *weight.shape)
        call(self._library, "linear", x, weight, bias, out, *rooms, *shape, int(add))

    def head_logsumexp(
        self, hidden: torch.Tensor, weight: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-sum-exp over the vocabulary of `hidden @ weight.T`: top + log(sum), (rows,) each.

        `hidden` (rows, width) and `weight` (vocabulary, width) of bfloat16, both sizes of the
        weight multiples of 32. Products are added up in float32 and not rounded.
        """
        rows, width = hidden.shape
        padded = -(-rows // 32) * 32
        packed = self._room("right", padded * width)
        top, total = torch.empty(padded), torch.empty(padded)
        tensors = (hidden.contiguous(), weight, packed, top, total)
        call(self._library, "head_logsumexp", *tensors, rows, *weight.shape)
        return top[:rows], total[:rows]

    def tree_attention(
        self,
        q: torch.Tensor,  # (kv, rows, group, dim)
        k: torch.Tensor,  # (kv, padded rows, dim), see `padded_rows`, zeros after the rows
        v: torch.Tensor,
        out: torch.Tensor,  # (rows, kv, group, dim)
        nodes: torch.Tensor,  # (n_nodes, 4) int64, as attention.py makes them
        spans: torch.Tensor,  # (n_spans, 2) int64
        *,
        most_keys: int,  # keys of the longest path
        scale: float,
    ) -> None:
        """Attention of all nodes of a prefix tree."""
        kv_heads, rows, group, dim = q.shape
        most = -(-most_keys // 32) * 32
        scores = self._room("scores", most * max(2 * LANES, dim), torch.float32)
        parts = 3 if q.dtype is torch.float32 else 1
        soft = self._room("soft", 2 * parts * most * LANES)
        path = self._room("path", 2 * parts * most * dim)
        tensors = (q, k, v, out, nodes, spans, scores, soft, path)
        sizes = (len(nodes), rows, k.shape[1], kv_heads, group, dim, most)
        call(self._library, "tree_attention", *tensors, *sizes, scale)

    def _room(self, name: str, size: int, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Working memory, reused by all calls: new memory costs more than the arithmetic."""
        held: torch.Tensor | None = getattr(self._rooms, name, None)
        if held is None or held.numel() < size:
            held = torch.empty(size, dtype=dtype or torch.bfloat16)
            setattr(self._rooms, name, held)
        return held


def _fits(weight: torch.Tensor) -> bool:
    return weight.is_contiguous() and all(n % _MULTIPLE == 0 for n in weight.shape)


def tiles_agree(tiles: Tiles) -> bool:
    """Return whether all operations give PyTorch's numbers on small examples."""
    return (
        _products_agree(tiles)
        and _attention_agrees(tiles, torch.bfloat16, 0.02)
        and _attention_agrees(tiles, torch.float32, 1e-5)
    )


def _products_agree(tiles: Tiles) -> bool:
    generator = torch.Generator().manual_seed(0)
    hidden, weight = (torch.randn(n, 64, generator=generator) for n in (37, 96))
    before = torch.randn(37, 96, generator=generator)
    out = before.clone()
    tiles.linear(hidden, weight, out, add=True)
    truth = before + hidden.double() @ weight.double().T
    good = torch.allclose(out.double(), truth, rtol=1e-6, atol=1e-5)
    x, w = hidden.bfloat16(), weight.bfloat16()
    top, total = tiles.head_logsumexp(x, w)
    sums = (x.double() @ w.double().T).logsumexp(-1).float()
    return good and torch.allclose(top + total.log(), sums, rtol=1e-6, atol=1e-5)


def _attention_agrees(tiles: Tiles, dtype: torch.dtype, near: float) -> bool:
    generator = torch.Generator().manual_seed(0)
    # A root of 5 rows, a first child of 20 (contiguous with it), and a second child of 3.
    tree = build_tree([np.arange(25), np.array([*range(5), 30, 31, 32])], min_shared=4)
    plan = plan_attention(tree, torch.device("cpu"))
    rows, dim, scale = len(tree.ids), 32, 0.2
    q = torch.randn(1, rows, 2, dim, generator=generator).to(dtype)
    k, v = torch.zeros(2, 1, padded_rows(rows), dim, dtype=dtype)
    k[:, :rows], v[:, :rows] = torch.randn(2, 1, rows, dim, generator=generator).to(dtype)
    found, truth = torch.zeros(rows, 1, 2, dim, dtype=dtype), torch.zeros(rows, 1, 2, dim)
    tiles.tree_attention(
        q, k, v, found, plan.nodes, plan.spans, most_keys=plan.most_keys, scale=scale
    )
    Arithmetic().attend(q.float(), k.float(), v.float(), plan, truth, scale=scale)
    return torch.allclose(found.float(), truth, rtol=near, atol=near)
