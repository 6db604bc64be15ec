"""The demo: three formats, the bundled model, and a split that agrees with the true labels."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import polars as pl
import pytest

from ifcurate.pipeline.loading import load_recipe
from ifcurate.pipeline.running import run_recipe
from ifcurate.runs.splits import read_split

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_the_demo_splits_as_the_labels_say(folder: Path) -> None:
    result = run_recipe(load_recipe("demo"))
    counts = result.run.manifest.counts
    assert counts["rows"] >= 200
    formats = [i["layout"]["format"] for i in result.run.manifest.identity["inputs"]]
    assert sorted(formats) == ["alpaca", "messages", "prompt_completion"]
    found = read_split(result.run)
    assert found is not None
    table = found[0]
    truth: list[str] = []
    for source in load_recipe("demo").data.paths:
        from ifcurate.data.readers.rows import open_sources, read_rows

        (opened,) = open_sources(source)
        truth += [str((row.value or {})["truth"]) for row in read_rows(opened)]
    labelled = table.with_columns(pl.Series("truth", truth))
    no_context = labelled.filter(pl.col("truth") == "no-context")
    assert no_context.height > 0
    assert set(no_context["label"]) == {"no-context"}
    with_context = labelled.filter(pl.col("truth") != "no-context")
    right = (with_context["label"] == with_context["truth"]).mean()
    assert isinstance(right, float)
    assert right >= 0.95
    for path in result.filtered.files("kept").values():
        assert path.stat().st_size > 0


def test_a_row_without_a_gain_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    demo = importlib.import_module("ifcurate.cli.demo")
    demo._print_row("wrong", {"gain": None, "asked": "Who wrote it?", "response": "Ana."})
    assert capsys.readouterr().out == "wrong   none  Who wrote it? → Ana.\n"


@pytest.mark.slow
def test_the_wheel_holds_all_that_is_needed(tmp_path: Path) -> None:
    # From a copy: a build leaves files behind, and takes up what an earlier one left.
    copy = tmp_path / "copy"
    unwanted = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "ifcurate-runs")
    shutil.copytree(ROOT, copy, ignore=unwanted)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    made = subprocess.run(
        [*command, "--quiet", "--wheel-dir", str(tmp_path), str(copy)],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for wanted in (
        "ifcurate/py.typed",
        "ifcurate/cli/score.py",
        "ifcurate/recipes/demo.yaml",
        "ifcurate/data_cards/pocket.md",
        "ifcurate/pocket/model/model.safetensors",
        "ifcurate/pocket/model/tokenizer.json",
        "ifcurate/pocket/demo/alpaca.jsonl",
    ):
        assert wanted in names
    tops = {name.split("/")[0] for name in names}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"ifcurate"}
    tracked = subprocess.run(
        ["git", "ls-files", "ifcurate", "cli", "recipes", "data_cards"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    for line in tracked.stdout.splitlines() if tracked.returncode == 0 else []:
        place = line if line.startswith("ifcurate/") else f"ifcurate/{line}"
        assert place in names, line


def test_demo_rows_are_ones_of_their_kind() -> None:
    from ifcurate.pocket import demo_path

    kinds = {"context-critical", "non-context-critical", "no-context"}
    for path in sorted(demo_path().glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        assert rows
        assert {row["truth"] for row in rows} <= kinds
