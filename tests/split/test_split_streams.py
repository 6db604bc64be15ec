"""A table that is split in stretches: the labels are those of the whole, to the bit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from ifcurate.data.sources import read_examples
from ifcurate.engines.toy import ToyEngine
from ifcurate.errors import DataError
from ifcurate.options.split import SplitOptions
from ifcurate.runs.run import Run, score_run
from ifcurate.scoring.scorer import Scorer, ScoreSettings
from ifcurate.split import sorting
from ifcurate.split import ties as split_ties
from ifcurate.split.groups import Rows
from ifcurate.split.rules import SplitPlan, SplitSummary, split_scores
from ifcurate.split.sorting import Ranked, Scratch
from ifcurate.split.ties import Tie, resolve_ties
from ifcurate.steps.run_steps import split_run
from ifcurate.storage.files import open_table_writer
from ifcurate.storage.tables import SCORES, SPLIT
from tests.conftest import ALPACA_ROWS, write_jsonl
from tests.split.test_split import RULES, make_scores, random_scores
from tests.split.test_split_properties import TABLES, from_rows

app = import_module("ifcurate.cli").app


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """So little memory that a few rows are too many."""
    monkeypatch.setattr(sorting, "RUN", 7)
    monkeypatch.setattr(sorting, "BLOCK", 2)
    monkeypatch.setattr(sorting, "SUMMED", 1 << 20)
    monkeypatch.setattr(split_ties, "PIVOTS", 2)
    monkeypatch.setattr(split_ties.resolve_ties, "__kwdefaults__", {"held": 3})


def split_in_frames(
    scores: pl.DataFrame, size: int, folder: Path, **options: Any
) -> tuple[pl.DataFrame, SplitSummary]:
    """By way of frames of so many rows, and of a folder for what does not fit in memory."""

    def frames(columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        yield from scores.select(columns).iter_slices(size)

    plan = SplitPlan.create(SplitOptions.create(**options))
    with Scratch(folder) as scratch:
        cuts = plan.find_cuts(frames, scratch)
    tables = [cuts.label(frame) for frame in frames(plan.columns)]
    return pl.concat([SPLIT.to_frame(), *tables]), cuts.summary()


def check(scores: pl.DataFrame, size: int, folder: Path, **options: Any) -> None:
    whole = split_scores(scores, **options)
    table, summary = split_in_frames(scores, size, folder, **options)
    assert table.equals(whole.table)
    assert summary.cuts == whole.cuts
    assert summary.sensitivity.equals(whole.sensitivity)
    assert summary.nearest.equals(whole.nearest)
    assert summary.parameters == whole.parameters
    assert summary.counts() == whole.counts()
    assert not list(folder.iterdir())


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=TABLES,
    options=st.sampled_from(RULES),
    size=st.integers(1, 70),
    per=st.sampled_from(["all", "source"]),
    control=st.booleans(),
)
def test_stretches_give_what_the_whole_gives(
    tmp_path: Path,
    small: None,
    rows: list[tuple[float, float, int, str, str]],
    options: dict[str, Any],
    size: int,
    per: Any,
    control: bool,
) -> None:
    check(from_rows(rows), size, tmp_path, per=per, length_control=control, **options)


@pytest.mark.parametrize("options", RULES, ids=str)
def test_more_rows_than_are_sorted_at_a_time(
    tmp_path: Path, small: None, options: dict[str, Any]
) -> None:
    check(random_scores(700, 3), 90, tmp_path, **options)
    check(random_scores(700, 4), 90, tmp_path, per="source", length_control=True, **options)


def test_the_missing_stays_missing_in_any_stretch(tmp_path: Path, small: None) -> None:
    losses = [None, float("nan"), float("inf"), 1.0, 2.0, None, 3.0, float("-inf")]
    scores = make_scores(loss_without_context=losses, status=["scored"] * 6 + [None, "scored"])
    for options in RULES:
        check(scores, 3, tmp_path, **options)


def test_all_rows_tie(tmp_path: Path, small: None) -> None:
    """Even with keys, ids and places that are equal or missing the counts are exact."""
    n = 200
    keys = [None, "", "\0", "é", "a", "a\0", "a\1", "ab"]
    scores = make_scores(
        context_gain=[0.5] * n,
        loss_without_context=[0.5] * n,
        key=[keys[i % 8] for i in range(n)],
        id=["b", "a"] * (n // 2),
        row=[i * 7919 % 11 - 5 for i in range(n)],
    )
    for options in RULES:
        check(scores, 17, tmp_path, **options)
    scores = scores.with_columns(row=pl.int_range(n) * 7919 % 101)
    split = split_scores(scores, fraction=0.3)
    assert split.counts()["non-context-critical"] == 60
    order = scores.with_row_index("at").sort("key", "id", "source", "row", "turn")
    below = split.table[order["at"]]["label"] == "non-context-critical"
    last = order[:60].select("key", "id", "row")[-1].row(0)
    first = order[60:].select("key", "id", "row")[0].row(0)
    assert last != first  # else the test would not say which
    assert below.to_list() == [True] * 60 + [False] * (n - 60)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=3) | st.none(), min_size=1, max_size=60), st.integers(3, 40))
def test_tie_keys_sort_as_their_texts(texts: list[str | None], held: int) -> None:
    n = len(texts)
    frame = make_scores(context_gain=[0.0] * n, key=texts, id=["x"] * n)
    places = np.arange(n)
    rows = Rows(frame, places, places * 0, places * 0, (np.zeros(n),))
    keys = rows.tie_keys(places)
    assert keys.n_unique() == n
    expected = frame.with_columns(tie=keys).sort("key", "id", "source", "row", "turn")["tie"]
    assert expected.to_list() == keys.sort().to_list()
    tie = Tie(0, 0, 0.0, n)
    wanted = {1, n, (n + 1) // 2}
    found = resolve_ties(lambda: iter([rows]), {tie: wanted}, held=held)
    assert found == {(tie, place): expected[place - 1] for place in wanted}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.floats(-5, 5) | st.sampled_from([0.0, 1.0]), min_size=1, max_size=120),
    st.floats(0, 1),
)
def test_ranks_on_disk_are_those_of_numpy(
    tmp_path: Path, small: None, values: list[float], share: float
) -> None:
    array = np.array(values) + 0.0
    with Scratch(tmp_path) as scratch:
        numbers = scratch.numbers()
        for at in range(0, len(array), 50):
            numbers.append(array[at : at + 50])
        numbers.sort()
        ranked = Ranked(numbers, 0, len(array))
        assert ranked.take(0, len(array)).tolist() == sorted(array.tolist())
        for q in (0.0, 0.02, share, 1.0):
            assert ranked.quantile(q) == np.quantile(array, q)
            assert ranked.magnitude_quantile(q) == np.quantile(np.abs(array), q)
        assert ranked.deviation() == pytest.approx(float(np.std(array)), rel=1e-12, abs=1e-300)
        assert ranked.count_to(values[0]) == int(np.sum(array <= values[0]))
        assert ranked.count_below(values[0]) == int(np.sum(array < values[0]))
    assert not list(tmp_path.iterdir())


def test_no_room_to_sort_in(tmp_path: Path) -> None:
    with Scratch(tmp_path / "missing") as scratch, pytest.raises(DataError, match="free some"):
        scratch.numbers()


def toy_run(folder: Path) -> Run:
    rows = [
        {**ALPACA_ROWS[i % 4], "output": f"Word {i * i} and {i % 7}" + " more" * (i % 9)}
        for i in range(300)
    ]
    write_jsonl(folder / "a.jsonl", rows)
    scorer = Scorer.create(ToyEngine(), ScoreSettings(chunk_rows=16))
    return score_run(read_examples("a.jsonl"), scorer, folder / "run")


@pytest.mark.parametrize("options", [{"rule": "paper"}, {"rule": "both", "per": "source"}])
def test_the_bytes_of_a_run_do_not_depend_on_the_stretches(
    folder: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    run = toy_run(folder)
    split, manifest = split_run(run, **options)
    whole = split_scores(run.scores(), **options)
    path = run.folder / "split.parquet"
    assert pl.read_parquet(path).equals(whole.table)
    assert split.counts() == whole.counts() == manifest.counts
    before = path.read_bytes()
    frames = Run.score_frames

    def smaller(self: Run, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        for frame in frames(self, columns):
            yield from frame.iter_slices(37)

    monkeypatch.setattr(Run, "score_frames", smaller)
    split_run(run, **options)
    assert path.read_bytes() == before
    assert {p.name for p in run.folder.iterdir()} == {
        *(".lock", "manifest.json", "scores.parquet", "quarantine.jsonl"),
        *("split.parquet", "split.json"),
    }


def test_several_row_groups_are_one_table(folder: Path) -> None:
    run = toy_run(folder)
    one = run.scores()
    many = pl.concat([one.with_columns(pl.col("row") + 300 * i) for i in range(250)])
    manifest = {"id": run.manifest.id, **run.manifest.identity}
    with open_table_writer(run.scores_path, SCORES, manifest) as write:
        write(many)
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
