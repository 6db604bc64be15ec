"""The report of `ifcurate lab theory`: all checks, the counterexample, and a walk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ifcurate.lab.theory import SMALLEST, Setting, describe, find_rate, walk
from ifcurate.lab.theory_explicit import check_explicit
from ifcurate.lab.theory_grid import check_grid


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


def make_page(report: dict[str, Any], out: Path) -> Path:
    """The phase plot and the table of statements as one HTML file."""
    from ifcurate.pages.figures import draw_lines
    from ifcurate.pages.shell import Section, Table, write_page

    points = report["phase_plot"]["slow_walk"]
    names = {
        "attention_context_points": "attention to the context, C points",
        "attention_both_points": "attention to the context, C+S points",
        "attention_conflict": "attention to the context, unseen conflict",
        "context_share": "M_C on the unseen conflict",
    }
    figure = draw_lines(
        "phases", "Attention rises to the context, then leaves it for the subject",
        {title: [[p["step"], p[key]] for p in points] for key, title in names.items()},
        x_title="step of gradient descent on W_KQ", y_title="share", y_limits=(0.0, 1.0), wide=True,
    )  # fmt: skip
    rows = [
        [name.replace("_", " "), checked["held"], checked["tried"],
         "" if checked["smallest_failure"] is None else f"K = {checked['smallest_failure']['K']}"]
        for name, checked in report["closed_form"].items() if isinstance(checked, dict)
    ]  # fmt: skip
    table = Table(("statement", "held", "settings", "smallest failure"), rows)
    return write_page(out, "The one-layer model", [
        Section("phases", "Two phases", blocks=(figure,)),
        Section("statements", "Where each statement held", blocks=(table,)),
    ], scripts=("charts.js",))  # fmt: skip
