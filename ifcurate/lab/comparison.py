"""The comparison of a laboratory's arms as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from ifcurate.pages.figures import draw_lines
from ifcurate.pages.shell import Figure, Section, Table, write_page

_FIRST: Final = ("unfiltered", "random", "filtered")  # of the arms


def make_page(compared: dict[str, Any], out: Path) -> Path:
    """Write the page of what `compare_arms` returns: plots, and tables of arms and scores."""
    sections = [
        Section(
            f"mixture-{name}", f"Mixture {name}", blocks=(*_draw_arms(name, arms), _table(arms))
        )
        for name, arms in compared["mixtures"].items()
    ]
    if compared["auroc"]:
        sections.append(_score_section(compared["auroc"]))
    subtitle = "The bundled model, nudged to ignore passages, then finetuned"
    return write_page(out, "The laboratory", sections, subtitle=subtitle, scripts=("charts.js",))


def _draw_arms(mixture: str, arms: dict[str, Any]) -> list[Figure]:
    """A figure of the arms that differ in their rows, and one of those that differ in weights."""
    first = [name for name in _FIRST if name in arms]
    rows = [*first, *(name for name in sorted(arms) if name not in first and "+" not in name)]
    updates = [*first[:1], *(name for name in sorted(arms) if "+" in name)]
    figures = [_draw(mixture, "rows", {name: arms[name] for name in rows})] if rows else []
    if len(updates) > len(first[:1]):
        figures.append(_draw(mixture, "weights", {name: arms[name] for name in updates}))
    return figures


def _draw(mixture: str, what: str, arms: dict[str, Any]) -> Figure:
    lines = {
        arm: [[p["step"], p["conflict"]["mean"]] for p in own["steps"]] for arm, own in arms.items()
    }
    bands = {arm: _band(own["steps"]) for arm, own in arms.items() if len(own["seeds"]) > 1}
    return draw_lines(
        f"conflict-{mixture}-{what}",
        f"Answers from the context where memory disagrees: which {what}", lines,
        x_title="step", y_title="conflict accuracy", bands=bands, y_limits=(0.0, 1.0),
        points=True, wide=True,
        caption="Mean over seeds; the bands are 95% intervals of Student's t.",
    )  # fmt: skip


def _band(steps: list[dict[str, Any]]) -> list[list[float]]:
    intervals = [(p["step"], p["conflict"]) for p in steps]
    return [[step, i["low"], i["high"]] for step, i in intervals if i["low"] is not None]


def _table(arms: dict[str, Any]) -> Table:
    columns = ("arm", "seeds", "final conflict", "fall from step 20, by seed",
               "final standard", "final parametric")  # fmt: skip
    return Table(columns, [_row(arm, own) for arm, own in arms.items()])


def _score_section(auroc: dict[str, Any]) -> Section:
    scores = dict.fromkeys(score for own in auroc.values() for score in own)
    rows = [[s, *(own.get(s, {}).get("both") for own in auroc.values())] for s in scores]
    text = (
        "AUROC of each score against the truth, critical rows against all other rows with a "
        "passage."
    )
    table = Table(("score", *auroc), rows)
    return Section("auroc", "Which score finds the critical rows", (text,), (table,))


def _row(arm: str, own: dict[str, Any]) -> list[str | float | int | None]:
    last = own["steps"][-1]
    falls = [f for _, f in sorted(own["fall_by_seed"].items()) if f is not None]
    return [
        arm,
        len(own["seeds"]),
        _show(last["conflict"]),
        ", ".join(f"{100 * f:.1f}" for f in falls),
        _show(last["standard"]),
        _show(last["parametric"]),
    ]


def _show(interval: dict[str, float | None]) -> str:
    text = f"{100 * (interval['mean'] or 0):.1f}"
    if interval["low"] is not None and interval["high"] is not None:
        text += f" ({100 * interval['low']:.0f}-{100 * interval['high']:.0f})"
    return text
