"""From prompts to packs: each distinct sequence once, neighbours that begin alike together.

A pack is a prefix tree of at most so many tokens, with the rows of it that
predict response tokens. Nothing is padded: the budget is in tokens, not in rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ifcurate.engines.base import Answer, Prompt
from ifcurate.engines.hf.prefix_tree import (
    MIN_SHARED,
    IntArray,
    PrefixTree,
    build_tree,
    common_prefix_length,
)

__all__ = ["Pack", "PackFiller", "Plan", "make_plan"]

_STRETCH: Final = 2
_LEAST_PACK: Final = 1024  # tokens
_SLACK: Final = 64  # tokens: sequences do not fill a pack to the brim


@dataclass(frozen=True, slots=True)
class Pack:
    """One forward pass, and whose response tokens come out of it."""

    tree: PrefixTree
    rows: IntArray  # (n_predicted,) row whose hidden state predicts a response token
    targets: IntArray  # (n_predicted,) the id of that token
    counts: IntArray  # (n_sequences,) response tokens of each sequence, in order
    members: tuple[int, ...]  # which of the plan's distinct sequences these are

    @property
    def n_tokens(self) -> int:
        """Tokens that are computed."""
        return len(self.tree.ids)

    @property
    def longest(self) -> int:
        """Tokens of its longest sequence."""
        return int(self.tree.positions.max()) + 1


@dataclass(frozen=True, slots=True)
class Plan:
    """All packs of some prompts, and where each prompt's numbers are found."""

    sequences: tuple[Prompt, ...]  # distinct
    source: tuple[int, ...]  # (n_prompts,) the distinct sequence of each; -1: empty response
    order: tuple[int, ...]  # the distinct sequences sorted by their ids

    @property
    def n_given(self) -> int:
        """Tokens of all prompts with a response, before anything is shared."""
        return sum(len(self.sequences[i].ids) - 1 for i in self.source if i >= 0)

    @property
    def n_repeated(self) -> int:
        """Prompts that are computed with an earlier one, which is the same."""
        return sum(i >= 0 for i in self.source) - len(self.sequences)

    def gather(self, found: Sequence[Answer]) -> list[Answer]:
        """Answers to the distinct sequences to those to the prompts."""
        out: list[Answer] = []
        for i in self.source:
            answer = np.zeros(0, dtype=np.float32) if i < 0 else found[i]
            out.append(answer.copy() if isinstance(answer, np.ndarray) else answer)
        return out

    def packs(
        self,
        members: Sequence[int],
        budget: int,
        *,
        max_sequences: int | None = None,
        share: bool = True,
    ) -> list[Pack]:
        """Fill packs of at most `budget` tokens with some of the distinct sequences.

        A sequence longer than the budget gets a pack of its own; sequences of which
        the pack holds more than half already may fill twice the budget. Without `share`
        nothing is held once.
        """
        wanted = set(members)
        order = [i for i in self.order if i in wanted]
        # The last token predicts nothing that is asked for.
        arrays = [np.asarray(self.sequences[i].ids[:-1], dtype=np.int64) for i in order]
        shared = [0] * len(order)
        if share:
            lengths = (common_prefix_length(a, b) for a, b in itertools.pairwise(arrays))
            shared[1:] = [n if n >= MIN_SHARED else 0 for n in lengths]
        # Packs of about the same size: none is left with a few tokens at the end.
        total = sum(len(a) - n for a, n in zip(arrays, shared, strict=True))
        budget = min(budget, -(-total // max(1, -(-total // budget))) + _SLACK)
        packs: list[Pack] = []
        first = size = 0
        for place, (ids, common) in enumerate(zip(arrays, shared, strict=True)):
            # A new pack would compute the common part again: with much of it, go on.
            most = _STRETCH * budget if 2 * common > len(ids) else budget
            full = size + len(ids) - common > most or place - first == max_sequences
            if place > first and full:
                packs.append(_make_pack(self.sequences, order, arrays, shared, first, place))
                first, size = place, len(ids)
            else:
                size += len(ids) - (common if place > first else 0)
        if order:
            packs.append(_make_pack(self.sequences, order, arrays, shared, first, len(order)))
        return packs


class PackFiller:
    """Fills packs for a device, and smaller ones from when memory ran out."""

    def __init__(
        self, budget: int, *, n_workers: int, max_sequences: int | None, share: bool
    ) -> None:
        """`budget` in tokens; `share` off: one sequence a pack, nothing computed once for two."""
        self._budget = budget
        self._n_workers = n_workers
        self._max_sequences = max_sequences
        self._share = share

    def fill(
        self,
        plan: Plan,
        members: Sequence[int],
        *,
        budget: int | None = None,
        single: bool = False,
    ) -> list[Pack]:
        """Packs of some of the plan's sequences; with `single` of one sequence each."""
        if budget is None:
            # Enough packs for all processes, none too small for fast products.
            n_tokens = sum(len(plan.sequences[i].ids) for i in members)
            share = n_tokens // self._n_workers
            budget = min(self._budget, max(_LEAST_PACK, share)) if self._n_workers > 1 else None
        apart = single or not self._share
        most = 1 if apart else self._max_sequences
        return plan.packs(members, budget or self._budget, max_sequences=most, share=not apart)

    def halve(self, plan: Plan, pack: Pack) -> list[Pack]:
        """The sequences of a pack in smaller ones."""
        middle = len(pack.members) // 2
        budget = max(1, pack.n_tokens // 2)
        halves = (pack.members[:middle], pack.members[middle:])
        return [part for half in halves for part in self.fill(plan, half, budget=budget)]

    def shrink(self) -> None:
        """Memory ran out: from now on packs are half as large."""
        self._budget = max(1, self._budget // 2)


def make_plan(prompts: Sequence[Prompt]) -> Plan:
    """Find the distinct sequences of prompts and sort them."""
    index: dict[tuple[int, tuple[int, ...]], int] = {}
    sequences: list[Prompt] = []
    source: list[int] = []
    for prompt in prompts:
        if prompt.response_start == len(prompt.ids):
            source.append(-1)
            continue
        key = (prompt.response_start, tuple(prompt.ids))
        if key not in index:
            index[key] = len(sequences)
            sequences.append(Prompt(ids=key[1], response_start=key[0]))
        source.append(index[key])
    order = sorted(range(len(sequences)), key=lambda i: sequences[i].ids)  # type: ignore[arg-type,return-value]
    return Plan(sequences=tuple(sequences), source=tuple(source), order=tuple(order))


def _make_pack(
    sequences: Sequence[Prompt],
    order: list[int],
    arrays: list[IntArray],
    shared: list[int],
    first: int,
    last: int,
) -> Pack:
    group = order[first:last]
    tree = build_tree(arrays[first:last], shared[first:last])
    rows, targets, counts = [], [], []
    for place, i in enumerate(group):
        prompt = sequences[i]
        rows.append(tree.sequence_rows(place)[prompt.response_start - 1 :])
        targets.append(np.asarray(prompt.ids[prompt.response_start :], dtype=np.int64))
        counts.append(len(targets[-1]))
    return Pack(
        tree=tree,
        rows=np.concatenate(rows),
        targets=np.concatenate(targets),
        counts=np.array(counts, dtype=np.int64),
        members=tuple(group),
    )
