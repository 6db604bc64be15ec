"""From prompts to packs. Each distinct sequence is in one pack, beside those that begin alike.

Nothing is padded: the budget of a pack is in tokens, not in rows.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ifcurate.engines.base import Answer, Prompt
from ifcurate.engines.hf.prefix_tree import MIN_SHARED, Pack, PrefixTree, build_tree, shared_lengths

_STRETCH: Final = 2  # times the budget: the limit of a pack whose sequences share much
_LEAST_PACK: Final = 1024  # tokens
_SLACK: Final = 64  # tokens: sequences rarely fill a pack exactly


@dataclass(frozen=True, slots=True)
class DistinctPrompts:
    """The distinct sequences of some prompts, and which one answers each prompt."""

    sequences: tuple[Prompt, ...]  # distinct
    source: tuple[int, ...]  # (n_prompts,) the distinct sequence of each; -1: empty response
    order: tuple[int, ...]  # the distinct sequences sorted by their ids
    times: Mapping[int, int]  # how many prompts each distinct sequence answers

    @property
    def n_given(self) -> int:
        """The tokens of all prompts with a response, before sharing."""
        return sum(len(self.sequences[i].ids) - 1 for i in self.source if i >= 0)

    @property
    def n_repeated(self) -> int:
        """Prompts that repeat an earlier one, and are not computed again."""
        return sum(i >= 0 for i in self.source) - len(self.sequences)

    def count(self, members: Sequence[int]) -> tuple[int, int]:
        """Return the number of prompts of these distinct sequences, and of their tokens."""
        times = [self.times[i] for i in members]
        sizes = (len(self.sequences[i].ids) for i in members)
        return sum(times), sum(n * size for n, size in zip(times, sizes, strict=True))

    def gather(self, answers: Mapping[int, Answer]) -> list[Answer]:
        """Return the answer to each prompt, from the answers to the distinct sequences."""
        out: list[Answer] = []
        for i in self.source:
            answer = np.zeros(0, dtype=np.float32) if i < 0 else answers[i]
            out.append(answer.copy() if isinstance(answer, np.ndarray) else answer)
        return out

    def packs(
        self,
        members: Collection[int],
        budget: int,
        *,
        max_sequences: int | None = None,
        alone: bool = False,
    ) -> list[Pack]:
        """Fill packs of at most `budget` tokens with some of the distinct sequences.

        A sequence longer than the budget gets a separate pack. A pack may grow to
        twice the budget with sequences of which it already holds more than half. With
        `alone`, each sequence has a pack, for the model's own pass.
        """
        wanted = set(members)
        order = [i for i in self.order if i in wanted]
        if not order:
            return []
        # Nothing that is scored follows the last token.
        arrays = [np.asarray(self.sequences[i].ids[:-1], dtype=np.int64) for i in order]
        shared = [n if n >= MIN_SHARED else 0 for n in shared_lengths(arrays)]
        most = 1 if alone else max_sequences
        bounds = _pack_bounds([len(a) for a in arrays], shared, budget, most)
        packs = []
        for first, last in itertools.pairwise(bounds):
            tree = build_tree(arrays[first:last], shared[first:last])
            packs.append(self._make_pack(tree, order[first:last], alone=alone))
        return packs

    def _make_pack(self, tree: PrefixTree, members: Sequence[int], *, alone: bool) -> Pack:
        prompts = [self.sequences[i] for i in members]
        starts = [prompt.response_start for prompt in prompts]
        rows = [tree.sequence_rows(i)[start - 1 :] for i, start in enumerate(starts)]
        targets = [prompt.ids[start:] for prompt, start in zip(prompts, starts, strict=True)]
        return Pack(
            tree=tree,
            rows=np.concatenate(rows),
            targets=np.concatenate(targets, dtype=np.int64),
            counts=np.array([len(ids) for ids in targets], dtype=np.int64),
            members=tuple(members),
            alone=alone,
        )


def _pack_bounds(
    lengths: Sequence[int], shared: Sequence[int], budget: int, max_sequences: int | None
) -> list[int]:
    """Return the place of the first sequence of each pack, and of the end."""
    # Packs have about the same size, so that the last one does not have only a few tokens.
    total = sum(lengths) - sum(shared)
    budget = min(budget, -(-total // max(1, -(-total // budget))) + _SLACK)
    bounds = [0]
    size = 0
    for place, (length, common) in enumerate(zip(lengths, shared, strict=True)):
        # A new pack would compute the common part again, so a pack grows if much is common.
        most = _STRETCH * budget if 2 * common > length else budget
        full = size + length - common > most or place - bounds[-1] == max_sequences
        if place > bounds[-1] and full:
            bounds.append(place)
            size = length
        else:
            size += length - (common if place > bounds[-1] else 0)
    return [*bounds, len(lengths)]


@dataclass(kw_only=True)
class PackFiller:
    """Fills packs for a device. After memory has run out, it fills smaller ones."""

    budget: int  # tokens
    n_workers: int
    max_sequences: int | None
    longest: int  # tokens; longer sequences are alone

    def fill(self, distinct: DistinctPrompts) -> list[Pack]:
        """Packs of all distinct sequences."""
        lengths = {i: len(prompt.ids) for i, prompt in enumerate(distinct.sequences)}
        together = {i: n for i, n in lengths.items() if n - 1 <= self.longest}
        budget = self.budget
        if self.n_workers > 1:
            # Enough packs for all processes, none too small for fast products.
            budget = min(budget, max(_LEAST_PACK, sum(together.values()) // self.n_workers))
        packs = distinct.packs(together, budget, max_sequences=self.max_sequences)
        return packs + distinct.packs(lengths.keys() - together.keys(), budget, alone=True)

    def halve(self, distinct: DistinctPrompts, pack: Pack) -> list[Pack]:
        """Return the sequences of a pack in smaller packs."""
        middle = len(pack.members) // 2
        budget = max(1, pack.n_tokens // 2)
        halves = (pack.members[:middle], pack.members[middle:])
        packs = (distinct.packs(h, budget, max_sequences=self.max_sequences) for h in halves)
        return list(itertools.chain.from_iterable(packs))

    def shrink(self) -> None:
        """Halve the budget after memory ran out."""
        self.budget = max(1, self.budget // 2)


def find_distinct(prompts: Sequence[Prompt]) -> DistinctPrompts:
    """Find the distinct sequences of prompts and sort them."""
    places: dict[tuple[int, tuple[int, ...]], int] = {}
    source: list[int] = []
    for prompt in prompts:
        key = (prompt.response_start, tuple(prompt.ids))
        is_empty = prompt.response_start == len(prompt.ids)
        source.append(-1 if is_empty else places.setdefault(key, len(places)))
    sequences = [Prompt(ids, start) for start, ids in places]
    times = Counter(source)
    order = sorted(range(len(sequences)), key=lambda i: sequences[i].ids)  # type: ignore[arg-type,return-value]
    return DistinctPrompts(tuple(sequences), tuple(source), tuple(order), times)
