"""What holds for the split of any table: order, agreement, confidence, sensitivity."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from ifcurate.split.rules import split_scores
from tests.split.test_split import CRITICAL, NON_CRITICAL, RULES, make_scores, random_scores

NUMBERS = st.sampled_from([-0.0, 0.0, 0.15, 0.3, 1.0, -2.0, 50.0]) | st.floats(-5, 20)
TABLES = st.lists(
    st.tuples(
        NUMBERS,
        NUMBERS | st.sampled_from([float("nan"), float("inf")]),
        st.integers(1, 30),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["scored"] * 5 + ["no_context", "too_long"]),
    ),
    max_size=60,
)


def from_rows(rows: list[tuple[float, float, int, str, str]]) -> pl.DataFrame:
    gains, losses, lengths, sources, statuses = zip(*rows, strict=True) if rows else ((),) * 5
    return make_scores(
        context_gain=list(gains),
        loss_without_context=list(losses),
        n_response_tokens=list(lengths),
        source=list(sources),
        status=list(statuses),
        key=[f"k{i % 3}" for i in range(len(rows))],
    )


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(rows=TABLES, options=st.sampled_from(RULES), seed=st.integers(0, 99), more=st.booleans())
def test_the_order_of_rows_does_not_matter(
    rows: list[tuple[float, float, int, str, str]], options: dict[str, Any], seed: int, more: bool
) -> None:
    options = options | ({"per": "source", "length_control": True} if more else {})
    scores = from_rows(rows)
    order = np.random.default_rng(seed).permutation(len(scores)).tolist()
    here, there = split_scores(scores, **options), split_scores(scores[order], **options)
    assert here.table[order].equals(there.table)
    assert here.cuts == there.cuts
    assert here.sensitivity.equals(there.sensitivity)
    assert here.nearest.equals(there.nearest)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(rows=TABLES, options=st.sampled_from(RULES), more=st.booleans())
def test_labels_agree_with_value_threshold_and_confidence(
    rows: list[tuple[float, float, int, str, str]], options: dict[str, Any], more: bool
) -> None:
    scores = from_rows(rows)
    split = split_scores(scores, length_control=more, per="source" if more else "all", **options)
    assert split.table.select("id", "row").equals(scores.select("id", "row"))
    for row in split.table.iter_rows(named=True):
        if row["label"] == CRITICAL:
            assert row["value"] >= row["threshold"]
        elif row["label"] == NON_CRITICAL:
            assert row["value"] <= row["threshold"]
        else:
            assert row["value"] is row["threshold"] is row["confidence"] is None
            continue
        assert 0.5 <= row["confidence"] <= 1
        assert row["reason"]
    if options["rule"] == "paper":
        labelled = split.counts()[CRITICAL] + split.counts()[NON_CRITICAL]
        if not more:
            expected = int(np.floor(split.parameters["fraction"] * labelled + 0.5))
            assert split.counts()[NON_CRITICAL] == expected


@pytest.mark.parametrize("options", RULES[:5], ids=str)
@pytest.mark.parametrize("control", [False, True])
def test_confidence_grows_away_from_the_cut(options: dict[str, Any], control: bool) -> None:
    if options["rule"] == "both":
        options = {"rule": "auto"}
    table = split_scores(random_scores(400), length_control=control, **options).table.drop_nulls()
    for label in (CRITICAL, NON_CRITICAL):
        for _, part in table.filter(label=label).group_by("threshold"):
            away = part.sort((pl.col("value") - pl.col("threshold")).abs())["confidence"]
            assert away.is_sorted()
            assert away[-1] > away[0]


@pytest.mark.slow
@pytest.mark.parametrize("control", [False, True])
@pytest.mark.parametrize("options", RULES[:5], ids=str)
def test_sensitivity_is_what_another_split_would_count(
    options: dict[str, Any], control: bool
) -> None:
    scores = random_scores(300)
    split = split_scores(scores, length_control=control, **options)
    kept = split.counts()[CRITICAL]
    for row in split.sensitivity.iter_rows(named=True):
        moved = options | {row["parameter"]: row["at"]}
        again = split_scores(scores, length_control=control, **moved).counts()
        assert row["n_context_critical"] == again[CRITICAL]
        assert row["n_non_context_critical"] == again[NON_CRITICAL]
        assert row["change"] == again[CRITICAL] - kept
    per_cut = split.sensitivity.group_by("parameter").len()["len"]
    assert per_cut.to_list() == [9] * (2 if options["rule"] == "both" else 1)
    assert 0 in split.sensitivity["change"]
