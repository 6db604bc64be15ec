"""Attention, head and float32 products on a processor's matrix tiles (AMX).

Tiles multiply bfloat16 numbers and add up in float32. A bfloat16 model's head and
attention run on them as they are, without their scores leaving the cache. A
float32 number is the sum of three bfloat16 ones, so six products of these give
the float32 product, with less rounding than float32 arithmetic itself makes and
in about half its time (`tiles_f32.h`). Whatever is computed for a row has the same
bits in any company.
"""

from __future__ import annotations

import ctypes
import threading
from typing import TYPE_CHECKING, Any, Final

from ifcurate.engines.cpu.native import LANES, at, long, padded_rows, real, suffix

if TYPE_CHECKING:
    import torch

__all__ = ["Tiles", "tiles_agree"]

_MULTIPLE: Final = 32  # that widths of matrices must be of
_WIDEST: Final = 256  # numbers of an attention head


class Tiles:
    """What is computed with tiles, on contiguous CPU tensors of bfloat16 or float32."""

    def __init__(self, library: Any) -> None:
        self._library = library
        # Python's lock is let go in the library: two engines in two threads are at work at once.
        self._rooms = threading.local()

    @staticmethod
    def fit(*weights: torch.Tensor) -> bool:
        """Whether matrices have a dtype and sizes that tiles take."""
        import torch

        return all(
            w.dtype in (torch.bfloat16, torch.float32)
            and w.is_contiguous()
            and all(n % _MULTIPLE == 0 for n in w.shape)
            for w in weights
        )

    @staticmethod
    def fit_heads(q: torch.Tensor) -> bool:
        """Whether attention heads have a dtype and a size that tiles take."""
        import torch

        known = q.dtype in (torch.bfloat16, torch.float32)
        return known and q.shape[-1] % _MULTIPLE == 0 and q.shape[-1] <= _WIDEST

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
        rows, width = x.shape
        left, right = self._pair("linear_room", rows, width)
        self._library.linear_f32(
            *(at(t) for t in (x, weight, bias, out, left, right)),
            *(long(n) for n in (rows, len(weight), width)),
            int(add),
        )

    def head_logsumexp(
        self, hidden: torch.Tensor, weight: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-sum-exp over the vocabulary of `hidden @ weight.T`: top + log(sum), (rows,) each.

        `hidden` (rows, width) and `weight` (vocabulary, width) of one dtype, both sizes
        of the weight multiples of 32. Products are added up in float32 and not rounded.
        """
        import torch

        rows, width = hidden.shape
        padded = -(-rows // 32) * 32
        rooms: tuple[torch.Tensor, ...]
        if hidden.dtype is torch.float32:
            rooms = self._pair("head_room", rows, width)
        else:
            rooms = (self._room("right", padded * width),)
        top, total = torch.empty(padded), torch.empty(padded)
        getattr(self._library, f"head_logsumexp_{suffix(hidden)}")(
            *(at(t) for t in (hidden, weight, *rooms, top, total)),
            *(long(n) for n in (rows, len(weight), width)),
        )
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
        most_keys: int,  # of the longest path
        scale: float,
    ) -> None:
        """Attention of all nodes of a prefix tree."""
        import torch

        kv_heads, rows, group, dim = q.shape
        most = -(-most_keys // 32) * 32
        wide = q.dtype is torch.float32
        scores = self._room("scores", most * max(2 * LANES, dim), torch.float32)
        soft = self._room("soft", most * LANES * (6 if wide else 1))
        path = self._room("path", most * dim * (6 if wide else 2))
        getattr(self._library, f"tree_attention_{suffix(q)}")(
            *(at(t) for t in (q, k, v, out, nodes, spans, scores, soft, path)),
            *(long(n) for n in (len(nodes), rows, k.shape[1], kv_heads, group, dim, most)),
            real(scale),
        )

    def _pair(self, function: str, rows: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Room for the parts of both operands, as the library's function says."""
        left, right = ctypes.c_int64(), ctypes.c_int64()
        ask = getattr(self._library, function)
        ask(long(rows), long(width), ctypes.byref(left), ctypes.byref(right))
        return self._room("left", left.value), self._room("right", right.value)

    def _room(self, name: str, size: int, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Working memory, kept from call to call: new pages cost more than the arithmetic."""
        import torch

        held: torch.Tensor | None = getattr(self._rooms, name, None)
        if held is None or held.numel() < size:
            held = torch.empty(size, dtype=dtype or torch.bfloat16)
            setattr(self._rooms, name, held)
        return held


def tiles_agree(tiles: Tiles) -> bool:
    """Whether everything gives PyTorch's numbers on small examples."""
    import torch

    return _heads_agree(tiles) and all(
        _attention_agrees(tiles, dtype, near)
        for dtype, near in ((torch.bfloat16, 0.02), (torch.float32, 1e-5))
    )


def _heads_agree(tiles: Tiles) -> bool:
    import torch

    generator = torch.Generator().manual_seed(0)
    hidden, weight = (torch.randn(n, 64, generator=generator) for n in (37, 96))
    good = True
    for dtype in (torch.bfloat16, torch.float32):
        x, w = hidden.to(dtype), weight.to(dtype)
        truth = x.double() @ w.double().T
        top, total = tiles.head_logsumexp(x, w)
        good &= torch.allclose(top + total.log(), truth.logsumexp(-1).float(), rtol=1e-6, atol=1e-5)
    given = torch.randn(37, 96, generator=generator)
    out = given.clone()
    tiles.linear(hidden, weight, out, add=True)
    good &= torch.allclose(out.double(), given + truth, rtol=1e-6, atol=1e-5)
    tiles.linear(hidden, weight, out, given[0])
    return good and torch.allclose(out.double(), given[0] + truth, rtol=1e-6, atol=1e-5)


def _attention_agrees(tiles: Tiles, dtype: torch.dtype, near: float) -> bool:
    import torch

    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(dtype)

    # A root of 5 rows, a first child of 20 (one stretch with it), a second of 3 apart.
    rows, dim, scale = 28, 32, 0.2
    q, out = draw(1, rows, 2, dim), torch.zeros(rows, 1, 2, dim, dtype=dtype)
    k, v = (torch.zeros(1, padded_rows(rows), dim, dtype=dtype) for _ in range(2))
    k[:, :rows], v[:, :rows] = draw(1, rows, dim), draw(1, rows, dim)
    nodes = torch.tensor([[0, 5, 0, 1], [5, 20, 1, 2], [25, 3, 2, 4]])
    spans = torch.tensor([[0, 5], [0, 25], [0, 5], [25, 3]])
    tiles.tree_attention(q, k, v, out, nodes, spans, most_keys=25, scale=scale)
    sees = torch.ones(rows, rows).tril()
    sees[25:, 5:25] = 0
    scores = torch.einsum("igd,jd->gij", q[0].float(), k[0, :rows].float()) * scale
    soft = scores.masked_fill(sees == 0, -torch.inf).softmax(-1)
    truth = torch.einsum("gij,jd->igd", soft, v[0, :rows].float())
    return torch.allclose(out[:, 0].float(), truth, rtol=near, atol=near)
