"""Attention of a prefix tree: each node to its ancestors and, causally, to itself.

    out_i = sum_j softmax_j(f(q_i . k_j / sqrt(d))) v_j    over the path of i up to i

The nodes are cut into blocks of queries. A block's keys are the rows of its ancestors
and of its own node up to its last query. So row i of the block sees the first
`before + i + 1` keys: one number per row, and no mask. Queries that share a key head
(grouped-query attention) are rows of one product.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ifcurate.engines.hf.arithmetic import LANES, Arithmetic
from ifcurate.engines.hf.prefix_tree import PrefixTree

if TYPE_CHECKING:
    import torch

#: Queries per block: enough for a matrix product, few keys wasted.
_BLOCK: Final = {"cpu": 48, "cuda": 128}


@dataclass(frozen=True, slots=True)
class QueryBlock:
    """Some queries of one node, and their keys."""

    first: int  # rows first:last of the pack are the queries
    last: int
    before: int  # keys before the first query
    key_start: int  # the keys are rows key_start:key_start + n_keys of the pack,
    gathered: int  # or, where not -1, of this entry of the plan's gathered paths

    @property
    def n_keys(self) -> int:
        """Keys that the last query sees."""
        return self.before + self.last - self.first


@dataclass(frozen=True, slots=True)
class AttentionPlan:
    """The blocks of a pack, in order of rows."""

    blocks: tuple[QueryBlock, ...]
    paths: tuple[torch.Tensor, ...]  # rows of the paths that are not contiguous
    most_keys: int
    #: The same for the tile kernel: first row, number of rows, first span, end of the spans.
    #: A span is (first row, number of rows) of a contiguous stretch of a path.
    nodes: torch.Tensor  # (n_nodes, 4) int64
    spans: torch.Tensor  # (n_spans, 2) int64
    varlen: VarlenPlan | None = None  # on a GPU


@dataclass(frozen=True, slots=True)
class VarlenPlan:
    """The nodes as sequences of unequal query and key lengths, for one kernel call.

    Causal masks of such kernels are aligned at the end: the last query sees all keys.
    """

    key_rows: torch.Tensor  # (n_keys,) int64, the paths of all nodes one after another
    query_ends: torch.Tensor  # (n_nodes + 1,) int32, cumulative
    key_ends: torch.Tensor
    most_queries: int
    most_keys: int


def plan_attention(
    tree: PrefixTree, device: torch.device, *, block: int | None = None, varlen: bool = False
) -> AttentionPlan:
    """Cut a tree into blocks of at most `block` queries; with `varlen`, plan one kernel call."""
    import torch

    if varlen:
        empty = torch.zeros(0, dtype=torch.int64)
        return AttentionPlan((), (), 0, empty, empty, _plan_varlen(tree, device))
    block = block or _BLOCK.get(device.type, 128)
    blocks: list[QueryBlock] = []
    paths: list[torch.Tensor] = []
    straight: list[int] = []  # (n_nodes,) row where the path starts if it is one stretch, or -1
    for node, (start, length) in enumerate(zip(tree.starts, tree.lengths, strict=True)):
        first, size, parent = int(start), int(length), int(tree.parents[node])
        depth = int(tree.positions[first])
        if parent < 0:
            straight.append(first)
        else:
            after = int(tree.starts[parent] + tree.lengths[parent]) == first
            straight.append(straight[parent] if after else -1)
        gathered = -1
        if straight[node] < 0:
            gathered = len(paths)
            rows = tree.path_rows(node)
            # Filled up to whole groups with row 0, which no query sees.
            fill = np.zeros(-len(rows) % LANES, dtype=np.int64)
            paths.append(torch.from_numpy(np.concatenate([rows, fill])).to(device))
        for offset in range(0, size, block):
            end = min(offset + block, size)
            blocks.append(
                QueryBlock(
                    first + offset, first + end, depth + offset, max(straight[node], 0), gathered
                )
            )
    most = max((b.n_keys for b in blocks), default=0)
    return AttentionPlan(tuple(blocks), tuple(paths), most, *_spans(tree))


def _plan_varlen(tree: PrefixTree, device: torch.device) -> VarlenPlan:
    import torch

    paths = [tree.path_rows(node) for node in range(len(tree.starts))]
    counts = np.array([len(path) for path in paths])

    def ends(lengths: np.ndarray[Any, Any]) -> torch.Tensor:
        total = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        return torch.from_numpy(total).to(device)

    return VarlenPlan(
        key_rows=torch.from_numpy(np.concatenate(paths)).to(device),
        query_ends=ends(tree.lengths),
        key_ends=ends(counts),
        most_queries=int(tree.lengths.max()),
        most_keys=int(counts.max()),
    )


def can_use_varlen(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether torch has variable-length attention for this device and dtype."""
    import torch

    try:
        from torch.nn.attention.varlen import varlen_attn  # noqa: F401
    except ImportError:
        return False
    return device.type == "cuda" and dtype in (torch.bfloat16, torch.float16)


def _attend_varlen(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    plan: VarlenPlan,
    out: torch.Tensor,
    scale: float,
) -> None:
    from torch.nn.attention.varlen import varlen_attn

    kv_heads, rows, group, dim = q.shape
    queries = q.transpose(0, 1).reshape(rows, kv_heads * group, dim)
    keys, values = (t.index_select(1, plan.key_rows).transpose(0, 1).contiguous() for t in (k, v))
    # With one split, the order of additions does not depend on the other nodes.
    options: dict[str, Any] = {"num_splits": 1}
    mixed: Any = varlen_attn(
        queries,
        keys,
        values,
        plan.query_ends,
        plan.key_ends,
        plan.most_queries,
        plan.most_keys,
        scale=scale,
        window_size=(-1, 0),
        enable_gqa=group > 1,
        **options,
    )
    out.copy_(mixed.view(rows, kv_heads, group, dim))


def _spans(tree: PrefixTree) -> tuple[torch.Tensor, torch.Tensor]:
    """Each node's path as stretches of rows; see `AttentionPlan`."""
    import torch

    nodes: list[tuple[int, int, int, int]] = []
    spans: list[tuple[int, int]] = []
    paths: list[list[tuple[int, int]]] = []
    rows = zip(tree.starts.tolist(), tree.lengths.tolist(), tree.parents.tolist(), strict=True)
    for start, length, parent in rows:
        path = list(paths[parent]) if parent >= 0 else []
        if path and sum(path[-1]) == start:
            path[-1] = (path[-1][0], path[-1][1] + length)
        else:
            path.append((start, length))
        paths.append(path)
        nodes.append((start, length, len(spans), len(spans) + len(path)))
        spans += path
    return torch.tensor(nodes), torch.tensor(spans)


def attend(
    q: torch.Tensor,  # (kv_heads, rows, group, dim)
    k: torch.Tensor,  # (kv_heads, padded_rows(rows), dim), zeros after the rows
    v: torch.Tensor,
    plan: AttentionPlan,
    out: torch.Tensor,  # (rows, kv_heads, group, dim of v)
    *,
    scale: float,
    cap: float = 0.0,
    arithmetic: Arithmetic | None = None,
) -> None:
    """Write the attention of every row of a pack into `out`; all tensors contiguous."""
    import torch

    if plan.varlen is not None:
        if cap > 0:
            raise NotImplementedError("attention with capped scores in the varlen kernel")
        _attend_varlen(q, k, v, plan.varlen, out, scale)
        return
    arithmetic = arithmetic or Arithmetic()
    if arithmetic.attend(q, k, v, plan, out, scale=scale, cap=cap):
        return
    kv_heads, _, group, dim = q.shape
    for block, keys, values in _blocks(k, v, plan):
        size = block.last - block.first
        queries = q[:, block.first : block.last].reshape(kv_heads, size * group, dim)
        scores = torch.bmm(queries, keys.transpose(1, 2))  # (kv_heads, size * group, n_keys)
        scores = arithmetic.softmax(scores, group=group, before=block.before, scale=scale, cap=cap)
        mixed = torch.bmm(scores, values).view(kv_heads, size, group, v.shape[-1])
        out[block.first : block.last] = mixed.transpose(0, 1)


def _blocks(
    k: torch.Tensor, v: torch.Tensor, plan: AttentionPlan
) -> Iterator[tuple[QueryBlock, torch.Tensor, torch.Tensor]]:
    held, path_k, path_v = -1, k, v
    for block in plan.blocks:
        n_keys = -(-block.n_keys // LANES) * LANES
        if block.gathered < 0:
            span = slice(block.key_start, block.key_start + n_keys)
            yield block, k[:, span], v[:, span]
            continue
        if held != block.gathered:
            rows = plan.paths[block.gathered]
            held, path_k, path_v = block.gathered, k.index_select(1, rows), v.index_select(1, rows)
        yield block, path_k[:, :n_keys], path_v[:, :n_keys]
