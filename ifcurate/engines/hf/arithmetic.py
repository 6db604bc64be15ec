"""The matrix operations of the engine: those of PyTorch, or faster ones.

Attention is that of a prefix tree: each node to its ancestors and, causally, to itself.

    out_i = sum_j softmax_j(f(q_i . k_j / sqrt(d))) v_j    over the path of i up to i

The queries of a node are computed in blocks. A block's keys are the rows of the node's
ancestors and of the node up to the last query. So row i of the block sees the first
`before + i + 1` keys: one number per row, and no mask. Queries that share a key head
(grouped-query attention) are rows of one product.

The package `ifcurate.engines.cpu` has faster ones for some processors. It is optional:
the engine works without it, and imports it in one place only. `--no-kernels`, or
IFCURATE_NO_KERNELS in the environment, switches it off.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol

import torch
from torch import Tensor

from ifcurate.engines.hf.attention import LANES
from ifcurate.engines.hf.prefix_tree import Pack, PrefixTree

_ROWS: Final = (24, 192, 384, 640, 896, 1024, 1280, 1536)
_MOST_ROWS: Final = 2048
#: Queries per block: enough for a matrix product, few keys wasted.
_BLOCK: Final = {"cpu": 48, "cuda": 128}


class Body(Protocol):
    """From a pack to hidden states."""

    def hidden(self, pack: Pack) -> Tensor:
        """Last hidden states of `pack.rows`, shape (n_predicted, width)."""


class Arithmetic:
    """PyTorch's own operations, on any device. Faster operations subclass it."""

    #: The operations that replace PyTorch's, for the manifest.
    notes: tuple[str, ...] = ()
    #: Whether the model's own linear layers multiply by `linear`.
    replaces_linears = False

    def linear(
        self,
        x: Tensor,  # (rows, width)
        weight: Tensor,  # (outputs, width), as `torch.nn.Linear` holds it
        bias: Tensor | None = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """`x @ weight.T + bias`; in `out`, if it is given and the library supports it."""
        if bias is None:
            return torch.mm(x, weight.t(), out=out)
        return torch.addmm(bias, x, weight.t(), out=out)

    def add_linear(self, total: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        """`total + x @ weight.T`; may overwrite `total`."""
        return torch.addmm(total, x, weight.t(), out=total)

    def attend(
        self,
        q: Tensor,  # (kv_heads, rows, group, dim)
        k: Tensor,  # (kv_heads, padded_rows(rows), dim), zeros after the rows
        v: Tensor,
        tree: PrefixTree,
        out: Tensor,  # (rows, kv_heads, group, dim of v)
        *,
        scale: float,
        cap: float = 0.0,
    ) -> None:
        """Write the attention of every row of a pack into `out`; all tensors contiguous."""
        kv_heads, _, group, dim = q.shape
        for first, last, before, keys, values in _blocks(k, v, tree):
            size = last - first
            queries = q[:, first:last].reshape(kv_heads, size * group, dim)
            scores = torch.bmm(queries, keys.transpose(1, 2))  # (kv_heads, size * group, n_keys)
            scores = self.softmax(scores, group=group, before=before, scale=scale, cap=cap)
            mixed = torch.bmm(scores, values).view(kv_heads, size, group, v.shape[-1])
            out[first:last] = mixed.transpose(0, 1)

    def softmax(
        self, scores: Tensor, *, group: int, before: int, scale: float, cap: float
    ) -> Tensor:
        """Softmax over the first `before + row // group + 1` scores of each row, 0 after.

        May overwrite `scores` (batches, rows, keys).
        """
        dtype = scores.dtype
        wide = scores if dtype == torch.float64 else scores.float()
        wide = wide * scale
        if cap > 0:
            wide = (wide / cap).tanh() * cap
        rows = torch.arange(scores.shape[1], device=scores.device) // group
        columns = torch.arange(scores.shape[2], device=scores.device)
        hidden = columns > (before + rows).unsqueeze(1)
        return wide.masked_fill_(hidden, -torch.inf).softmax(dim=-1).to(dtype)

    def logsumexp(self, hidden: Tensor, weight: Tensor) -> tuple[Tensor, Tensor] | None:
        """Log-sum-exp of `hidden @ weight.T` as top + log(sum), (rows,) each.

        None to compute it block by block.
        """
        return None

    def add_logsumexp(self, logits: Tensor, top: Tensor, total: Tensor) -> None:
        """Update log-sum-exp = top + log(total) with a block of columns (rows, cols)."""
        high = torch.maximum(top, logits.amax(dim=-1))
        total.mul_((top - high).exp()).add_((logits - high.unsqueeze(-1)).exp().sum(dim=-1))
        top.copy_(high)

    def fuse(self, model: Any) -> Body | None:
        """Return a faster pass over all layers of the model; None if there is none."""
        return None


def _blocks(
    k: Tensor, v: Tensor, tree: PrefixTree
) -> Iterator[tuple[int, int, int, Tensor, Tensor]]:
    """Yield blocks of queries: first row, last row, keys before the first, keys, values."""
    block = _BLOCK.get(k.device.type, 128)
    spans = tree.spans.tolist()
    for start, length, low, high in tree.nodes.tolist():
        path = spans[low:high]
        before = sum(n for _, n in path) - length
        path_k, path_v = _rows_of(k, path), _rows_of(v, path)
        for first in range(0, length, block):
            last = min(first + block, length)
            n_keys = -(-(before + last) // LANES) * LANES
            place = (start + first, start + last, before + first)
            yield *place, path_k[:, :n_keys], path_v[:, :n_keys]


def _rows_of(heads: Tensor, path: list[list[int]]) -> Tensor:
    """Return the rows of a path, and some after them, which no query sees."""
    if len(path) == 1:
        return heads[:, path[0][0] :]
    parts = [heads[:, start : start + n] for start, n in path]
    return torch.cat([*parts, heads[:, :LANES]], dim=1)


def use_arithmetic(model: Any, arithmetic: Arithmetic) -> None:
    """Make the model's own linear layers use this arithmetic."""
    if arithmetic.replaces_linears:
        for module in model.modules():
            if type(module) is torch.nn.Linear:
                setattr(module, "forward", functools.partial(_forward, arithmetic, module))  # noqa: B010


def _forward(arithmetic: Arithmetic, module: Any, x: Tensor) -> Tensor:
    flat = x.reshape(-1, x.shape[-1])
    made = arithmetic.linear(flat, module.weight, module.bias)
    return made.view(*x.shape[:-1], made.shape[-1])


def least_rows(weights: Iterable[Tensor]) -> int:
    """Return the number of rows from which the number of rows does not change the bits of a row.

    Libraries multiply few rows differently from many, and in bfloat16 the rounding then
    differs. The result is 1 if the number of rows makes no difference, or if it still does
    for large numbers. Only bfloat16 on a CPU is tested.
    """
    least = 1
    for shape, weight in {tuple(w.shape): w for w in weights}.items():
        if weight.dtype is not torch.bfloat16 or weight.device.type != "cpu":
            continue
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(_MOST_ROWS, shape[1], generator=generator).to(weight.dtype)
        total = torch.zeros(_MOST_ROWS, shape[0], dtype=weight.dtype)
        whole = torch.addmm(total, x, weight.t())
        equal = [
            bool(torch.equal(torch.addmm(total[:n], x[:n], weight.t()), whole[:n])) for n in _ROWS
        ]
        stable = [n for i, n in enumerate(_ROWS) if all(equal[i:])]
        if not stable:
            return 1
        least = max(least, stable[0])
    return least if least > _ROWS[0] else 1
