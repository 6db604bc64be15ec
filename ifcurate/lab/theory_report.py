"""The report of `ifcurate lab theory`: statements checked over a grid, a counterexample, a walk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from ifcurate.lab import theory
from ifcurate.lab.theory import Setting, State
from ifcurate.lab.theory_explicit import check_explicit


def make_report() -> dict[str, Any]:
    """Return all checks, the smallest counterexample, and a walk through both phases."""
    shown = Setting(61, 4, 4, 0.15, 0.5)
    rate = theory.find_rate(shown)
    assert rate is not None
    return {
        "closed_form": check_grid(),
        "counterexample": theory.describe(theory.SMALLEST),
        "explicit": check_explicit(),
        "phase_plot": {
            "setting": theory.describe(shown),
            "rate": rate,
            "walk": theory.walk(shown, rate, 12),
            "slow_walk": theory.walk(shown, rate / 10, 120),
        },
    }


def make_page(report: dict[str, Any], out: Path) -> Path:
    """Return the phase plot and the table of statements as one HTML file."""
    from ifcurate.pages.figures import draw_lines
    from ifcurate.pages.shell import Page, Section, Table

    points = report["phase_plot"]["slow_walk"]
    names = {
        "attention_context_points": "attention to the context, C points",
        "attention_both_points": "attention to the context, C+S points",
        "attention_conflict": "attention to the context, unseen conflict",
        "context_share": "M_C on the unseen conflict",
    }
    figure = draw_lines(
        "phases",
        "Attention rises to the context, then leaves it for the subject",
        {title: [[p["step"], p[key]] for p in points] for key, title in names.items()},
        x_title="step of gradient descent on W_KQ",
        y_title="share",
        y_limits=(0.0, 1.0),
        wide=True,
    )
    rows = [
        [
            name.replace("_", " "),
            checked["held"],
            checked["tried"],
            ""
            if checked["smallest_failure"] is None
            else f"K = {checked['smallest_failure']['K']}",
        ]
        for name, checked in report["closed_form"].items()
        if isinstance(checked, dict)
    ]
    table = Table(("statement", "held", "settings", "smallest failure"), rows)
    sections = [
        Section("phases", "Two phases", blocks=(figure,)),
        Section("statements", "Where each statement held", blocks=(table,)),
    ]
    return Page("The one-layer model", sections).write(out)


def grid() -> list[Setting]:
    """Sizes and probabilities that meet the assumptions."""
    sizes = (5, 8, 12, 20, 26, 50, 100, 300, 1000, 10_000, 30_000)
    counts = ((1, 1), (4, 4), (32, 32), (2, 1), (8, 4), (5, 1), (20, 4))
    shares = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45)
    known = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
    settings = [theory.SMALLEST]
    for size, (n_c, n_b), low, high in product(sizes, counts, shares, known):
        # Each point has its own answer and subject, and there is one relation.
        if 2 * (n_c + n_b) + 1 <= size and 1 / size < low < high / 2:
            settings.append(Setting(size, n_c, n_b, low, high))
    return settings


def check_grid(settings: list[Setting] | None = None) -> dict[str, Any]:
    """Return how often each statement held, the number of settings, and the smallest failure."""
    settings = grid() if settings is None else settings
    under = [s for s in settings if theory.sufficient(s)]
    equal = _with_equal_counts(settings)
    rates = {s: theory.find_rate(s) for s in settings if _has_first_phase(s)}
    return {
        "n_settings": len(settings),
        "lemma_6": _check(settings, lambda s: theory.lemma_margin(s) > 0),
        "lemma_6_under_condition": _check(under, lambda s: theory.lemma_margin(s) > 0),
        "first_phase_all": _check(settings, _has_first_phase),
        "first_phase_equal_counts": _check(equal, _has_first_phase),
        "first_phase_under_condition": _check(under, _has_first_phase),
        "second_phase_given_first": _check_second_phase(rates),
        "theorem_1_given_both_phases": _check_theorem(rates),
    }


def _with_equal_counts(settings: Sequence[Setting]) -> list[Setting]:
    return [s for s in settings if s.n_context == s.n_both]


def _has_first_phase(setting: Setting) -> bool:
    return theory.pull_sign(setting, State()) > 0


def _check_second_phase(rates: dict[Setting, float | None]) -> dict[str, Any]:
    """Return whether some rate reverses the signs; `rates` has the settings with a first phase."""
    first = list(rates)
    return {
        **_check(first, lambda s: rates[s] is not None),
        "rate_searched_to": theory.LARGEST_RATE,
        "as_the_limit_of_large_rates_says": sum(
            theory.reverses_in_the_limit(s) == (rate is not None) for s, rate in rates.items()
        ),
        "equal_counts": _check(_with_equal_counts(first), lambda s: rates[s] is not None),
    }


def _check_theorem(rates: dict[Setting, float | None]) -> dict[str, Any]:
    """Return whether M_C rises at the first step and does not rise at the second.

    Theorem 1 follows from the two phases: M_C rises with the score of the unseen
    conflict, which moves by eta/n G at each step, and G changes its sign in between.
    """
    shares = {}  # M_C before training and after one and two steps
    for setting, rate in rates.items():
        if rate is not None:
            one = theory.take_step(setting, State(), rate)
            states = (State(), one, theory.take_step(setting, one, rate))
            shares[setting] = [theory.context_share(setting, state) for state in states]
    rises_then_falls = {s: m1 > m0 and m1 >= m2 for s, (m0, m1, m2) in shares.items()}
    return {
        **_check(list(shares), lambda s: rises_then_falls[s]),
        "second_step_below_float64": sum(m1 == m2 for _, m1, m2 in shares.values()),
    }


def _check(settings: list[Setting], holds: Callable[[Setting], bool]) -> dict[str, Any]:
    failures = [s for s in settings if not holds(s)]
    smallest = min(failures, key=lambda s: (s.n_tokens, s.n_context + s.n_both), default=None)
    return {
        "tried": len(settings),
        "held": len(settings) - len(failures),
        "smallest_failure": theory.describe(smallest) if smallest else None,
    }
