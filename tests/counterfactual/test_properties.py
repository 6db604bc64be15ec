"""Invariants over made-up examples: whatever is written is consistent and can be undone."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from ifcurate.counterfactual.augment import iterate_counterfactuals
from ifcurate.counterfactual.edit.edits import (
    apply_edits,
    invert_edits,
    place_edits,
    row_texts,
    with_texts,
)
from ifcurate.counterfactual.recognise.names import LexiconRecogniser
from ifcurate.options.augment import TYPES, AugmentOptions

from .invariants import assert_holds, leaves
from .making import alpaca, chat, examples_of, qca

PEOPLE = [
    "Mary Shelley", "Martha", "Kevin", "Ludwig van Beethoven", "John F. Kennedy", "O'Neill",
    "Jos\u00e9 Garc\u00eda M\u00e1rquez", "McDonald", "Sam", "Jordan", "Grace Kelly", "James Jones",
]  # fmt: skip
PLACES = ["Peru", "Lubbock, Texas", "Lyon", "the Netherlands", "New York City", "Norway", "Herat"]
VALUES = ["$1,250", "5 May 1950", "2021-03-04", "March 3, 2020", "42", "1987", "7 km", "$5 million"]
SENTENCES = [
    "{0} came in and sat down.", "Then {0} spoke to {1}.", "{0}'s book lay on the table.",
    "In {2} it was raining.", "A letter from {2} said so.", "It cost {3} in all.",
    "On {3} everybody left.", "{1} and {0} were friends.", "He smiled.", "She said nothing.",
    "\u0130t was \U0001f600 good\u0301.", "See `{0}` or {{\"a\": \"{0}\"}}.", "{0}: hello!",
]  # fmt: skip


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    names = (
        draw(st.sampled_from(PEOPLE)), draw(st.sampled_from(PEOPLE)),
        draw(st.sampled_from(PLACES)), draw(st.sampled_from(VALUES)),
    )  # fmt: skip
    chosen = draw(st.lists(st.sampled_from(SENTENCES), min_size=4, max_size=12))
    noise = draw(
        st.text(
            alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30
        )
    )
    context = draw(st.sampled_from([" ", "\n"])).join(s.format(*names) for s in chosen) + noise
    answer = draw(st.sampled_from(names)).removeprefix("the ")
    response = draw(st.sampled_from(["{}", "It was {}.", "{} came in and sat down."]))
    kind = draw(st.sampled_from(["alpaca", "qca", "chat"]))
    if kind == "qca":
        return qca(context, "Who or what was it?", answer, draw(st.sampled_from(["", "Kabul"])))
    if kind == "chat":
        result = json.dumps({"text": context, "n": 1}, ensure_ascii=draw(st.booleans()))
        return chat(("human", "What?"), ("observation", result), ("gpt", response.format(answer)))
    return alpaca(context, response.format(answer))


POLICY = st.sampled_from(["lexicon", "fictional", "type-swap", "alias"])
EMIT = st.sampled_from(["counterfactual", "pair", "pair+abstain"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(row=rows(), policy=POLICY, emit=EMIT, seed=st.integers(0, 3))
def test_what_is_written_holds(row: dict[str, Any], policy: str, emit: Any, seed: int) -> None:
    assert_all_hold(row, policy, emit, seed)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(row=rows(), policy=POLICY, emit=EMIT, seed=st.integers(0, 3))
def test_a_thousand_that_are_written_hold(
    row: dict[str, Any], policy: Any, emit: Any, seed: int
) -> None:
    assert_all_hold(row, policy, emit, seed)


def assert_all_hold(row: dict[str, Any], policy: Any, emit: Any, seed: int) -> None:
    kept = json.dumps(row)
    recogniser = LexiconRecogniser(TYPES)
    options = AugmentOptions(policy=policy, types="all", seed=seed, variants=2, emit=emit)
    (outcome,) = iterate_counterfactuals(examples_of(row), options)
    assert json.dumps(row) == kept
    assert outcome.written or outcome.reason
    for item in outcome.written:
        assert_holds(item, recogniser)
    subs = [w.made.substitute for w in outcome.written]
    assert len(set(subs)) == len(subs)


@given(row=rows(), seed=st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_the_choice_depends_on_content_and_seed_alone(row: dict[str, Any], seed: int) -> None:
    options = AugmentOptions(seed=seed, types="all")
    text = "Martha met Kevin at {} in the yard, and they talked about the old garden for hours."
    others = [alpaca(text.format(n), "Kevin") for n in range(4)]
    alone = [o.written for o in iterate_counterfactuals(examples_of(row), options)]
    mixed = [*others[:2], row, *others[2:]]
    random.Random(seed).shuffle(mixed)
    together = [e for n, r in enumerate(mixed) for e in examples_of(r, n)]
    found = [
        o.written for o in iterate_counterfactuals(together, options)
        if mixed[o.row_number] is row
    ]  # fmt: skip
    assert [[w.rows for w in o] for o in found] == [[w.rows for w in o] for o in alone]


@given(text=st.text(max_size=60), data=st.data())
def test_edits_can_be_undone(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=8)))
    changes = [
        ("a", start, end, text[start:end], data.draw(st.text(max_size=5)))
        for start, end in zip(cuts[::2], cuts[1::2], strict=False)
    ]
    edits = place_edits(changes)
    after = apply_edits({"a": text, "b": "kept"}, edits)
    assert invert_edits(after, edits) == {"a": text, "b": "kept"}
    for edit in edits:
        assert after["a"][edit.new_start : edit.new_end] == edit.new


def test_edits_that_overlap_are_an_error() -> None:
    with pytest.raises(ValueError, match="overlap"):
        place_edits([("a", 0, 4, "abcd", "x"), ("a", 2, 6, "cdef", "y")])


NESTED = st.recursive(
    st.text(max_size=8) | st.integers() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(min_size=1, max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(row=st.dictionaries(st.text(min_size=1, max_size=5), NESTED, max_size=4))
def test_every_string_of_a_row_can_be_replaced(row: Mapping[str, Any]) -> None:
    kept = json.dumps(row)
    texts = row_texts(row)
    assert sorted(texts.values()) == sorted(t for _, t in leaves(dict(row)))
    changed = with_texts(row, {p: t + "!" for p, t in texts.items()})
    assert json.dumps(row) == kept
    assert row_texts(changed) == {p: t + "!" for p, t in texts.items()}
