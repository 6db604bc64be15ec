"""Compare two runs of the same data: the order and the labels of the examples.

Examples are matched by id and turn. Rank correlation is Spearman's, with ties at their mean
rank. Agreement at a share s is the fraction of the common examples on the same side when
both runs put the lowest s below the cut. Two unrelated orders agree on s^2 + (1 - s)^2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from ifcurate.errors import DataError
from ifcurate.pages.figures import draw_lines, draw_scatter
from ifcurate.pages.shell import Figure, Page, Section, Table, refuse_page
from ifcurate.phrases import check_type
from ifcurate.runs.run import Run

_TITLE: Final = "ifcurate compare"
SHARES: Final = tuple(round(0.05 * i, 2) for i in range(1, 20))
POINTS: Final = 4000
#: The numbers that are compared, with their names on the page.
NAMES: Final = {
    "context_gain": "gain",
    "loss_without_context": "loss without context",
    "loss_with_context": "loss with context",
}
STATISTICS: Final = tuple(NAMES)
_CUT: Final = STATISTICS[:2]  # the statistics that rules cut


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison of two runs. `table` has a row per example that both scored."""

    first: Run
    second: Run
    n_first: int  # scored examples of the first run
    n_second: int
    correlations: dict[str, float | None]  # statistic -> Spearman's rho; None when it has none
    #: statistic -> (share below the cut, agreement)
    agreements: dict[str, list[tuple[float, float]]]
    table: pl.DataFrame  # id, source, row, preview, each statistic twice ("_2" for the second)

    @property
    def n_common(self) -> int:
        """Scored examples of both."""
        return self.table.height

    def most_different(self, n: int = 20) -> pl.DataFrame:
        """Return the examples whose gains are furthest apart in rank, the furthest first.

        Adds `rank` and `rank_2`, percentages: 0 is the smallest gain of a run.
        """
        share = 100 / max(self.n_common - 1, 1)
        ranked = self.table.with_columns(
            ((pl.col("context_gain").rank("average") - 1) * share).alias("rank"),
            ((pl.col("context_gain_2").rank("average") - 1) * share).alias("rank_2"),
        )
        apart = (pl.col("rank") - pl.col("rank_2")).abs()
        return ranked.sort(apart, "id", descending=[True, False]).head(n)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        shown = ("id", "source", "row", "context_gain", "context_gain_2", "rank", "rank_2")
        return {
            "first": str(self.first.folder),
            "second": str(self.second.folder),
            "scored": {"first": self.n_first, "second": self.n_second, "both": self.n_common},
            "rank_correlation": self.correlations,
            "agreement": self.agreements,
            "most_different": self.most_different().select(shown).to_dicts(),
        }


def compare_runs(first: Run, second: Run) -> Comparison:
    """Compare the scores of two finished runs.

    Raises `RunError` when one is unfinished, `DataError` when fewer than two examples are
    scored in both.
    """
    for name, run in (("first", first), ("second", second)):
        check_type(name, run, Run, "give find_run(FOLDER)")
    mine, other = _scored(first), _scored(second)
    table = mine.join(other.drop("source", "row", "preview"), on=["id", "turn"], suffix="_2")
    if table.height < 2:
        raise DataError(
            f"{second.folder}: cannot be compared with {first.folder}; found "
            f"{table.height} scored examples in common (of {mine.height} and {other.height}); "
            "compare runs of the same data"
        )
    table = table.sort("source", "row", "turn")
    return Comparison(
        first,
        second,
        mine.height,
        other.height,
        {name: _correlate(table, name) for name in STATISTICS},
        {name: _agree(table[name].to_numpy(), table[f"{name}_2"].to_numpy()) for name in _CUT},
        table,
    )


def _scored(run: Run) -> pl.DataFrame:
    columns = ("id", "source", "row", "turn", "status", "preview", *STATISTICS)
    finite = pl.all_horizontal(pl.col(name).is_finite() for name in STATISTICS)
    scored = run.scores(columns).filter((pl.col("status") == "scored") & finite)
    return scored.select(
        *(c for c in columns if c not in ("status", *STATISTICS)),
        *(pl.col(name).cast(pl.Float64) for name in STATISTICS),
    )


def _correlate(table: pl.DataFrame, name: str) -> float | None:
    value = table.select(pl.corr(name, f"{name}_2", method="spearman")).item()
    return None if value is None or math.isnan(value) else float(value)


def _agree(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]
) -> list[tuple[float, float]]:
    ranks = [np.argsort(np.argsort(values, kind="stable")) for values in (first, second)]
    n = len(first)
    return [
        (share, float(np.mean((ranks[0] >= round(share * n)) == (ranks[1] >= round(share * n)))))
        for share in SHARES
    ]


def name_run(run: Run) -> str:
    """Model, dtype and template, which usually differ between two runs of one dataset."""
    identity = run.manifest.identity
    engine = identity["engine"]
    return f"{engine['model']} ({engine['dtype']}, template {identity['template']['name']})"


def write_comparison(comparison: Comparison, out: Path, *, overwrite: bool = False) -> Path:
    """Write the comparison as a separate page. Raises `DataError`."""
    subtitle = _name_both(comparison.first, comparison.second)
    sections = [comparison_section(comparison)]
    return Page(_TITLE, sections, subtitle).write(out, overwrite=overwrite)


def refuse_comparison(first: Run, second: Run, out: Path, *, overwrite: bool = False) -> None:
    """Raise `DataError` where `write_comparison` would not write, before the runs are read."""
    refuse_page(out, _TITLE, _name_both(first, second), overwrite=overwrite)


def _name_both(first: Run, second: Run) -> str:
    return f"{first.folder.name} and {second.folder.name}"


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
        "0.2% on each side is beyond the axes.",
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
