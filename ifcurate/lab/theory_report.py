"""The report of `ifcurate lab theory`: all checks, the counterexample, and a walk."""

from __future__ import annotations

from typing import Any

from ifcurate.lab.theory import SMALLEST, Setting, check_grid, describe, find_rate, walk
from ifcurate.lab.theory_explicit import check_explicit

__all__ = ["make_report"]


def make_report() -> dict[str, Any]:
    """All checks, the smallest counterexample, and a walk through both phases."""
    shown = Setting(61, 4, 4, 0.15, 0.5)
    rate = find_rate(shown)
    assert rate is not None
    return {
        "closed_form": check_grid(),
        "counterexample": describe(SMALLEST),
        "explicit": check_explicit(),
        "phase_plot": {"setting": describe(shown), "rate": rate, "walk": walk(shown, rate, 12),
                       "slow_walk": walk(shown, rate / 10, 120)},
    }  # fmt: skip
