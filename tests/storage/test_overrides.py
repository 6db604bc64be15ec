"""Labels set by hand: split and filter follow them, and manifests count them."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from ifcurate.reports.page import write_report
from ifcurate.runs.run import Run
from ifcurate.steps.filtering import filter_run
from ifcurate.steps.splitting import split_run
from ifcurate.storage.by_hand import (
    Override,
    apply_overrides,
    fingerprint_overrides,
    write_overrides,
)
from tests.reports.test_page import make_rows, make_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path, make_rows(60), tokens=False)


def dropped_rows(run: Run) -> pl.DataFrame:
    table = pl.read_parquet(run.folder / "split.parquet")
    return table.filter(pl.col("label") == "non-context-critical")


def set_by_hand(run: Run, row: dict[str, object], label: str) -> Override:
    names = ("source", "row", "turn", "id")
    override = Override.model_validate(
        {**{name: row[name] for name in names}, "label": label, "at": "2026-01-01T00:00:00"}
    )
    write_overrides(run.folder, {override.key: override})
    return override


def test_split_and_filter_follow_a_label_set_by_hand_and_count_it(run: Run) -> None:
    before, _ = split_run(run)
    row = dropped_rows(run).row(0, named=True)
    first = filter_run(run, keep="context-critical")
    set_by_hand(run, row, "context-critical")
    # No split in between: filtering makes it again, by the same rule.
    second = filter_run(run, keep="context-critical")
    assert second.manifest.counts["kept"] == first.manifest.counts["kept"] + 1
    assert second.split.checks["set_by_hand"] == 1
    assert second.manifest.checks == {"set_by_hand": 1}
    assert second.split.counts["context-critical"] == before.counts()["context-critical"] + 1
    assert second.split.formula.endswith("; 1 label set by hand")
    kept = json.loads(second.split.model_dump_json())["identity"]["asked"]
    assert kept == first.split.identity["asked"]
    assert "<dt>Set by hand</dt><dd><b>1</b>" in write_report(run).read_text()


def test_a_label_taken_back_leaves_no_trace(run: Run) -> None:
    split_run(run)
    before = (run.folder / "split.parquet").read_bytes()
    set_by_hand(run, dropped_rows(run).row(0, named=True), "context-critical")
    filter_run(run, keep="context-critical")
    assert (run.folder / "split.parquet").read_bytes() != before
    write_overrides(run.folder, {})
    filter_run(run, keep="context-critical")
    assert (run.folder / "split.parquet").read_bytes() == before


def test_the_rule_s_reason_stays_beside_the_label(run: Run) -> None:
    split_run(run)
    table = pl.read_parquet(run.folder / "split.parquet")
    row = dropped_rows(run).row(0, named=True)
    override = set_by_hand(run, row, "context-critical")
    once = apply_overrides(table, {override.key: override})
    assert apply_overrides(once, {override.key: override}).equals(once)
    changed = once.filter(pl.col("label") != table["label"])
    assert changed["reason"].to_list() == [f"set by hand; the rule: {row['reason']}"]
    assert once.drop("label", "confidence", "reason").equals(
        table.drop("label", "confidence", "reason")
    )


def test_rows_without_a_score_keep_their_label(run: Run) -> None:
    split_run(run)
    table = pl.read_parquet(run.folder / "split.parquet")
    row = table.filter(pl.col("label") == "no-context").row(0, named=True)
    override = set_by_hand(run, row, "context-critical")
    assert apply_overrides(table, {override.key: override}).equals(table)


def test_the_fingerprint_is_of_the_labels_not_of_their_order_or_time(run: Run) -> None:
    def made(row: int, label: str, at: str) -> Override:
        values = {"source": "s", "row": row, "turn": 0, "id": str(row), "label": label, "at": at}
        return Override.model_validate(values)

    a, b = made(1, "context-critical", "now"), made(2, "context-critical", "now")
    later = made(1, "context-critical", "later")
    other = made(1, "non-context-critical", "now")
    one = fingerprint_overrides({a.key: a, b.key: b})
    assert one == fingerprint_overrides({b.key: b, later.key: later})
    assert one != fingerprint_overrides({other.key: other, b.key: b})
    assert fingerprint_overrides({}) == ""
