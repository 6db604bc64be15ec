"""The cut between two groups: against what is known, and where there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ifcurate.split.two_groups import FloatArray, TwoGroups, find_two_groups


def long_tails(n: int, share: float, seed: int = 0) -> tuple[FloatArray, np.ndarray]:
    draw = np.random.default_rng(seed)
    upper = np.arange(n) < round(share * n)
    values = np.where(upper, draw.lognormal(0.4, 0.9, n), draw.standard_t(3, n) * 0.04)
    order = np.argsort(values)
    return values[order], upper[order]


def test_the_cut_of_two_normals_is_in_the_valley_between_them() -> None:
    draw = np.random.default_rng(0)
    values = np.sort(np.concatenate([draw.normal(1, 0.1, 5000), draw.normal(2, 0.1, 5000)]))
    found = find_two_groups(values, n_bootstrap=200, seed=0)
    assert 1.35 < found.threshold < 1.65
    assert found.low <= found.threshold <= found.high


@pytest.mark.parametrize(
    ("n", "share"), [(300, 0.2), (300, 0.5), (5000, 0.2), (5000, 0.5), (5000, 0.8)]
)
def test_groups_with_long_tails_are_separated(n: int, share: float) -> None:
    values, upper = long_tails(n, share)
    found = find_two_groups(values, n_bootstrap=50, seed=0)
    assert found.why_not == ""
    assert np.mean((values > found.threshold) == upper) > 0.9
    assert found.low <= found.threshold <= found.high


def test_the_interval_narrows_with_the_rows() -> None:
    widths = []
    for n in (200, 20000):
        found = find_two_groups(long_tails(n, 0.4)[0], n_bootstrap=200, seed=0)
        widths.append(found.high - found.low)
    assert widths[0] > 2 * widths[1]


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_the_cut_moves_with_the_unit(factor: float) -> None:
    values, _ = long_tails(500, 0.4)
    here = find_two_groups(values, n_bootstrap=30, seed=0)
    there = find_two_groups(values * factor, n_bootstrap=30, seed=0)
    assert there.threshold == pytest.approx(here.threshold * factor, rel=1e-6)


def test_the_seed_decides_the_draws() -> None:
    values, _ = long_tails(200, 0.4)

    def interval(seed: int) -> tuple[float, float]:
        found = find_two_groups(values, n_bootstrap=50, seed=seed)
        return found.low, found.high

    assert interval(1) == interval(1) != interval(2)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("n", [100, 3000])
@pytest.mark.parametrize("name", ["normal", "lognormal", "t3"])
def test_one_group_is_not_cut(seed: int, n: int, name: str) -> None:
    draw = np.random.default_rng([seed, n])
    values = {
        "normal": draw.normal(0.3, 0.2, n),
        "lognormal": draw.lognormal(-1, 1, n),
        "t3": 0.1 + 0.2 * draw.standard_t(3, n),
    }[name]
    found = find_two_groups(np.sort(values), n_bootstrap=30, seed=0)
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
    assert said in find_two_groups(values, n_bootstrap=200, seed=0).why_not


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
    found = find_two_groups(values, n_bootstrap=30, seed=0)
    assert isinstance(found, TwoGroups)
    if not found.why_not:
        assert values[0] <= found.threshold <= values[-1]
