"""Comparing two runs: what is equal, what is opposite, what has nothing in common."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ifcurate.errors import DataError
from ifcurate.reports.compare import STATISTICS, compare_runs, write_comparison
from ifcurate.reports.page import write_report
from ifcurate.runs.run import Run
from tests.reports.test_page import make_rows, make_run, read_data


def copy_run(run: Run, folder: Path, change: Any) -> Run:
    """A second run whose numbers are made from the first's."""
    folder.mkdir()
    scores = pl.read_parquet(run.scores_path).with_columns(change)
    scores.write_parquet(folder / "scores.parquet")
    run.manifest.write(folder / "manifest.json")
    return replace(run, folder=folder)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path, make_rows(60), tokens=False)


def test_a_run_agrees_with_itself(run: Run) -> None:
    found = compare_runs(run, run)
    assert list(found.correlations.values()) == pytest.approx([1, 1, 1])
    assert all(a == 1 for points in found.agreements.values() for _, a in points)


def test_an_opposite_order_has_the_correlation_minus_one(run: Run, tmp_path: Path) -> None:
    opposite = [-pl.col(name) for name in STATISTICS]
    found = compare_runs(run, copy_run(run, tmp_path / "other", opposite))
    assert list(found.correlations.values()) == pytest.approx([-1, -1, -1])
    # The lowest half of one run is the highest of the other: hardly a label is the same.
    assert dict(found.agreements["loss_without_context"])[0.5] < 0.1


def test_the_rows_that_moved_most_come_first(run: Run, tmp_path: Path) -> None:
    scored = run.scores().filter(pl.col("status") == "scored").sort("context_gain")
    name = scored["id"][0]
    gain = pl.when(pl.col("id") == name).then(99.0).otherwise("context_gain").alias("context_gain")
    found = compare_runs(run, copy_run(run, tmp_path / "other", gain))
    first = found.most_different(1).row(0, named=True)
    assert (first["id"], first["rank"], first["rank_2"]) == (name, 0, 100)


def test_runs_of_other_data_are_refused_with_what_was_found(run: Run, tmp_path: Path) -> None:
    other = copy_run(run, tmp_path / "other", pl.lit("x").alias("id"))
    with pytest.raises(DataError, match="found 0 scored examples in common"):
        compare_runs(run, other)


def test_the_comparison_is_a_page_and_a_section_of_a_report(run: Run, tmp_path: Path) -> None:
    found = compare_runs(run, run)
    alone = write_comparison(found, tmp_path / "compare.html")
    within = write_report(run, tmp_path / "report.html", compare=run.folder)
    for path in (alone, within):
        assert {"compared-gains", "compared-labels"} <= set(read_data(path)["figures"])
        assert "Examples that differ most" in path.read_text()
