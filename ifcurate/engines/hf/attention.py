"""Attention of a prefix tree: each node to its ancestors and, causally, to itself.

    out_i = sum_j softmax_j(f(q_i . k_j / sqrt(d))) v_j    over the path of i up to i

The queries of a node are computed in blocks. A block's keys are the rows of the node's
ancestors and of the node up to the last query. So row i of the block sees the first
`before + i + 1` keys: one number per row, and no mask. Queries that share a key head
(grouped-query attention) are rows of one product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from ifcurate.engines.hf.prefix_tree import PrefixTree

LANES: Final = 16  # keys are read in groups of this size
#: Queries per block: enough for a matrix product, few keys wasted.
_BLOCK: Final = {"cpu": 48, "cuda": 128}


@dataclass(frozen=True, slots=True)
class AttentionPlan:
    """The nodes of a pack, and the parts of it that each node's queries see."""

    nodes: Tensor  # (n_nodes, 4) int64: first row, number of rows, first span, end of spans
    #: (n_spans, 2) int64: first row and number of rows of each contiguous part of a node's path.
    #: The last part ends with the node itself.
    spans: Tensor
    most_keys: int
    block: int  # queries in a block, at most
    varlen: VarlenPlan | None = None  # on a GPU


@dataclass(frozen=True, slots=True)
class VarlenPlan:
    """The nodes as sequences of unequal query and key lengths, for one kernel call.

    Causal masks of such kernels are aligned at the end: the last query sees all keys.
    """

    key_rows: Tensor  # (n_keys,) int64, the paths of all nodes one after another
    query_ends: Tensor  # (n_nodes + 1,) int32, cumulative
    key_ends: Tensor
    most_queries: int
    most_keys: int


def plan_attention(
    tree: PrefixTree, device: torch.device, *, block: int | None = None, varlen: bool = False
) -> AttentionPlan:
    """Return the plan of a tree; with `varlen`, for one kernel call."""
    nodes: list[tuple[int, int, int, int]] = []
    spans: list[tuple[int, int]] = []
    rows = zip(tree.starts.tolist(), tree.lengths.tolist(), tree.paths, strict=True)
    for start, length, path in rows:
        nodes.append((start, length, len(spans), len(spans) + len(path)))
        spans += path
    return AttentionPlan(
        torch.tensor(nodes),
        torch.tensor(spans),
        int(tree.positions.max(initial=-1)) + 1,
        block or _BLOCK.get(device.type, 128),
        _plan_varlen(tree, device) if varlen else None,
    )


def _plan_varlen(tree: PrefixTree, device: torch.device) -> VarlenPlan:
    paths = [tree.path_rows(node) for node in range(len(tree.starts))]
    counts = np.array([len(path) for path in paths])

    def ends(lengths: np.ndarray[Any, Any]) -> Tensor:
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
