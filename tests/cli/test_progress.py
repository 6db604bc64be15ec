"""What is said while a run goes on: the first line, the rows of each pack, lines in a log."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from ifcurate.data.sources import read_examples
from ifcurate.engines.base import Answer, Prompt
from ifcurate.engines.toy import ToyEngine
from ifcurate.options.score import ScoreSettings
from ifcurate.runs.filling import score_run
from ifcurate.runs.work import Progress, Shard
from ifcurate.scoring.cache import ScoreCache
from ifcurate.scoring.scorer import Scorer
from tests.cli.test_cli import Command, ifcurate
from tests.conftest import ANSWERED_ROWS, write_jsonl

__all__ = ["ifcurate"]  # the fixture


@pytest.fixture
def data(folder: Path) -> Path:
    rows = [{**ANSWERED_ROWS[i % 5], "instruction": f"Question {i}?"} for i in range(20)]
    return write_jsonl(folder / "a.jsonl", rows)


def test_the_data_is_named_and_counted_before_the_model_is_loaded(
    ifcurate: Command, data: Path
) -> None:
    lines = ifcurate("score a.jsonl --model ./nowhere").err.splitlines()
    assert lines[:4] == [
        "reading and counting a.jsonl",
        "data a.jsonl: format alpaca",
        "rows 20",
        "loading ./nowhere",
    ]


def test_the_first_line_needs_no_heavy_import(
    ifcurate: Command, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = import_module("ifcurate.cli.data")
    loaded: list[bool] = []

    def note(text: str, *, quiet: bool = False) -> None:
        loaded.append("ifcurate.scoring.scorer" in sys.modules)
        raise SystemExit(0)

    monkeypatch.delitem(sys.modules, "ifcurate.scoring.scorer", raising=False)
    monkeypatch.setattr(reading, "note", note)
    assert ifcurate("score a.jsonl --engine toy").code == 0
    assert loaded == [False]


class Telling(ToyEngine):
    """Tells of each prompt when it is scored."""

    def submit(self, prompts: Sequence[Prompt]) -> Future[list[Answer]]:
        for prompt in prompts:
            assert self.on_scored is not None
            self.on_scored(1, len(prompt.ids))
        return super().submit(prompts)


def test_rows_count_before_their_chunk_is_finished(data: Path) -> None:
    scorer = Scorer.create(Telling(), ScoreSettings(chunk_rows=5))
    seen: list[tuple[int, int, int]] = []
    score_run(
        read_examples("a.jsonl"),
        scorer,
        data.parent / "run",
        on_progress=lambda p: seen.append((p.rows, p.rows_ahead, p.tokens_ahead)),
    )
    assert (0, 1, seen[1][2]) == seen[1]  # both prompts of the first row
    assert seen[-1] == (20, 0, 0)
    assert all(rows + ahead <= 20 for rows, ahead, _ in seen)
    assert scorer.engine.on_scored is None


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        (Progress(rows=100, rows_ahead=20, tokens=900, tokens_ahead=100), "100 tokens/s, 73 s"),
        # Rows of an earlier attempt took no time in this one.
        (Progress(rows=600, resumed_rows=500, tokens=1000), "100 tokens/s, 40 s"),
        (Progress(rows=1, tokens=10), "1 tokens/s, 2.8 h"),
        # What the engine was given decides where it is known: 10 tokens a row, and 900 rows.
        (Progress(rows=50, tokens=500, rows_asked=100, tokens_asked=1000), "50 tokens/s, 3 min"),
        # The first 500 rows were known: the others have 10 tokens each.
        (
            Progress(rows=550, tokens=500, rows_asked=600, tokens_asked=1000, rows_skipped=500),
            "50 tokens/s, 2 min",
        ),
    ],
)
def test_the_time_left_follows_the_tokens_of_this_attempt(progress: Progress, said: str) -> None:
    module = import_module("ifcurate.cli.progress")
    bar = module.ScoringProgress(1000)
    done = progress.rows + progress.rows_ahead
    speed = (progress.tokens + progress.tokens_ahead) / 10.0
    assert bar._describe(progress, 10.0, speed) == f"{done:,} of 1,000 rows, {said} left"
    unknown = module.ScoringProgress(None)
    assert "left" not in unknown._describe(progress, 10.0, speed)


class Slow(Telling):
    """Takes a second for 10,000 tokens, and one to warm up, by a clock of its own."""

    now = 0.0
    warm = False

    def submit(self, prompts: Sequence[Prompt]) -> Future[list[Answer]]:
        for prompt in sorted(prompts, key=lambda prompt: -len(prompt.ids)):  # as packs are
            self.now += len(prompt.ids) / 10_000 + (not self.warm)
            self.warm = True
            assert self.on_scored is not None
            self.on_scored(1, len(prompt.ids))
        return ToyEngine.submit(self, prompts)


def predict_ends(folder: Path, monkeypatch: pytest.MonkeyPatch, **more: Any) -> list[float]:
    """When a run would end by what is said after each prompt, as a share of when it does."""
    module = import_module("ifcurate.cli.progress")
    examples = read_examples("many.jsonl")
    engine = Slow()
    monkeypatch.setattr(module.time, "monotonic", lambda: engine.now)
    ends: list[float] = []
    bar = module.ScoringProgress(examples.count_rows())

    def update(progress: Progress) -> None:
        bar.update(progress)
        speed = bar._measure_speed(progress.tokens + progress.tokens_ahead, engine.now)
        left = module._time_left(progress, 1200, engine.now, speed)
        ends.append(engine.now + (left or 0.0))

    with bar:
        scorer = Scorer.create(engine, ScoreSettings(chunk_rows=100))
        score_run(examples, scorer, folder / "run", on_progress=update, **more)
    return [end / engine.now for end in ends[1:]]


def write_many(folder: Path, *, every: int) -> None:
    """1,200 rows of many lengths, of which each `every`-th has a context."""
    rows = [
        {
            "instruction": f"Question {i}?",
            "input": f"{i} The heron waits. " * (1 + i % 23) if i % every == 0 else "",
            "output": "It is a heron.",
        }
        for i in range(1200)
    ]
    write_jsonl(folder / "many.jsonl", rows)


@pytest.mark.slow
def test_rows_that_are_not_scored_take_no_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_many(folder, every=6)
    ends = predict_ends(folder, monkeypatch)
    assert len(ends) > 200
    assert 0.75 < min(ends[3:]) < max(ends[3:]) < 1.25


@pytest.mark.slow
def test_rows_that_the_cache_knows_take_no_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_many(folder, every=1)
    scorer = Scorer.create(Slow(), ScoreSettings(chunk_rows=100))
    with ScoreCache.for_scorer(folder / "cache", scorer) as cache:
        before = read_examples("many.jsonl", limit=600)
        score_run(before, scorer, folder / "before", cache=cache)
        ends = predict_ends(folder, monkeypatch, cache=cache)
    assert 1000 < len(ends) < 1300
    late = ends[10:]
    assert 0.75 < min(late) < max(late) < 1.25


@pytest.mark.parametrize(("index", "n_rows"), [(1, 512), (2, 488)])
def test_a_shard_has_its_part_of_the_rows(index: int, n_rows: int) -> None:
    assert Shard(index, 2).count_rows(1000, 256) == n_rows


def test_no_speed_is_shown_before_anything_was_scored() -> None:
    bar = import_module("ifcurate.cli.progress").ScoringProgress(1000)
    resumed = Progress(rows=256, resumed_rows=256)
    assert bar._describe(resumed, 1e-6, 0.0) == "256 of 1,000 rows"


def test_a_log_has_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module("ifcurate.cli.progress")
    log = io.StringIO()
    console = import_module("ifcurate.cli.printing")._Console(file=log, width=60)
    monkeypatch.setattr(module, "report", console)
    monkeypatch.setattr(module, "_FIRST", -1.0)
    monkeypatch.setattr(module, "_EVERY", 0.01)
    with module.ScoringProgress(1000) as bar:
        bar.update(Progress(rows=250, tokens=1000))
        end = time.monotonic() + 20
        while log.getvalue().count("scored") < 2 and time.monotonic() < end:
            time.sleep(0.01)
    assert "scored  250 of 1,000 rows" in log.getvalue().splitlines()[1]
    assert "\r" not in log.getvalue()
