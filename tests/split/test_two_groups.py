"""The cut between two groups: against what is known exactly, and where there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ifcurate.split.sorting import FloatArray
from ifcurate.split.two_groups import Fit, TwoGroups, find_two_groups, fit_mixture


def two_normals(n: int, share: float, seed: int = 0) -> tuple[FloatArray, np.ndarray]:
    draw = np.random.default_rng(seed)
    upper = np.arange(n) < round(share * n)
    values = np.where(upper, draw.normal(2.0, 0.5, n), draw.normal(0.0, 0.2, n))
    order = np.argsort(values)
    return values[order], upper[order]


def long_tails(n: int, share: float, seed: int = 0) -> tuple[FloatArray, np.ndarray]:
    draw = np.random.default_rng(seed)
    upper = np.arange(n) < round(share * n)
    values = np.where(upper, draw.lognormal(0.4, 0.9, n), draw.standard_t(3, n) * 0.04)
    order = np.argsort(values)
    return values[order], upper[order]


def test_cut_of_two_known_normals_is_where_the_odds_are_even() -> None:
    fit = Fit(
        weight=np.array([[0.5, 0.5], [0.5, 0.5], [0.8, 0.2], [0.999999, 1e-6]]),
        mean=np.array([[0.0, 2.0], [0.0, 2.0], [0.0, 2.0], [0.0, 0.1]]),
        variance=np.array([[1.0, 1.0], [1.0, 0.25], [1.0, 1.0], [1.0, 1.0]]),
        likelihood=np.zeros(4),
    )
    cuts = fit.cuts()
    assert cuts[0] == pytest.approx(1.0)
    assert cuts[2] == pytest.approx(1 + math.log(4) / 2)
    assert math.isnan(cuts[3])  # the upper group is never the likelier one

    def density(x: float, mean: float, sd: float) -> float:
        return math.exp(-0.5 * ((x - mean) / sd) ** 2) / sd

    assert density(cuts[1], 0, 1) == pytest.approx(density(cuts[1], 2, 0.5))


def test_groups_in_the_wrong_order_have_no_cut() -> None:
    half = np.full((1, 2), 0.5)
    fit = Fit(half, np.array([[2.0, 0.0]]), np.ones((1, 2)), np.zeros(1))
    assert math.isnan(fit.cuts()[0])


def test_mixture_recovers_what_it_was_drawn_from() -> None:
    values, _ = two_normals(4000, 0.3)
    start = np.array([[-8.0, 8.0, 0.0]])
    fit = fit_mixture(values, np.ones((1, 4000)), start, centre_rows=0, variance_rows=0)
    assert fit.weight[0] == pytest.approx([0.7, 0.3], abs=0.01)
    assert fit.mean[0] == pytest.approx([0.0, 2.0], abs=0.05)
    assert np.sqrt(fit.variance[0]) == pytest.approx([0.2, 0.5], abs=0.05)
    by_hand = sum(
        w * np.exp(-0.5 * (values - m) ** 2 / v) / np.sqrt(2 * np.pi * v)
        for w, m, v in zip(fit.weight[0], fit.mean[0], fit.variance[0], strict=True)
    )
    assert fit.likelihood[0] == pytest.approx(np.log(by_hand).sum())


def test_weights_count_as_repeated_rows() -> None:
    values, _ = two_normals(300, 0.4)
    counts = np.random.default_rng(0).integers(0, 4, 300)
    start = np.array([[-8.0, 8.0, 0.0]])
    weighted = fit_mixture(
        values, counts[None].astype(float), start, centre_rows=5, variance_rows=20
    )
    repeated = np.repeat(values, counts)
    again = fit_mixture(
        repeated, np.ones((1, len(repeated))), start, centre_rows=5, variance_rows=20
    )
    assert weighted.mean == pytest.approx(again.mean)
    assert weighted.likelihood == pytest.approx(again.likelihood)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("n", [300, 5000])
def test_long_tails_are_told_apart(centred: bool, share: float, n: int) -> None:
    values, upper = long_tails(n, share)
    found = find_two_groups(values, centred=centred, n_bootstrap=50)
    assert found.why_not == ""
    assert np.mean((values > found.threshold) == upper) > 0.95
    assert found.low <= found.threshold <= found.high


def test_chance_is_a_half_at_the_cut_and_never_falls() -> None:
    values, upper = long_tails(1000, 0.4)
    found = find_two_groups(values, centred=True, n_bootstrap=50)
    assert found.chance(np.array([found.threshold]))[0] == 0.5
    wide = found.chance(np.linspace(-50, 100, 5001))
    assert np.all(np.diff(wide) >= 0)
    assert wide[0] < 0.1
    assert wide[-1] > 0.9
    sides = found.chance(values)
    assert np.all((sides > 0.5) == (values > found.threshold))
    assert sides.mean() == pytest.approx(upper.mean(), abs=0.05)


def test_the_interval_narrows_with_the_rows() -> None:
    widths = []
    for n in (200, 2000, 20000):
        found = find_two_groups(long_tails(n, 0.4)[0], centred=True)
        widths.append(found.high - found.low)
    assert widths[0] > 2 * widths[1] > 4 * widths[2]


@pytest.mark.slow
def test_the_interval_holds_the_cut_of_many_rows() -> None:
    settled = find_two_groups(long_tails(100_000, 0.4, seed=99)[0], centred=True).threshold
    held = 0
    for seed in range(20):
        found = find_two_groups(long_tails(300, 0.4, seed)[0], centred=True)
        held += found.low <= settled <= found.high
    assert held >= 15  # 95% is said, 89% was measured over many shapes


def test_centring_shrinks_the_lower_mean_alone() -> None:
    values, _ = two_normals(2000, 0.3)
    values = values + 0.2
    start = np.array([[-8.0, 8.0, 0.0]])

    def means(centre_rows: float) -> list[float]:
        fit = fit_mixture(
            values, np.ones((1, 2000)), start, centre_rows=centre_rows, variance_rows=0
        )
        return list(fit.mean[0])

    assert means(0) == pytest.approx([0.2, 2.2], abs=0.05)
    assert means(1400) == pytest.approx([0.1, 2.2], abs=0.05)
    assert means(1e9) == pytest.approx([0.0, 2.2], abs=0.05)


def test_only_centred_groups_are_centred() -> None:
    values, _ = two_normals(200, 0.5)
    free, centred = (
        find_two_groups(values + 0.4, centred=c, n_bootstrap=50) for c in (False, True)
    )
    assert free.why_not == centred.why_not == ""
    assert free.threshold != centred.threshold


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_the_cut_moves_with_the_unit(factor: float) -> None:
    values, _ = long_tails(500, 0.4)
    here = find_two_groups(values, centred=True, n_bootstrap=30)
    there = find_two_groups(values * factor, centred=True, n_bootstrap=30)
    assert there.threshold == pytest.approx(here.threshold * factor, rel=1e-6)


def test_the_seed_decides_the_draws() -> None:
    values, _ = long_tails(200, 0.4)

    def interval(seed: int) -> tuple[float, float]:
        found = find_two_groups(values, centred=True, n_bootstrap=50, seed=seed)
        return found.low, found.high

    assert interval(1) == interval(1) != interval(2)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("n", [100, 3000])
@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("name", ["normal", "lognormal", "t3"])
def test_one_group_is_not_cut(seed: int, n: int, centred: bool, name: str) -> None:
    draw = np.random.default_rng([seed, n])
    values = {
        "normal": draw.normal(0.3, 0.2, n),
        "lognormal": draw.lognormal(-1, 1, n),
        "t3": 0.1 + 0.2 * draw.standard_t(3, n),
    }[name]
    found = find_two_groups(np.sort(values), centred=centred, n_bootstrap=30)
    assert found.why_not != ""
    assert math.isnan(found.threshold)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.arange(29.0), "29 rows are too few"),
        (np.zeros(0), "0 rows are too few"),
        (np.full(50, 0.3), "all values are equal"),
    ],
)
def test_what_cannot_be_cut(values: FloatArray, said: str) -> None:
    assert said in find_two_groups(values, centred=True).why_not


@pytest.mark.parametrize(
    "values",
    [
        np.repeat([0.0, 1.0], [60, 40]),
        np.repeat([0.0, 1.0], [999, 1]),
        np.concatenate([np.zeros(95), np.linspace(0.5, 3, 5)]),
        np.repeat([-1e-300, 1e-300], 50),
        np.repeat([-1e200, 1e200], 50),
    ],
    ids=["two values", "one row apart", "mostly zero", "tiny", "huge"],
)
def test_odd_values_neither_fail_nor_give_nonsense(values: FloatArray) -> None:
    found = find_two_groups(values, centred=True, n_bootstrap=30)
    assert isinstance(found, TwoGroups)
    if not found.why_not:
        assert values[0] <= found.threshold <= values[-1]
