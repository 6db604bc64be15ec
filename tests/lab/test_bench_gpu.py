"""The GPU's one command: what it runs, as far as a CPU can tell."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import bench_gpu


def test_a_part_that_fails_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def run(command: list[str], **given: Any) -> Any:
        ran.append(command[2])
        return SimpleNamespace(returncode=3 if command[2] == "benchmarks.scoring" else 0)

    monkeypatch.setattr(subprocess, "run", run)
    assert bench_gpu.main(["--out", str(tmp_path), "--small"]) == 1
    assert ran == [
        "benchmarks.scoring", "benchmarks.scoring.exactness", "benchmarks.bench_gpu"
    ]  # fmt: skip
    table = capsys.readouterr().out
    assert "scoring | failed with exit status 3" in table
    assert "laboratory | done" in table


def test_the_large_laboratory_has_ten_times_the_rows_and_steps() -> None:
    plan, small = bench_gpu.lab_plan(small=False), bench_gpu.lab_plan(small=True)
    assert (plan.shape.n_rows, plan.training.max_steps) == (28_800, 900)
    assert small.training.max_steps == 2


@pytest.mark.slow
def test_its_small_form_runs_through_on_a_cpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("trl")
    assert bench_gpu.main(["--out", str(tmp_path), "--small"]) == 0
    assert capsys.readouterr().out.count("| done |") == 3
    exactness = json.loads((tmp_path / "exactness.json").read_text())
    assert all(run["ours_max"] < 0.05 for run in exactness["runs"])
    compared = json.loads((tmp_path / "lab" / "compare.json").read_text())
    assert set(compared["mixtures"]["m1-n_rows=200"]) == {"unfiltered", "filtered", "random"}
    assert bench_gpu.main(["--out", str(tmp_path), "--small"]) == 0
    assert capsys.readouterr().out.count("| there already |") == 3
