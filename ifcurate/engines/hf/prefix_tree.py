"""Sequences of token ids as a prefix tree: what several of them begin with is held once.

Each node is a stretch of tokens; a sequence is the path from a root to where it
ends. A token's hidden state depends on the tokens before it alone, so every node
has to be computed once, whoever shares it, if its tokens attend to their own
node (causally) and to the whole of its ancestors, and to nothing else.

All nodes are laid out in one row of tokens, parents before children, so that a
first child directly follows its parent.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["MIN_SHARED", "IntArray", "PrefixTree", "build_tree", "common_prefix_length"]

IntArray = npt.NDArray[np.int64]

MIN_SHARED: Final = 8  # tokens: a shorter common beginning is cheaper computed again


@dataclass(frozen=True, slots=True)
class PrefixTree:
    """The nodes of a pack in their order of tokens."""

    ids: IntArray  # (n_tokens,)
    positions: IntArray  # (n_tokens,) depth in the sequence, counted from 0
    starts: IntArray  # (n_nodes,) first row of each node
    lengths: IntArray  # (n_nodes,)
    parents: IntArray  # (n_nodes,) -1 at a root
    ends: IntArray  # (n_sequences,) the node that each sequence ends in

    def ancestor_rows(self, node: int) -> IntArray:
        """Rows of all tokens before the node on its path, in order of position."""
        parts = []
        above = int(self.parents[node])
        while above >= 0:
            start = int(self.starts[above])
            parts.append(np.arange(start, start + int(self.lengths[above]), dtype=np.int64))
            above = int(self.parents[above])
        return np.concatenate(parts[::-1]) if parts else np.zeros(0, dtype=np.int64)

    def sequence_rows(self, sequence: int) -> IntArray:
        """Rows of a whole sequence, in order of position."""
        node = int(self.ends[sequence])
        start = int(self.starts[node])
        own = np.arange(start, start + int(self.lengths[node]), dtype=np.int64)
        return np.concatenate([self.ancestor_rows(node), own])


def common_prefix_length(a: IntArray, b: IntArray) -> int:
    """How many ids two sequences begin with in common."""
    n = min(len(a), len(b))
    differs = np.flatnonzero(a[:n] != b[:n])
    return int(differs[0]) if len(differs) else n


def build_tree(
    sequences: Sequence[IntArray],
    shared: Sequence[int] | None = None,
    *,
    min_shared: int = MIN_SHARED,
) -> PrefixTree:
    """Build the tree of sorted, non-empty, distinct sequences.

    `shared[i]` is the common prefix length of sequences i - 1 and i (`shared[0]`
    is not read). Beginnings of fewer than `min_shared` tokens are not worth a
    node of their own and are computed again by each sequence.
    """
    if shared is None:
        pairs = itertools.pairwise(sequences)
        shared = [0, *(common_prefix_length(a, b) for a, b in pairs)]
    parts: list[IntArray] = []
    starts: list[int] = []
    depths: list[int] = []
    parents: list[int] = []
    ends = [-1] * len(sequences)
    n_tokens = 0

    def add(sequence: int, begin: int, end: int, parent: int) -> int:
        nonlocal n_tokens
        parts.append(sequences[sequence][begin:end])
        starts.append(n_tokens)
        depths.append(begin)
        parents.append(parent)
        n_tokens += end - begin
        return len(starts) - 1

    # (first, past the last, depth that is already in nodes, the node that ends there)
    work = [(0, len(sequences), 0, -1)] if len(sequences) else []
    while work:
        first, last, depth, parent = work.pop()
        if last - first == 1:
            length = len(sequences[first])
            ends[first] = add(first, depth, length, parent) if length > depth else parent
            continue
        common = min(shared[first + 1 : last])
        if common - depth >= min_shared:
            parent, depth = add(first, depth, common, parent), common
        cuts = [i for i in range(first + 1, last) if shared[i] - depth < min_shared]
        bounds = [first, *cuts, last]
        # The last pushed is taken next: children keep their order, the first one
        # follows its parent.
        groups = [(a, b, depth, parent) for a, b in itertools.pairwise(bounds)]
        work.extend(reversed(groups))
    lengths = np.array([len(p) for p in parts], dtype=np.int64)
    spans = [np.arange(d, d + n, dtype=np.int64) for d, n in zip(depths, lengths, strict=True)]
    empty = np.zeros(0, dtype=np.int64)
    return PrefixTree(
        ids=np.concatenate(parts) if parts else empty,
        positions=np.concatenate(spans) if spans else empty,
        starts=np.array(starts, dtype=np.int64),
        lengths=lengths,
        parents=np.array(parents, dtype=np.int64),
        ends=np.array(ends, dtype=np.int64),
    )
