"""A comparison of two runs as a section of a report or as a separate page."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from ifcurate.pages.figures import draw_lines, draw_scatter
from ifcurate.pages.shell import Figure, Section, Table, write_page
from ifcurate.reports.compare import Comparison
from ifcurate.runs.run import Run

POINTS: Final = 4000
NAMES: Final = {
    "context_gain": "gain",
    "loss_without_context": "loss without context",
    "loss_with_context": "loss with context",
}


def name_run(run: Run) -> str:
    """Model, dtype and template, which usually differ between two runs of one dataset."""
    identity = run.manifest.identity
    engine = identity["engine"]
    return f"{engine['model']} ({engine['dtype']}, template {identity['template']['name']})"


def write_comparison(comparison: Comparison, out: Path, *, overwrite: bool = False) -> Path:
    """Write the comparison as a separate page. Raises `DataError`."""
    title = "ifcurate compare"
    subtitle = f"{comparison.first.folder.name} and {comparison.second.folder.name}"
    sections = [comparison_section(comparison)]
    scripts = ("charts.js",)
    return write_page(out, title, sections, subtitle=subtitle, scripts=scripts, overwrite=overwrite)


def comparison_section(comparison: Comparison) -> Section:
    """Summary, correlations, plots, and the examples that differ most."""
    first, second = name_run(comparison.first), name_run(comparison.second)
    text = (
        f"First: {first}, {comparison.n_first:,} scored examples. Second: {second}, "
        f"{comparison.n_second:,} scored examples. {comparison.n_common:,} are scored in both. "
        "The rest of this comparison uses these.",
    )
    return Section(
        "comparison",
        "Comparison",
        text,
        (
            _correlations(comparison),
            _gains(comparison, first, second),
            _agreement(comparison),
            _different(comparison),
        ),
    )


def _correlations(comparison: Comparison) -> Table:
    at_quarter = {name: dict(points)[0.25] for name, points in comparison.agreements.items()}
    rows: list[list[Any]] = [
        [
            NAMES[name],
            value,
            f"{100 * at_quarter[name]:.1f}%" if name in at_quarter else None,
        ]
        for name, value in comparison.correlations.items()
    ]
    columns = ("number", "rank correlation", "same label, a quarter below the cut")
    caption = (
        "Spearman's rank correlation: 1 means the same order. Unrelated orders give 0, and the "
        "same label for 62.5% of the examples."
    )
    return Table(columns, rows, "Agreement of the scores", caption)


def _gains(comparison: Comparison, first: str, second: str) -> Figure:
    table = comparison.table
    shown = table.sample(POINTS, seed=0) if table.height > POINTS else table
    points = [
        (round(x, 4), round(y, 4))
        for x, y in shown.select("context_gain", "context_gain_2").iter_rows()
    ]
    ends = [
        table[name].quantile(q) or 0.0
        for name in ("context_gain", "context_gain_2")
        for q in (0.002, 0.998)
    ]
    low, high = round(min(ends), 3), round(max(ends), 3)
    return draw_scatter(
        "compared-gains",
        "Gain in both runs",
        {"examples": points},
        x_title=f"first: {first}, nats per token",
        y_title="second, nats per token",
        caption=f"{shown.height:,} of {table.height:,} common examples; the y axis is {second}. "
        "0.2% on each side lies beyond the axes.",
        lines=[((low, low), (high, high), "equal")] if low < high else (),
        limits=(low, high, low, high) if low < high else None,
    )


def _agreement(comparison: Comparison) -> Figure:
    series = {
        NAMES[name]: [(round(100 * s), round(100 * a, 2)) for s, a in points]
        for name, points in comparison.agreements.items()
    }
    shares = [s for s, _ in next(iter(comparison.agreements.values()))]
    series["unrelated orders"] = [
        (round(100 * s), round(100 * (s * s + (1 - s) ** 2), 2)) for s in shares
    ]
    return draw_lines(
        "compared-labels",
        "Agreement of the labels, by the position of the cut",
        series,
        x_title="share below the cut, %",
        y_title="same label, %",
        caption="Both runs put the same share below the cut.",
        y_limits=(None, 100),
        height=420,
    )


def _different(comparison: Comparison) -> Table:
    rows = [
        [
            str(row["preview"] or row["id"])[:160],
            f"{row['source']}, row {row['row']}",
            row["context_gain"],
            row["context_gain_2"],
            round(row["rank"]),
            round(row["rank_2"]),
        ]
        for row in comparison.most_different().iter_rows(named=True)
    ]
    columns = ("example", "place", "gain, first", "gain, second", "rank %, first", "rank %, second")
    return Table(columns, rows, "Examples that differ most")
