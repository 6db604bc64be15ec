"""Rows near the cut, scored again in float32."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from ifcurate.data.sources import read_examples
from ifcurate.engines.base import Engine, Prompt
from ifcurate.engines.hf.engine import load_hf_engine
from ifcurate.errors import ModelError, OptionError, RunError
from ifcurate.options.score import ScoreSettings
from ifcurate.options.split import RescoreOptions, SplitOptions
from ifcurate.pocket import demo_path
from ifcurate.runs.filling import score_run
from ifcurate.runs.run import Run
from ifcurate.scoring.scorer import Scorer
from ifcurate.split.rules import SplitPlan, split_scores
from ifcurate.steps.filtering import filter_run
from ifcurate.steps.rescoring import Rescore
from ifcurate.steps.splitting import RowScorer, split_run
from ifcurate.storage.files import read_table_manifest
from ifcurate.storage.tables import LABELS
from tests.conftest import write_jsonl
from tests.models import make_model
from tests.runs.killing import command, kill_until_done
from tests.storage.test_overrides import set_by_hand

WORDS = ("river", "town", "clock", "bread", "beans", "ferry", "stone", "garden", "copper")


def make_rows(n: int, seed: int) -> list[dict[str, str]]:
    rng = np.random.default_rng(seed)

    def text(low: int, high: int) -> str:
        return " ".join(rng.choice(WORDS, rng.integers(low, high)))

    return [
        {"instruction": f"{text(3, 8)}? ({i})", "input": text(4, 20), "output": text(2, 9)}
        for i in range(n)
    ]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model("llama", tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def data(folder: Path, model: Path) -> Path:
    rows = [{**row, "input": ""} if i % 3 == 0 else row for i, row in enumerate(make_rows(105, 0))]
    write_jsonl(folder / "a.jsonl", [*rows, {"instruction": "no response"}])
    write_jsonl(folder / "b.jsonl", make_rows(50, 1))
    (folder / "tiny").symlink_to(model)
    return folder


def score(
    folder: Path, dtype: str, *, engine: Engine | None = None, name: str = "", **settings: Any
) -> Run:
    engine = engine or load_hf_engine("tiny", dtype=dtype, threads=1)
    scorer = Scorer.create(engine, ScoreSettings(chunk_rows=16, **settings))
    return score_run(read_examples(["a.jsonl", "b.jsonl"]), scorer, folder / (name or dtype))


def within(band: float, **options: Any) -> RowScorer:
    return Rescore(RescoreOptions.create(rescore_band=band, **options)).score


def split_table(run: Run) -> pl.DataFrame:
    return pl.read_parquet(run.folder / "split.parquet")


def labels(run: Run) -> list[str]:
    return split_table(run)["label"].to_list()


app = import_module("ifcurate.cli").app

RULES: list[dict[str, Any]] = [
    {"rule": "paper", "fraction": 0.4},
    {"rule": "gain", "threshold": 0.01},
    {"rule": "both", "fraction": 0.3, "threshold": 0.005, "per": "source"},
    {"rule": "paper", "fraction": 0.5, "length_control": True, "length_bins": 2},
]


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_the_labels_are_those_of_a_run_in_float32(data: Path, rule: dict[str, Any]) -> None:
    half, whole = score(data, "bfloat16"), score(data, "float32")
    # Wider than any difference between the two, so that no other row can change sides.
    columns = ("loss_without_context", "context_gain")
    pairs = [(half.scores([c])[c], whole.scores([c])[c]) for c in columns]
    band = 2 * max(float((a - b).abs().max()) for a, b in pairs)  # type: ignore[arg-type]
    before = half.scores_path.read_bytes()

    split_run(half, **rule)
    cuts = SplitPlan.create(SplitOptions(**rule)).find_cuts(half.scan_scores(place=True))
    old = split_table(half)
    _, manifest = split_run(half, rescore=within(band), **rule)
    split_run(whole, **rule)
    split, truth = split_table(half), split_table(whole)

    assert split["label"].to_list() == truth["label"].to_list()
    assert half.scores_path.read_bytes() == before
    told = manifest.checks["rescored"]
    places = cuts.find_near(band)
    assert 0 < told["rows"] == len(places) == told["scored_now"] < 100
    changed = (old["label"] != split["label"]).sum()
    assert told["labels_changed"] == changed
    assert told["band"] == band
    assert told["engine"]["dtype"] == "float32"
    marked = split["reason"].str.ends_with("; scored again in float32")
    assert np.flatnonzero(marked.to_numpy()).tolist() == places.tolist()
    near = truth[places]["value"]
    np.testing.assert_allclose(split[places]["value"], near, rtol=0, atol=2e-6)


@pytest.mark.slow
def test_the_numbers_are_in_a_table_of_their_own(data: Path) -> None:
    run = score(data, "bfloat16")
    split_run(run, rescore=within(0.1), **RULES[0])
    found = pl.read_parquet(run.folder / "rescored.parquet")
    scores = run.scores()[found["place"]]
    names = ["id", "source", "row", "turn", "key"]
    assert found.select(names).equals(scores.select(names))
    assert (found["loss_without_context"] != scores["loss_without_context"]).any()
    inside = read_table_manifest(run.folder / "rescored.parquet")
    assert inside["engine"] == {**run.manifest.identity["engine"], "dtype": "float32"}
    assert inside["scores"] == run.manifest.id
    kept = filter_run(run, keep="context-critical")
    assert kept.split.checks["rescored"]["rows"] == found.height
    # A label set by hand would need the split again, and that the model: nobody asked for it.
    set_by_hand(run, pl.read_parquet(run.folder / "split.parquet").row(0, named=True), LABELS[1])
    with pytest.raises(RunError, match=r"make it again first: ifcurate split --rescore-band 0\.1"):
        filter_run(run, keep="context-critical")


def counting(monkeypatch: pytest.MonkeyPatch, fail_after: int | None = None) -> list[int]:
    """How many prompts each call of the engine is given."""
    from ifcurate.engines.hf.engine import HFEngine

    asked: list[int] = []
    real = HFEngine.submit

    def counted(self: HFEngine, prompts: Sequence[Prompt]) -> Any:
        if fail_after is not None and len(asked) == fail_after:
            raise ModelError("the GPU is gone: it fell off the bus; start again")
        asked.append(len(prompts))
        return real(self, prompts)

    monkeypatch.setattr(HFEngine, "submit", counted)
    return asked


@pytest.mark.slow
def test_what_is_there_is_used(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = score(data, "bfloat16")
    asked = counting(monkeypatch)
    _, manifest = split_run(run, rescore=within(0.2), **RULES[0])
    first = manifest.checks["rescored"]["rows"]
    assert sum(asked) == 2 * first
    _, manifest = split_run(run, rescore=within(0.1), **RULES[0])
    assert sum(asked) == 2 * first
    assert manifest.checks["rescored"]["scored_now"] == 0
    marked = split_table(run)["reason"].str.ends_with("; scored again in float32").sum()
    assert marked == manifest.checks["rescored"]["rows"] < first  # the band's, not all there are
    _, manifest = split_run(run, rescore=within(1.0), **RULES[0])
    wide = manifest.checks["rescored"]
    assert wide["scored_now"] == wide["rows"] - first > 0
    assert sum(asked) == 2 * wide["rows"]
    # Without the wish, nothing of it.
    _, manifest = split_run(run, **RULES[0])
    assert "rescored" not in manifest.checks
    assert split_table(run).equals(split_scores(run.scores(), **RULES[0]).table)


@pytest.mark.slow
def test_a_failure_in_the_middle_keeps_the_work(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = score(data, "bfloat16")
    whole = score(data, "bfloat16", name="other")
    _, expected = split_run(whole, rescore=within(1.0), **RULES[0])
    stopping = within(1.0)
    with monkeypatch.context() as patch:
        counting(patch, fail_after=2)
        with pytest.raises(ModelError, match="fell off the bus"):
            split_run(run, rescore=stopping, **RULES[0])
    assert pl.read_parquet(run.folder / "rescored.parquet").height == 2 * 16
    assert not (run.folder / "split.parquet").exists()
    with monkeypatch.context() as patch:
        asked = counting(patch)
        split_run(run, rescore=stopping, **RULES[0])
    assert sum(asked) == 2 * (expected.checks["rescored"]["rows"] - 2 * 16)
    assert labels(run) == labels(whole)
    mine, theirs = (pl.read_parquet(r.folder / "rescored.parquet") for r in (run, whole))
    assert mine["place"].to_list() == theirs["place"].to_list()


@pytest.mark.slow
def test_a_stop_keeps_the_work(data: Path) -> None:
    run = score(data, "bfloat16")
    seen: list[tuple[int, int]] = []
    stopping = Rescore(
        RescoreOptions(rescore_band=1.0),
        on_progress=lambda *n: seen.append(n),
        stop=lambda: len(seen) == 2,
    )
    with pytest.raises(KeyboardInterrupt):
        split_run(run, rescore=stopping.score, **RULES[0])
    assert seen[-1][0] == 32
    _, manifest = split_run(run, rescore=within(1.0), **RULES[0])
    assert manifest.checks["rescored"]["scored_now"] == manifest.checks["rescored"]["rows"] - 32


@pytest.mark.slow
def test_shuffled_contexts_are_shuffled_as_they_were(data: Path) -> None:
    run = score(data, "bfloat16", ablation="shuffle")
    _, manifest = split_run(run, rescore=within(0.2), **RULES[0])
    assert manifest.checks["rescored"]["rows"] > 0


@pytest.mark.slow
def test_what_makes_no_sense_is_refused(data: Path) -> None:
    from ifcurate.engines.toy import ToyEngine

    whole, toy = score(data, "float32"), score(data, "", engine=ToyEngine(), name="toy")
    with pytest.raises(RunError, match="in float32 already, so nothing is gained"):
        split_run(whole, rescore=within(0.05))
    with pytest.raises(RunError, match="toy engine"):
        split_run(toy, rescore=within(0.05))
    for band in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(OptionError, match="rescore_band: must be"):
            within(band)


@pytest.mark.slow
def test_other_data_models_and_templates_are_refused(data: Path, model: Path) -> None:
    run = score(data, "bfloat16")
    other = make_model("llama", data / "elsewhere" / "tiny", seed=1)
    with pytest.raises(RunError, match="revision is not the one that the run was scored with"):
        split_run(run, rescore=within(0.2, model=str(other)))
    (data / "tiny").unlink()
    with pytest.raises(RunError, match="name the folder with --model"):
        split_run(run, rescore=within(0.2))
    (data / "b.jsonl").write_text((data / "b.jsonl").read_text().replace("copper", "silver"))
    with pytest.raises(RunError, match=r"b\.jsonl: has changed since it was scored"):
        split_run(run, rescore=within(0.2, model=str(model)))


def test_rows_with_other_tokens_are_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a Hub dataset, which has no fingerprint."""
    rows = make_rows(12, 0)
    write_jsonl(data / "a.jsonl", rows)
    write_jsonl(data / "b.jsonl", make_rows(8, 1))
    run = score(data, "bfloat16")
    changed = [{**row, "output": "Another."} for row in rows]
    write_jsonl(data / "a.jsonl", changed)
    sources = read_examples(["a.jsonl", "b.jsonl"]).sources
    monkeypatch.setattr("ifcurate.runs.reading.run_sources", lambda _: list(sources))
    with pytest.raises(RunError, match=r"a\.jsonl: row \d+ is not what was scored; found other"):
        split_run(run, rescore=within(0.2), **RULES[0])
    assert not (run.folder / "rescored.parquet").exists()
    write_jsonl(data / "a.jsonl", changed[:1])
    with pytest.raises(RunError, match="is not what was scored; found"):
        split_run(run, rescore=within(0.2), **RULES[0])


@pytest.mark.slow
def test_the_command_line(data: Path) -> None:
    run = score(data, "bfloat16", name="ifcurate-runs/one")
    runner = CliRunner()
    line = ["split", "--rescore-band", "0.2", "--device", "cpu"]
    result = runner.invoke(app, line)
    assert result.exit_code == 0, result.output
    assert "of the cut scored again in float32 (" in result.output
    assert re.search(r"\d labels? changed", result.output)
    result = runner.invoke(app, [*line, "--json"])
    told = json.loads(result.stdout)["rescored"]
    assert told["scored_now"] == 0
    assert told["rows"] > 0
    result = runner.invoke(app, ["split", "--device", "cpu"])
    assert result.exit_code == 2
    assert "--rescore-band" in result.output
    score(data, "float32", name="ifcurate-runs/two")
    result = runner.invoke(app, line)
    assert result.exit_code == 1
    assert "nothing is gained" in result.output
    assert run.folder.exists()


@pytest.mark.slow
def test_a_recipe_can_ask_for_it(data: Path) -> None:
    text = """
data: {paths: [a.jsonl, b.jsonl]}
score: {model: tiny, dtype: %s, threads: 1}
split: {rule: paper, rescore_band: 0.2}
filter: {keep: context-critical}
"""
    (data / "good.yaml").write_text(text % "bfloat16")
    (data / "bad.yaml").write_text(text % "float32")
    runner = CliRunner()
    result = runner.invoke(app, ["run", "good.yaml"])
    assert result.exit_code == 0, result.output
    assert "of the cut scored again in float32 (" in result.output
    result = runner.invoke(app, ["run", "good.yaml"])
    assert "done before, skipped: score, split, filter" in result.output
    result = runner.invoke(app, ["run", "bad.yaml"])
    assert result.exit_code == 1
    assert "nothing is gained" in result.output
    runs = list((data / "ifcurate-runs").glob("*/scores.parquet"))
    assert len(runs) == 1  # refused before anything was scored


@pytest.mark.slow
def test_kills_lose_nothing_but_time(folder: Path) -> None:
    # Small chunks: the rows of the first seconds are on disk well before the last chunk.
    lines = (demo_path() / "alpaca.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    numbered = [
        {**row, "instruction": f"{i}. {row['instruction']}"} for i in range(6) for row in rows
    ]
    write_jsonl(folder / "rows.jsonl", numbered)
    engine = load_hf_engine("pocket", dtype="bfloat16", threads=1)
    scorer = Scorer.create(engine, ScoreSettings(chunk_rows=32))
    score_run(read_examples("rows.jsonl"), scorer, folder / "whole")
    shutil.copytree(folder / "whole", folder / "killed")
    line = ["split", "-q", "--rescore-band", "50", "--run"]
    subprocess.run(command(*line, "whole"), cwd=folder, check=True)
    kills = kill_until_done(
        [*line, "killed"],
        folder,
        folder / "killed",
        n_kills=3,
        seed=0,
        mark=folder / "killed" / "rescored.parquet",
        longest=0.1,
    )
    assert kills.n > 0
    assert not kills.orphans
    tables = [pl.read_parquet(folder / n / "rescored.parquet") for n in ("whole", "killed")]
    assert tables[0].height > 180
    assert tables[0]["key"].equals(tables[1]["key"])
    gains = [table["context_gain"].to_numpy() for table in tables]
    np.testing.assert_allclose(gains[0], gains[1], rtol=0, atol=2e-6)
    split = [pl.read_parquet(folder / n / "split.parquet") for n in ("whole", "killed")]
    assert split[0]["label"].equals(split[1]["label"])
