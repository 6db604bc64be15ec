"""The one-layer model: closed forms against autograd, and the counterexample by hand."""

from __future__ import annotations

import math

import pytest

from ifcurate.lab.theory import (
    SMALLEST,
    Setting,
    State,
    lemma_margin,
    margins,
    pull_sign,
    sufficient,
)
from ifcurate.lab.theory_explicit import check_explicit
from ifcurate.lab.theory_report import check_grid, grid


def test_the_counterexample_can_be_done_by_hand() -> None:
    m_c, m_b = margins(SMALLEST, State())
    assert m_b == pytest.approx(-math.log(16) / 3)  # p_a = 8 / (8 + 4)
    assert m_c == pytest.approx(4 / (4 + math.sqrt(2)) * math.log(2))  # p_c = sqrt2 / (sqrt2 + 4)
    assert lemma_margin(SMALLEST) < 0
    assert pull_sign(SMALLEST, State()) < 0  # the first phase fails with one point of each kind


def test_no_smaller_vocabulary_has_one_point_of_each_kind() -> None:
    assert min(setting.n_tokens for setting in grid()) == 2 + 2 + 1 == SMALLEST.n_tokens


def test_the_condition_is_enough_and_the_second_phase_follows_with_equal_counts() -> None:
    settings = [s for s in grid() if s.n_tokens in (5, 20)]
    found = check_grid(settings)
    assert found["lemma_6"]["held"] < found["lemma_6"]["tried"]
    assert found["lemma_6_under_condition"]["smallest_failure"] is None
    second = found["second_phase_given_first"]
    assert second["equal_counts"]["smallest_failure"] is None
    assert second["as_the_limit_of_large_rates_says"] == second["tried"]
    assert found["theorem_1_given_both_phases"]["smallest_failure"] is None
    assert any(sufficient(s) for s in settings)


def test_closed_forms_equal_autograd() -> None:
    found = check_explicit()
    assert found["largest_error_of_closed_form"] < 1e-12
    tried = found["proposition_2_sum_finite_r"]["tried"]
    assert found["proposition_2_sum_finite_r"]["theta_C unchanged"] == tried
    assert found["proposition_2_mean"]["theta_C shrinks by n/(n+n_S)"] == tried
    assert found["proposition_3"]["held"] == found["proposition_3"]["tried"]


def test_a_setting_outside_the_assumptions_is_refused() -> None:
    with pytest.raises(ValueError, match="delta_C"):
        Setting(20, 1, 1, 0.4, 0.7)
