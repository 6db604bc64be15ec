"""Runs on Ray: the same tables as local ones, whatever dies. Whole clusters only where Ray is."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ifcurate.data.sources import Examples, read_examples
from ifcurate.engines.toy import ToyEngine
from ifcurate.errors import RunError
from ifcurate.options.score import ClusterOptions, EngineOptions, RunOptions, ScoreSettings
from ifcurate.runs import ray_cluster as distributed
from ifcurate.runs.filling import score_run
from ifcurate.runs.parts import Parts
from ifcurate.runs.ray_cluster import (
    ScoringActor,
    _check_engine,
    _count_fitting,
    read_batches,
    score_run_on_ray,
)
from ifcurate.scoring.scorer import Scorer
from ifcurate.storage.manifest import read_manifest
from tests.conftest import ALPACA_ROWS, write_jsonl
from tests.runs.killing import same_results, wait_for

HAS_RAY = importlib.util.find_spec("ray") is not None
SETTINGS = ScoreSettings(chunk_rows=16, template="alpaca")
TOY = EngineOptions(engine="toy")
SCRIPT = Path(__file__).with_name("ray_script.py")
PARTS = Path("ray") / "parts"
NAMES = ["a.jsonl", "b.jsonl", "c.csv", "d.jsonl"]


@pytest.fixture
def data(folder: Path) -> Path:
    """Files of several lengths, one of no row, with ids that occur again and bad rows."""
    rows: list[Any] = [{**ALPACA_ROWS[i % 4], "id": f"row {i % 50}"} for i in range(150)]
    rows[20] = {"instruction": "no response"}
    write_jsonl(folder / "a.jsonl", rows[:70])
    write_jsonl(folder / "b.jsonl", rows[70:73])
    (folder / "c.csv").write_text("instruction,output\n")
    write_jsonl(folder / "d.jsonl", rows[73:])
    return folder


def local(examples: Examples, folder: Path) -> None:
    score_run(examples, Scorer.create(ToyEngine(), SETTINGS), folder, tokens=True)


@pytest.mark.parametrize("limit", [None, 75, 16, 1])
def test_batches_are_the_chunks_of_a_local_run(limit: int | None, data: Path) -> None:
    examples = read_examples(NAMES, limit=limit)
    batches = list(read_batches(examples, 16, 3, {2}))
    assert all(len(batch) == 3 for batch in batches[:-1])
    found = {n: [(r.source, r.number) for r, _ in rows] for batch in batches for n, rows in batch}
    expected = {
        piece.number: [(row.raw.source, row.raw.number) for row in piece.rows]
        for piece in examples.read_chunks(16)
        if piece.number != 2
    }
    assert found == expected


@pytest.mark.parametrize("n", [1, 3])
def test_parts_of_actors_make_the_tables_of_a_local_run(n: int, data: Path) -> None:
    examples = read_examples(NAMES)
    local(examples, data / "local")
    batches = list(read_batches(examples, 16, n, ()))
    for some in (batches[::2], batches[1::2]):  # as they may come
        actor = ScoringActor(TOY, SETTINGS)
        told = [part for batch in some for part in actor.score(batch, PARTS, tokens=True)[1]]
        assert {part.first for part in told} <= {part.first for part in Parts(PARTS, tokens=True)}
    begun = read_manifest(data / "local" / "manifest.json").model_copy(update={"finished": False})
    begun.write(data / "ray" / "manifest.json")
    local(examples, data / "ray")  # finds all parts there, and joins them
    assert same_results(data / "local", data / "ray") == []


def test_another_engine_on_a_node_is_refused() -> None:
    identity = ScoringActor(TOY, SETTINGS).identity()
    other = {**identity, "engine": {**identity["engine"], "revision": "other"}}
    with pytest.raises(RunError, match=r"differs \(engine.revision: there \"other\""):
        _check_engine(other, identity)


class FakeRay:
    """Only says what it has."""

    def __init__(self, **have: float) -> None:
        self._have = have

    def cluster_resources(self) -> dict[str, float]:
        return self._have


@pytest.mark.parametrize(
    ("have", "wish", "most"),
    [
        ({"CPU": 8.0}, (1, 4, 1, 0), 4),
        ({"CPU": 3.0}, (1, 4, 1, 0), 3),
        ({"CPU": 1.5}, (1, 4, 1, 0), 1),
        ({"CPU": 16.0, "GPU": 1.0}, (1, 4, 1, 0.5), 2),
        ({"CPU": 0.5}, (1, 1, 1, 0), None),
        ({"CPU": 3.0}, (4, 4, 1, 0), None),
        ({"CPU": 16.0}, (1, 1, 1, 1), None),
        ({}, (1, 1, 1, 0), None),
    ],
)
def test_a_cluster_has_as_many_engines_as_it_holds_or_is_too_small(
    have: dict[str, float],
    wish: tuple[int, int, float, float],
    most: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(distributed, "_ray", lambda: FakeRay(**have))
    if most is None:
        with pytest.raises(RunError, match=r"too small for .* use fewer engines"):
            _count_fitting(*wish)
    else:
        assert _count_fitting(*wish) == most


def test_without_ray_the_extra_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RunError, match=r"pip install .*\[ray\]'"):
        score_run_on_ray(read_examples(NAMES), TOY, SETTINGS, RunOptions(), ClusterOptions())


def on_ray(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SCRIPT.parents[2])])}
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )


@pytest.mark.slow
@pytest.mark.skipif(not HAS_RAY, reason="Ray is not installed")
def test_a_cluster_gives_the_tables_of_a_local_run(data: Path) -> None:
    result = on_ray("ray", *NAMES, "--engines", "2", folder=data)
    assert result.returncode == 0, result.stderr
    local(read_examples(NAMES), data / "local")
    assert same_results(data / "ray", data / "local") == []
    assert json.loads(result.stdout)["counts"]["rows"] == 150


@pytest.mark.slow
@pytest.mark.skipif(not HAS_RAY, reason="Ray is not installed")
def test_a_killed_worker_costs_nothing(data: Path) -> None:
    result = on_ray("ray", *NAMES, "--kill", "1", "--slow", "1", folder=data)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["killed"] == 1
    local(read_examples(NAMES), data / "local")
    assert same_results(data / "ray", data / "local") == []


@pytest.mark.slow
@pytest.mark.skipif(not HAS_RAY, reason="Ray is not installed")
def test_a_killed_driver_resumes(data: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])}
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), "ray", *NAMES, "--slow", "1.5"],
        cwd=data,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    parts = data / "ray" / "parts"
    assert wait_for(lambda: len(list(parts.glob("*.done.json"))) >= 1, 120)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(1)
    kept = {path.name: path.stat().st_mtime_ns for path in parts.glob("*.scores.parquet")}
    assert kept
    result = on_ray("ray", *NAMES, folder=data)
    assert result.returncode == 0, result.stderr
    local(read_examples(NAMES), data / "local")
    assert same_results(data / "ray", data / "local") == []
