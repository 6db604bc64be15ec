"""The failed rows of a finished run are scored again, and the others stay as they are."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ifcurate.data.sources import Examples, read_examples
from ifcurate.engines.base import Answer, Prompt, finished
from ifcurate.engines.toy import ToyEngine
from ifcurate.errors import ModelError, RowTimeoutError, RowTooLargeError, RunError
from ifcurate.options.score import ScoreSettings
from ifcurate.runs.filling import score_run
from ifcurate.runs.folder import REPLACING
from ifcurate.runs.retry import retry_failed
from ifcurate.runs.run import Run, find_run
from ifcurate.runs.splits import read_split_manifest
from ifcurate.scoring.scorer import Scorer
from ifcurate.steps.splitting import split_run
from tests.conftest import ALPACA_ROWS, write_jsonl

ROWS: list[dict[str, Any]] = [
    {**ALPACA_ROWS[i % 5], "id": "same", "instruction": f"Who repaired clock {i}?"}
    for i in range(40)
]


class Flaky(ToyEngine):
    """Fails for some prompts, until it is mended, and after some prompts for all."""

    def __init__(self, wrong: set[int], most: int = 10**9) -> None:
        super().__init__()
        self.wrong, self.most = wrong, most
        self.asked = 0

    def submit(self, prompts: Sequence[Prompt]) -> Future[list[Answer]]:
        found: list[Answer] = list(self.response_logprobs(prompts))
        for i in range(len(prompts)):
            if self.asked >= self.most:
                raise ModelError("the server is gone; start it")
            if self.asked in self.wrong:
                error = RowTimeoutError if self.asked % 2 else RowTooLargeError
                found[i] = error("it failed")
            self.asked += 1
        return finished(found)


def scorer(engine: ToyEngine) -> Scorer:
    return Scorer.create(engine, ScoreSettings(chunk_rows=8))


@pytest.fixture
def examples(folder: Path) -> Examples:
    write_jsonl(folder / "data.jsonl", [*ROWS[:9], {"instruction": "no response"}, *ROWS[9:]])
    return read_examples("data.jsonl")


def tables(run: Run) -> list[pl.DataFrame]:
    return [pl.read_parquet(run.folder / name) for name in ("scores.parquet", "tokens.parquet")]


def test_failed_rows_are_scored_again_in_their_places(folder: Path, examples: Examples) -> None:
    whole = score_run(examples, scorer(ToyEngine()), folder / "whole", tokens=True)
    run = score_run(examples, scorer(Flaky({0, 3, 11, 30})), folder / "run", tokens=True)
    statuses = run.scores()["status"].to_list()
    assert (statuses.count("timed_out"), statuses.count("out_of_memory")) == (2, 2)
    split_run(run)
    engine = Flaky(set())
    again = retry_failed(run, examples, scorer(engine))
    assert engine.asked == 2 * 4
    for mine, other in zip(tables(again), tables(whole), strict=True):
        assert mine.equals(other)
    again = find_run(folder / "run")
    assert again.manifest.counts == whole.manifest.counts
    assert again.manifest.finished
    assert read_split_manifest(again) is None  # it was made of the earlier scores
    engine = Flaky(set())
    assert retry_failed(again, examples, scorer(engine)).manifest.retried == 1
    assert engine.asked == 0


def test_an_engine_that_fails_again_keeps_what_was_scored(folder: Path, examples: Examples) -> None:
    whole = score_run(examples, scorer(ToyEngine()), folder / "whole", tokens=True)
    run = score_run(examples, scorer(Flaky({0, 3, 11, 30})), folder / "run", tokens=True)
    with pytest.raises(ModelError, match="the server is gone"):
        retry_failed(run, examples, scorer(Flaky({0}, most=4)))
    run = find_run(folder / "run")
    assert sum(status != "scored" for status in run.scores()["status"]) - sum(
        status != "scored" for status in whole.scores()["status"]
    ) in (2, 3)
    retry_failed(run, examples, scorer(Flaky(set())))
    for mine, other in zip(tables(find_run(folder / "run")), tables(whole), strict=True):
        assert mine.equals(other)


class KilledError(BaseException):
    """Ends the process, as far as the code under test can see."""


def test_a_kill_while_the_tables_are_replaced_loses_nothing(
    folder: Path, examples: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = score_run(examples, scorer(ToyEngine()), folder / "whole", tokens=True)
    score_run(examples, scorer(Flaky({0, 3, 11, 30})), folder / "run", tokens=True)
    real = Path.replace
    for n in range(7):  # three files are written beside the old ones, and then moved
        run = Run(folder / f"run-{n}", find_run(folder / "run").manifest)
        shutil.copytree(folder / "run", run.folder)
        left = n

        def replace(self: Path, target: Path) -> Path:
            nonlocal left
            left -= 1
            if left < 0:
                raise KilledError
            return real(self, target)

        with monkeypatch.context() as patch, contextlib.suppress(KilledError):
            patch.setattr(Path, "replace", replace)
            retry_failed(run, examples, scorer(ToyEngine()))
        run = score_run(examples, scorer(ToyEngine()), run.folder, tokens=True)
        retry_failed(run, examples, scorer(ToyEngine()))
        run = find_run(run.folder)
        for mine, other in zip(tables(run), tables(whole), strict=True):
            assert mine.equals(other)
        assert run.manifest.counts == whole.manifest.counts
        assert run.manifest.matches_files(run.folder)
        assert not (run.folder / REPLACING).exists()
        assert (left >= 0) == (n == 6)


def test_a_table_that_was_changed_is_not_touched(folder: Path, examples: Examples) -> None:
    run = score_run(examples, scorer(Flaky({0})), folder / "run")
    shutil.copy(folder / "data.jsonl", run.scores_path)
    with pytest.raises(RunError, match=r"not as the run wrote it.*--overwrite"):
        retry_failed(run, examples, scorer(ToyEngine()))


@pytest.mark.slow
def test_a_row_over_its_time_has_its_own_status(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from ifcurate.engines.hf.engine import load_hf_engine
    from ifcurate.engines.hf.runner import PackRunner

    real = PackRunner.run

    def run(self: PackRunner, pack: Any) -> Any:
        if pack.n_tokens > 300 or len(pack.members) > 1:
            time.sleep(0.4 * len(pack.members) if pack.n_tokens > 300 else 0)
        return real(self, pack)

    monkeypatch.setattr(PackRunner, "run", run)
    long = {**ALPACA_ROWS[0], "input": "The clock was repaired by Mina. " * 60}
    write_jsonl(folder / "data.jsonl", [ALPACA_ROWS[0], long, {**ALPACA_ROWS[0], "output": "Me."}])
    with load_hf_engine("pocket", dtype="float32", threads=1, row_timeout=0.3) as engine:
        made = Scorer.create(engine, ScoreSettings(template="alpaca"))
        done = score_run(read_examples("data.jsonl"), made, folder / "run")
    assert done.scores()["status"].to_list() == ["scored", "timed_out", "scored"]
    assert "not scored within 0.3 s (--row-timeout)" in done.scores()["reason"][1]
