"""Sequences of token ids as a prefix tree: a shared beginning is stored once.

Each node is a run of tokens; a sequence is the path from a root to the node in which it ends. A
token's hidden state depends only on the tokens before it. So each node is computed once for all
sequences that share it: its tokens attend to their own node (causally) and to all of its ancestors,
and to nothing else.

All nodes are in one row of tokens, parents before children. A first child directly
follows its parent. A pack is a tree with the rows of it that are scored.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]

MIN_SHARED: Final = 8  # tokens: a shorter common beginning is cheaper to compute again


@dataclass(frozen=True, slots=True)
class PrefixTree:
    """The nodes of a pack in their order of tokens."""

    ids: IntArray  # (n_tokens,)
    positions: IntArray  # (n_tokens,) depth in the sequence, counted from 0
    nodes: IntArray  # (n_nodes, 4) first row, number of rows, first span, end of spans
    #: (n_spans, 2) first row and number of rows of each contiguous part of a node's path. The last
    #: part ends with the node itself.
    spans: IntArray
    ends: IntArray  # (n_sequences,) the node that each sequence ends in

    @property
    def longest(self) -> int:
        """Tokens of its longest sequence."""
        return int(self.positions.max(initial=-1)) + 1

    def path_rows(self, node: int) -> IntArray:
        """Rows of all tokens from the root to the end of the node, in order of position."""
        first, end = self.nodes[node, 2:]
        return np.concatenate([np.arange(start, start + n) for start, n in self.spans[first:end]])

    def sequence_rows(self, sequence: int) -> IntArray:
        """Rows of a whole sequence, in order of position."""
        return self.path_rows(int(self.ends[sequence]))


@dataclass(frozen=True, slots=True)
class Pack:
    """One forward pass: a tree, and the rows of it that predict response tokens."""

    tree: PrefixTree
    rows: IntArray  # (n_predicted,) row whose hidden state predicts a response token
    targets: IntArray  # (n_predicted,) the id of that token
    counts: IntArray  # (n_sequences,) response tokens of each sequence, in order
    members: tuple[int, ...]  # numbers of these sequences in the plan
    alone: bool = False  # one sequence, which only the model's own pass computes

    @property
    def n_tokens(self) -> int:
        """Tokens that are computed."""
        return len(self.tree.ids)


def common_prefix_length(a: IntArray, b: IntArray) -> int:
    """Return the number of ids in the common beginning of two sequences."""
    n = min(len(a), len(b))
    differs = np.flatnonzero(a[:n] != b[:n])
    return int(differs[0]) if len(differs) else n


def shared_lengths(sequences: Sequence[IntArray]) -> list[int]:
    """Return how many ids each sequence shares with the one before it; 0 for the first."""
    pairs = itertools.pairwise(sequences)
    return [0, *(common_prefix_length(a, b) for a, b in pairs)]


def build_tree(
    sequences: Sequence[IntArray],
    shared: Sequence[int] | None = None,
    *,
    min_shared: int = MIN_SHARED,
) -> PrefixTree:
    """Build the tree of sorted, non-empty, distinct sequences.

    `shared[i]` is the common prefix length of sequences i - 1 and i (`shared[0]`
    is not read). A beginning of fewer than `min_shared` tokens gets no node of its
    own: each sequence computes it again.
    """
    if shared is None:
        shared = shared_lengths(sequences)
    nodes = _Nodes()
    ends = [-1] * len(sequences)
    # (first, past the last, depth that is already in nodes, the node that ends there)
    work = [(0, len(sequences), 0, -1)] if len(sequences) else []
    while work:
        first, last, depth, parent = work.pop()
        if last - first == 1:
            own = sequences[first]
            ends[first] = nodes.add(own, depth, len(own), parent) if len(own) > depth else parent
            continue
        common = min(shared[first + 1 : last])
        if common - depth >= min_shared:
            parent, depth = nodes.add(sequences[first], depth, common, parent), common
        cuts = [i for i in range(first + 1, last) if shared[i] - depth < min_shared]
        bounds = [first, *cuts, last]
        # The last node pushed is taken next, so children keep their order and the first one follows
        # its parent.
        groups = [(a, b, depth, parent) for a, b in itertools.pairwise(bounds)]
        work.extend(reversed(groups))
    return nodes.tree(ends)


class _Nodes:
    """The nodes of a tree that is being built."""

    def __init__(self) -> None:
        empty = np.zeros(0, dtype=np.int64)
        self._n_tokens = 0
        self._ids, self._positions = [empty], [empty]
        self._rows: list[tuple[int, int]] = []  # first row and number of rows of each node
        self._paths: list[list[tuple[int, int]]] = []  # spans of each node's path

    def add(self, sequence: IntArray, begin: int, end: int, parent: int) -> int:
        """Add tokens `begin:end` of a sequence; returns the number of the node."""
        start, length = self._n_tokens, end - begin
        self._n_tokens += length
        path = list(self._paths[parent]) if parent >= 0 else []
        if path and sum(path[-1]) == start:
            path[-1] = (path[-1][0], path[-1][1] + length)
        else:
            path.append((start, length))
        self._ids.append(sequence[begin:end])
        self._positions.append(np.arange(begin, end, dtype=np.int64))
        self._rows.append((start, length))
        self._paths.append(path)
        return len(self._paths) - 1

    def tree(self, ends: Sequence[int]) -> PrefixTree:
        """Return the tree; `ends` has the last node of each sequence."""
        n_spans = [0, *itertools.accumulate(map(len, self._paths))]
        bounds = itertools.pairwise(n_spans)
        nodes = [(*rows, *spans) for rows, spans in zip(self._rows, bounds, strict=True)]
        return PrefixTree(
            ids=np.concatenate(self._ids),
            positions=np.concatenate(self._positions),
            nodes=np.array(nodes, dtype=np.int64),
            spans=np.array([span for path in self._paths for span in path], dtype=np.int64),
            ends=np.array(ends, dtype=np.int64),
        )
