"""Attention of a prefix tree: each node to its ancestors and, causally, to itself.

    out_i = sum_j softmax_j(f(q_i . k_j / sqrt(d))) v_j    over the path of i up to i

The nodes are cut into blocks of queries. A block's keys are the rows of its ancestors
and of its own node up to its last query. So row i of the block sees the first
`before + i + 1` keys: one number per row, and no mask. Queries that share a key head
(grouped-query attention) are rows of one product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch

from ifcurate.engines.hf.prefix_tree import PrefixTree

LANES: Final = 16  # keys are read in groups of this size
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
    #: A span is (first row, number of rows) of a contiguous part of a path.
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
    if varlen:
        empty = torch.zeros(0, dtype=torch.int64)
        return AttentionPlan((), (), 0, empty, empty, _plan_varlen(tree, device))
    block = block or _BLOCK.get(device.type, 128)
    blocks: list[QueryBlock] = []
    gathered: list[torch.Tensor] = []
    paths: list[list[tuple[int, int]]] = []  # the spans of each node's path
    nodes: list[tuple[int, int, int, int]] = []
    spans: list[tuple[int, int]] = []
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
        keys = (path[0][0], -1)
        if len(path) > 1:
            keys = (0, len(gathered))
            gathered.append(_gather_rows(path).to(device))
        before = int(tree.positions[start])
        for offset in range(0, length, block):
            end = min(offset + block, length)
            blocks.append(QueryBlock(start + offset, start + end, before + offset, *keys))
    most = int(tree.positions.max(initial=-1)) + 1
    return AttentionPlan(
        tuple(blocks), tuple(gathered), most, torch.tensor(nodes), torch.tensor(spans)
    )


def _gather_rows(path: Sequence[tuple[int, int]]) -> torch.Tensor:
    """Return the rows of a path, filled up to whole groups with row 0, which no query sees."""
    rows = [np.arange(start, start + length) for start, length in path]
    fill = np.zeros(-sum(length for _, length in path) % LANES, dtype=np.int64)
    return torch.from_numpy(np.concatenate([*rows, fill]))


def _plan_varlen(tree: PrefixTree, device: torch.device) -> VarlenPlan:
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
    """Return whether torch has variable-length attention for this device and dtype."""
    try:
        from torch.nn.attention.varlen import varlen_attn  # noqa: F401
    except ImportError:
        return False
    return device.type == "cuda" and dtype in (torch.bfloat16, torch.float16)


def padded_rows(rows: int) -> int:
    """Return the rows of key and value buffers: kernels may read whole groups past the last key."""
    return -(-rows // LANES) * LANES + 2 * LANES
