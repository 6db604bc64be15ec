"""The split of a run folder: what it writes, and what must not change it."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from ifcurate.data.sources import read_examples
from ifcurate.engines.toy import ToyEngine
from ifcurate.options.score import ScoreSettings
from ifcurate.runs.filling import score_run
from ifcurate.runs.run import Run
from ifcurate.scoring.scorer import Scorer
from ifcurate.split.rules import split_scores
from ifcurate.steps.splitting import split_run
from ifcurate.storage.files import sink_tables, write_table
from tests.conftest import ALPACA_ROWS, write_jsonl
from tests.split.test_split import RULES, make_scores, random_scores

app = import_module("ifcurate.cli").app


def test_all_rows_tie() -> None:
    """Even with keys, ids and places that are equal or missing the counts are exact."""
    n = 200
    keys = [None, "\0", "é", "a", "a\0", "a\1", "ab"]
    scores = make_scores(
        context_gain=[0.5] * n,
        loss_without_context=[0.5] * n,
        key=[keys[i % 7] for i in range(n)],
        id=["b", "a"] * (n // 2),
        row=[i * 7919 % 11 - 5 for i in range(n)],
    )
    for options in RULES:
        if options["rule"] == "paper":
            counts = split_scores(scores, **options).counts()
            assert counts["non-context-critical"] == n * options.get("fraction", 0.25)
    scores = scores.with_columns(row=pl.int_range(n) * 7919 % 101)
    split = split_scores(scores, fraction=0.3)
    assert split.counts()["non-context-critical"] == 60
    order = scores.with_row_index("at").sort("key", "id", "source", "row", "turn")
    below = split.table[order["at"]]["label"] == "non-context-critical"
    last = order[:60].select("key", "id", "row")[-1].row(0)
    first = order[60:].select("key", "id", "row")[0].row(0)
    assert last != first  # else the test would not say which
    assert below.to_list() == [True] * 60 + [False] * (n - 60)


def toy_run(folder: Path) -> Run:
    rows = [
        {**ALPACA_ROWS[i % 4], "output": f"Word {i * i} and {i % 7}" + " more" * (i % 9)}
        for i in range(300)
    ]
    write_jsonl(folder / "a.jsonl", rows)
    scorer = Scorer.create(ToyEngine(), ScoreSettings(chunk_rows=16))
    return score_run(read_examples("a.jsonl"), scorer, folder / "run")


@pytest.mark.parametrize("options", [{"rule": "paper"}, {"rule": "both", "per": "source"}])
def test_a_run_is_split_as_its_table_is_and_to_the_same_bytes(
    folder: Path, options: dict[str, Any]
) -> None:
    run = toy_run(folder)
    split, manifest = split_run(run, **options)
    whole = split_scores(run.scores(), **options)
    path = run.folder / "split.parquet"
    assert pl.read_parquet(path).equals(whole.table)
    assert split.counts() == whole.counts() == manifest.counts
    assert split.sensitivity.equals(whole.sensitivity)
    assert split.nearest.equals(whole.nearest)
    before = path.read_bytes()
    split_run(run, **options)
    assert path.read_bytes() == before
    assert {p.name for p in run.folder.iterdir()} == {
        *(".lock", "manifest.json", "scores.parquet", "quarantine.jsonl"),
        *("split.parquet", "split.json"),
    }


@pytest.mark.slow
def test_several_row_groups_are_one_table(folder: Path) -> None:
    run = toy_run(folder)
    one = run.scores()
    many = pl.concat([one.with_columns(pl.col("row") + 300 * i) for i in range(250)])
    manifest = {"id": run.manifest.id, **run.manifest.identity}
    sink_tables({run.scores_path: many.lazy()}, manifest)
    split_run(run, rule="both", fraction=0.3, threshold=0.01)
    whole = split_scores(many, rule="both", fraction=0.3, threshold=0.01)
    assert pl.read_parquet(run.folder / "split.parquet").equals(whole.table)


def test_the_formula_says_what_a_row_must_pass(folder: Path) -> None:
    run = toy_run(folder)
    write_jsonl(folder / "b.jsonl", [{**ALPACA_ROWS[0], "output": f"B {i}."} for i in range(9)])
    scorer = Scorer.create(ToyEngine(), ScoreSettings())
    run = score_run(read_examples(["a.jsonl", "b.jsonl"]), scorer, folder / "two")
    formula = split_run(run, rule="both", per="source")[1].formula
    told = formula.removeprefix("context-critical where ").removesuffix(" [rule both]")
    for part, name in zip(told.split("; "), ("a.jsonl", "b.jsonl"), strict=True):
        hard, helped = part.removesuffix(f" ({name})").split(" and ")
        assert hard.startswith("loss_without_context > ")
        assert helped == "context_gain > 0.15"
    shown = CliRunner().invoke(app, ["split", "--rule", "both", "--per", "source", "--run", "two"])
    assert "nearest rows by context_gain in a.jsonl" in shown.output
    split, manifest = split_run(run, rule="both", length_control=True, length_bins=2)
    bins = [c for c in split.cuts if c.length_bin and c.statistic == "context_gain"]
    tests = manifest.formula.split("; ")
    assert len(tests) == len(bins) == 2
    for text, cut in zip(tests, bins, strict=True):
        assert f" and context_gain > {cut.threshold:.6g} ({cut.length_bin})" in text
    assert json.loads((run.folder / "split.json").read_text())["formula"] == manifest.formula


def test_near_rows_of_two_rules_say_whose_cut_they_are_near() -> None:
    split = split_scores(random_scores(400), rule="both")
    near = split.nearest
    assert near["statistic"].unique(maintain_order=True).to_list() == [
        "loss_without_context",
        "context_gain",
    ]
    for (statistic,), part in near.group_by("statistic"):
        assert part["value"].is_sorted()
        cut = next(c for c in split.cuts if c.statistic == statistic)
        assert part["threshold"].unique().to_list() == [cut.threshold]
        sides = part.group_by("label").len()
        assert sides["len"].to_list() == [5, 5]


def test_scores_of_another_version_are_named(folder: Path) -> None:
    run = toy_run(folder)
    older = run.scores().drop("context_overlap")
    write_table(older, run.scores_path, {"id": run.manifest.id, **run.manifest.identity})
    for name in ("split", "filter"):
        arguments = [name, "--run", "run", *["--keep", "context-critical"] * (name == "filter")]
        shown = " ".join(CliRunner().invoke(app, arguments).output.split())
        assert "run/scores.parquet: columns are missing: context_overlap; found id, " in shown
        assert "another version of ifcurate wrote it: make it again with --overwrite" in shown


def test_rows_that_are_left_out_are_counted_in_the_manifest(folder: Path) -> None:
    run = toy_run(folder)
    summary, manifest = split_run(run, max_overlap=0.001)
    overlap = run.scores(["status", "context_overlap"]).filter(status="scored")["context_overlap"]
    n = int((overlap > 0.001).sum())
    assert n > 0
    assert summary.n_left_out == n == manifest.counts["not-scored"]
    assert sum(manifest.counts.values()) == 300
    assert f"; {n} rows left out with context_overlap above 0.001" in manifest.formula
