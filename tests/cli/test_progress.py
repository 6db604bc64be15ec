"""What is said while a run goes on: the first line, the rows of each pack, lines in a log."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future
from importlib import import_module
from pathlib import Path

import pytest
from rich.console import Console

from ifcurate.data.sources import read_examples
from ifcurate.engines.base import Answer, Prompt
from ifcurate.engines.toy import ToyEngine
from ifcurate.runs.score import score_run
from ifcurate.runs.work import Progress
from ifcurate.scoring.scorer import Scorer, ScoreSettings
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
        "reading a.jsonl",
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
    ],
)
def test_the_time_left_follows_the_rows_of_this_attempt(progress: Progress, said: str) -> None:
    module = import_module("ifcurate.cli.progress")
    bar = module.ScoringProgress(1000, quiet=True)
    done = progress.rows + progress.rows_ahead
    assert bar._describe(progress, done, 10.0) == f"{done:,} of 1,000 rows, {said} left"
    unknown = module.ScoringProgress(None, quiet=True)
    assert "left" not in unknown._describe(progress, done, 10.0)


def test_no_speed_is_shown_before_anything_was_scored() -> None:
    bar = import_module("ifcurate.cli.progress").ScoringProgress(1000, quiet=True)
    resumed = Progress(rows=256, resumed_rows=256)
    assert bar._describe(resumed, 256, 1e-6) == "256 of 1,000 rows"


def test_a_log_has_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module("ifcurate.cli.progress")
    log = io.StringIO()
    monkeypatch.setattr(module, "report", Console(file=log, width=60))
    monkeypatch.setattr(module, "_FIRST", -1.0)
    monkeypatch.setattr(module, "_EVERY", 0.01)
    with module.ScoringProgress(1000, quiet=False) as bar:
        bar.update(Progress(rows=250, tokens=1000))
        end = time.monotonic() + 20
        while log.getvalue().count("scored") < 2 and time.monotonic() < end:
            time.sleep(0.01)
    assert "scored  250 of 1,000 rows" in log.getvalue().splitlines()[1]
    assert "\r" not in log.getvalue()
