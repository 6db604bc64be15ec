"""Prefix trees and packs: every sequence can be read back, nothing sees what it should not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from ifcurate.engines.base import Prompt, arrays_of
from ifcurate.engines.hf.packing import find_distinct
from ifcurate.engines.hf.prefix_tree import MIN_SHARED, build_tree, common_prefix_length

SEQUENCES = st.lists(
    st.lists(st.integers(0, 2), min_size=1, max_size=40).map(tuple), min_size=1, max_size=12
)


@settings(max_examples=80, deadline=None)
@given(SEQUENCES, st.integers(1, 10))
def test_every_sequence_is_a_path(raw: list[tuple[int, ...]], min_shared: int) -> None:
    sequences = [np.array(s, dtype=np.int64) for s in sorted(set(raw))]
    tree = build_tree(sequences, min_shared=min_shared)
    for i, sequence in enumerate(sequences):
        rows = tree.sequence_rows(i)
        assert tree.ids[rows].tolist() == sequence.tolist()
        assert tree.positions[rows].tolist() == list(range(len(sequence)))
    assert tree.nodes[:, 1].sum() == len(tree.ids)
    assert (tree.nodes[:, 1] > 0).all()
    for first_row, _, first, end in tree.nodes:
        assert (tree.spans[first:end, 0] <= first_row).all()
    # No token more than the sequences have, none less than the trie with all sharing has.
    prefixes = {s[:n] for s in set(raw) for n in range(1, len(s) + 1)}
    assert len(prefixes) <= len(tree.ids) <= sum(len(s) for s in sequences)
    if min_shared == 1:
        assert len(tree.ids) == len(prefixes)


def test_a_shared_beginning_is_held_once() -> None:
    head = list(range(100, 120))
    sequences = [np.array(head + tail) for tail in ([1, 2, 3], [1, 9], [5])]
    tree = build_tree(sequences, min_shared=8)
    assert tree.nodes[:, 1].tolist() == [20, 3, 2, 1]
    paths = [tree.spans[first:end].tolist() for first, end in tree.nodes[:, 2:]]
    assert paths == [[[0, 20]], [[0, 23]], [[0, 20], [23, 2]], [[0, 20], [25, 1]]]


def test_common_prefix_length() -> None:
    a, b = np.array([1, 2, 3]), np.array([1, 2])
    assert common_prefix_length(a, b) == 2
    assert common_prefix_length(a, a) == 3
    assert common_prefix_length(a, np.array([7])) == 0


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 2), min_size=1, max_size=20),
            st.lists(st.integers(0, 2), max_size=8),
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 60),
    st.one_of(st.none(), st.integers(1, 4)),
)
def test_packs_ask_for_each_response_token_once(
    raw: list[tuple[list[int], list[int]]], budget: int, max_sequences: int | None
) -> None:
    prompts = [Prompt(ids=[*p, *r], response_start=len(p)) for p, r in raw]
    distinct = find_distinct(prompts)
    packs = distinct.packs(range(len(distinct.sequences)), budget, max_sequences=max_sequences)
    found: list[np.ndarray | None] = [None] * len(distinct.sequences)
    for pack in packs:
        # Beginnings too short for a node of their own are computed again, beyond the budget.
        slack = MIN_SHARED * len(pack.members)
        assert pack.n_tokens <= 2 * budget + slack or len(pack.members) == 1
        assert max_sequences is None or len(pack.members) <= max_sequences
        bounds = np.cumsum(pack.counts)[:-1]
        for member, rows, targets in zip(
            pack.members, np.split(pack.rows, bounds), np.split(pack.targets, bounds), strict=True
        ):
            prompt = distinct.sequences[member]
            assert targets.tolist() == list(prompt.ids[prompt.response_start :])
            # The row that predicts a token holds the token before it, at its place.
            before = list(prompt.ids[prompt.response_start - 1 : -1])
            assert pack.tree.ids[rows].tolist() == before
            assert found[member] is None
            found[member] = targets.astype(np.float32)
    gathered = arrays_of(distinct.gather({i: v for i, v in enumerate(found) if v is not None}))
    assert [a.astype(int).tolist() for a in gathered] == [r for _, r in raw]


def test_identical_prompts_are_one_sequence() -> None:
    prompts = [Prompt([1, 2, 3], 1), Prompt((1, 2, 3), 1), Prompt([1, 2, 3], 2)]
    distinct = find_distinct(prompts)
    assert distinct.source == (0, 0, 1)
    assert distinct.n_given == 6


@pytest.mark.parametrize("budget", [1, 5, 1000])
def test_a_long_sequence_gets_a_pack_of_its_own(budget: int) -> None:
    distinct = find_distinct([Prompt(list(range(50)), 3), Prompt([7, 8, 9], 1)])
    packs = distinct.packs([0, 1], budget)
    assert len(packs) == (1 if budget == 1000 else 2)


def test_questions_on_one_document_stay_together() -> None:
    document = list(range(1000, 1100))
    prompts = [Prompt([*document, q, q, 7, 8], 102) for q in range(10)]
    distinct = find_distinct([*prompts, Prompt(list(range(30)), 3)])
    packs = distinct.packs(range(11), 110)
    assert sorted(len(pack.members) for pack in packs) == [1, 10]
    assert sum(pack.n_tokens for pack in packs) == 100 + 10 * 3 + 29
