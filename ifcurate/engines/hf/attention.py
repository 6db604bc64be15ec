"""Attention of a prefix tree in one kernel call on a GPU, and the shape of keys and values.

The nodes of a tree are sequences of unequal query and key lengths. Causal masks of such kernels
are aligned at the end: the last query sees all keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from ifcurate.engines.hf.prefix_tree import PrefixTree

LANES: Final = 16  # keys are read in groups of this size


@dataclass(frozen=True, slots=True)
class VarlenPlan:
    """The nodes of a pack for a kernel call."""

    key_rows: Tensor  # (n_keys,) int64, the paths of all nodes one after another
    query_ends: Tensor  # (n_nodes + 1,) int32, cumulative
    key_ends: Tensor
    most_queries: int
    most_keys: int


def plan_varlen(tree: PrefixTree, device: torch.device) -> VarlenPlan:
    """Return the plan of a tree."""
    paths = [tree.path_rows(node) for node in range(len(tree.nodes))]
    lengths, counts = tree.nodes[:, 1], np.array([len(path) for path in paths])

    def ends(lengths: np.ndarray[Any, Any]) -> Tensor:
        total = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        return torch.from_numpy(total).to(device)

    return VarlenPlan(
        key_rows=torch.from_numpy(np.concatenate(paths)).to(device),
        query_ends=ends(lengths),
        key_ends=ends(counts),
        most_queries=int(lengths.max()),
        most_keys=int(counts.max()),
    )


def attend_varlen(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    plan: VarlenPlan,
    out: Tensor,
    *,
    scale: float,
    cap: float = 0.0,
) -> None:
    """Write the attention of every row of a pack into `out`; see `Arithmetic.attend`."""
    from torch.nn.attention.varlen import varlen_attn

    if cap > 0:
        raise NotImplementedError("attention with capped scores in the varlen kernel")
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
