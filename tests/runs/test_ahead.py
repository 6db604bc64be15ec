"""The next chunk is under way while one is scored: nothing else may differ."""

from __future__ import annotations

import gc
import multiprocessing as mp
import os
import threading
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from typer.testing import CliRunner

from ifcurate.data.sources import Examples, ReadRow, read_examples
from ifcurate.engines.base import Float32Array, Prompt
from ifcurate.engines.hf.packing import make_plan
from ifcurate.engines.hf.runner import PackRunner
from ifcurate.engines.hf.workers import WorkerPool, _Office
from ifcurate.engines.toy import ToyEngine
from ifcurate.errors import DataError, ModelError
from ifcurate.runs.parts import Parts
from ifcurate.runs.run import Run, Shard, score_run
from ifcurate.scoring.scorer import Scorer, ScoreSettings
from tests.conftest import ALPACA_ROWS, write_jsonl
from tests.models import make_model

app = import_module("ifcurate.cli").app

ROWS: list[dict[str, Any]] = [
    {**ALPACA_ROWS[i % 5], "instruction": f"{ALPACA_ROWS[i % 5]['instruction']} ({i})"}
    for i in range(100)
]


class Apart(ToyEngine):
    """Works apart, and says what it is asked for, and when."""

    works_apart = True

    def __init__(self, fail_at: int = 1000) -> None:
        super().__init__()
        self.log: list[str] = []
        self.threads: set[str] = set()
        self.fail_at = fail_at
        encode = self.tokenizer.encode_batch

        def noted(texts: Sequence[str]) -> Any:
            self.threads.add(threading.current_thread().name)
            return encode(texts)

        self.tokenizer.encode_batch = noted  # type: ignore[method-assign]

    def begin(self, prompts: Sequence[Prompt]) -> Any:
        number = sum(line.startswith("begin") for line in self.log)
        self.log.append(f"begin {number}")
        return _Begun(self, prompts, number)


class _Begun:
    def __init__(self, engine: Apart, prompts: Sequence[Prompt], number: int) -> None:
        self.engine, self.prompts, self.number = engine, prompts, number

    def result(self) -> list[Float32Array]:
        self.engine.log.append(f"result {self.number}")
        if self.number == self.engine.fail_at:
            raise ModelError("the GPU is gone: it fell off the bus; start again")
        return self.engine.response_logprobs(self.prompts)

    def cancel(self) -> None:
        self.engine.log.append(f"cancel {self.number}")


@pytest.fixture
def data(folder: Path) -> Iterator[Path]:
    write_jsonl(folder / "data.jsonl", [*ROWS, {"instruction": "no response"}])
    yield folder
    assert not ours()


def ours() -> list[str]:
    """Threads of ours that still run."""
    return [t.name for t in threading.enumerate() if t.name.startswith("ifcurate-")]


def score(engine: ToyEngine, folder: Path, **options: Any) -> Run:
    scorer = Scorer.create(engine, ScoreSettings(chunk_rows=8))
    return score_run(read_examples("data.jsonl"), scorer, folder, **options)


def same(run: Run, other: Run) -> None:
    for name in ("scores.parquet", "tokens.parquet", "quarantine.jsonl"):
        pair = [r.folder / name for r in (run, other)]
        assert pair[0].exists() == pair[1].exists()
        assert not pair[0].exists() or pair[0].read_bytes() == pair[1].read_bytes()
    assert run.manifest.counts == other.manifest.counts


@pytest.mark.parametrize("tokens", [False, True])
def test_the_tables_are_the_same(data: Path, tokens: bool) -> None:
    engine = Apart()
    ahead = score(engine, data / "ahead", tokens=tokens)
    same(ahead, score(ToyEngine(), data / "plain", tokens=tokens))
    assert engine.threads == {"ifcurate-ahead"}
    # The engine has the next chunk before anybody waits for the one in hand.
    first = [line for line in engine.log if line in ("begin 0", "begin 1", "result 0")]
    assert first == ["begin 0", "begin 1", "result 0"]


def test_shards_and_their_parts_are_the_same(data: Path) -> None:
    for i in (1, 2):
        runs = [
            score(e, data / f"{e.__class__.__name__}-{i}", shard=Shard(i, 2))
            for e in (Apart(), ToyEngine())
        ]
        same(*runs)


def test_a_failing_engine_keeps_the_chunks_before(data: Path) -> None:
    engine = Apart(fail_at=5)
    with pytest.raises(ModelError, match="fell off the bus"):
        score(engine, data / "run")
    assert "cancel 6" in engine.log
    assert not ours()
    assert sum(part.n_rows for part in Parts(data / "run" / "parts", tokens=False)) == 5 * 8
    again = Apart()
    same(score(again, data / "run"), score(ToyEngine(), data / "plain"))
    assert sum(line.startswith("begin") for line in again.log) == 13 - 5


def test_a_failing_reader_keeps_the_chunks_before(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Examples.read_chunks

    def broken(self: Examples, *given: Any) -> Iterator[tuple[int, list[ReadRow] | None]]:
        for number, rows in real(self, *given):
            if number == 3:
                raise DataError("data.jsonl: the disk is gone; plug it in")
            yield number, rows

    with monkeypatch.context() as patch:
        patch.setattr(Examples, "read_chunks", broken)
        with pytest.raises(DataError, match="plug it in"):
            score(Apart(), data / "run")
    assert not ours()
    assert sum(part.n_rows for part in Parts(data / "run" / "parts", tokens=False)) == 3 * 8
    same(score(Apart(), data / "run"), score(ToyEngine(), data / "plain"))


def test_a_stop_finishes_the_chunk_in_hand(data: Path) -> None:
    rows: list[int] = []
    engine = Apart()
    with pytest.raises(KeyboardInterrupt):
        score(
            engine,
            data / "run",
            on_progress=lambda p: rows.append(p.rows),
            stop=lambda: len(rows) == 4,
        )
    assert not ours()
    assert rows[-1] == 4 * 8
    assert sum(part.n_rows for part in Parts(data / "run" / "parts", tokens=False)) == 4 * 8
    assert engine.log[-1] == "cancel 4"
    same(score(Apart(), data / "run"), score(ToyEngine(), data / "plain"))


def packs_of(n: int) -> Any:
    return make_plan([Prompt([i, i + 1], 1) for i in range(n)]).packs(range(n), 1)


def test_a_pool_has_work_from_several_callers() -> None:
    def run(pack: Any) -> list[np.ndarray]:
        time.sleep(0.05)
        return [pack.targets.astype(np.float32)]

    pool = WorkerPool(2, run)
    try:
        first, second = pool.submit(packs_of(3)), pool.submit(packs_of(3))
        started = time.monotonic()
        found = [a.result() for a in (*first, *second)]
        took = time.monotonic() - started
        assert [int(f[0][0]) for f in found if f is not None] == [1, 2, 3, 1, 2, 3]
        assert took < 5 * 0.05  # three each, not two rounds for each three
    finally:
        pool.close()
    with pytest.raises(ModelError, match="have been ended"):
        pool.run(packs_of(1))
    assert not ours()


def test_nobody_waits_for_a_pool_that_is_closed() -> None:
    pool = WorkerPool(1, lambda pack: time.sleep(60))  # type: ignore[arg-type,return-value]
    answers = pool.submit(packs_of(2))
    time.sleep(0.2)
    started = time.monotonic()
    pool.close()
    assert time.monotonic() - started < 10
    for answer in answers:
        with pytest.raises(ModelError, match="were ended"):
            answer.result(timeout=1)


def test_a_pool_that_is_forgotten_ends() -> None:
    pool = WorkerPool(1, lambda pack: [])
    processes = [p for p, _ in pool._office.workers]
    del pool
    assert not ours()
    assert not any(p.is_alive() for p in processes)


def test_nobody_waits_when_a_process_is_gone_and_the_system_gives_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: Any) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    pool = WorkerPool(1, lambda pack: os._exit(1))
    monkeypatch.setattr(_Office, "_start", refuse)
    for answer in pool.submit(packs_of(2)):
        with pytest.raises(ModelError, match="Resource temporarily unavailable"):
            answer.result(timeout=10)
    with pytest.raises(ModelError, match="have been ended"):
        pool.run(packs_of(1))
    pool.close()


def test_a_pool_that_cannot_be_made_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    start, made = _Office._start, []

    def few(self: _Office) -> Any:
        if self.workers:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        connection = start(self)
        made.append(self.workers[0][0])
        return connection

    monkeypatch.setattr(_Office, "_start", few)
    with pytest.raises(ModelError, match="2 wanted; use fewer --threads"):
        WorkerPool(2, lambda pack: [])
    assert [p.is_alive() for p in made] == [False]


def test_a_pool_that_is_collected_in_its_own_thread_ends() -> None:
    def run(pack: Any) -> list[np.ndarray]:
        time.sleep(0.2)
        return []

    pool = WorkerPool(1, run)
    thread, processes = pool._office._thread, [p for p, _ in pool._office.workers]
    circle: list[Any] = [pool]
    circle.append(circle)
    (answer,) = pool.submit(packs_of(1))
    answer.add_done_callback(lambda _: gc.collect())  # called in the thread
    del pool, circle
    assert answer.result(timeout=10) == []
    thread.join(10)
    assert not thread.is_alive()
    assert not any(p.is_alive() for p in processes)


LAUNCH = getattr(torch, "AcceleratorError", RuntimeError)(  # new in torch 2.8
    "CUDA error: unspecified launch failure\nfor debugging, set X"
)


@pytest.mark.parametrize(
    ("failure", "threads"),
    [(LAUNCH, "1"), (RuntimeError("CUDA error: device-side assert triggered"), "2")],
)
def test_a_device_that_is_lost_ends_the_run_and_keeps_the_work(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    threads: str,
) -> None:
    make_model("llama", folder / "tiny")
    rows = [{**ROWS[i % 100], "instruction": f"What is {i}?"} for i in range(600)]
    write_jsonl(folder / "data.jsonl", rows)
    command = ["score", "data.jsonl", "--model", "tiny", "--threads", threads, "--no-cache"]
    command += ["--dtype", "float32", "--out"]
    monkeypatch.setattr("ifcurate.engines.hf.packs._WORTH_FORKING", 0)
    monkeypatch.setattr("ifcurate.runs.parts.Pending.is_due", lambda self, _: bool(self.rows))
    runner = CliRunner()
    before = torch.get_num_threads()
    real = PackRunner._logprobs
    n_packs = mp.Value("i", 0)

    def lost(self: PackRunner, *given: Any) -> torch.Tensor:
        with n_packs.get_lock():
            n_packs.value += 1
        if "gone" in names and n_packs.value > 8:
            raise failure
        return real(self, *given)

    names: set[str] = set()
    monkeypatch.setattr(PackRunner, "_logprobs", lost)
    try:
        assert runner.invoke(app, [*command, "whole"]).exit_code == 0
        assert n_packs.value > 12
        n_packs.value = 0
        names.add("gone")
        result = runner.invoke(app, [*command, "run"])
        assert result.exit_code == 1
        said = " ".join(result.output.split())
        assert "error: cpu: the model failed in the middle of the work; found " in said
        assert str(failure).splitlines()[0] in said
        assert "what is scored so far is kept: start the same command again" in said
        assert "Traceback" not in result.output
        assert "should not happen" not in said
        kept = sum(part.n_rows for part in Parts(folder / "run" / "parts", tokens=False))
        assert kept >= 256
        names.clear()
        assert runner.invoke(app, [*command, "run"]).exit_code == 0
    finally:
        torch.set_num_threads(before)
    tables = [pl.read_parquet(folder / name / "scores.parquet") for name in ("whole", "run")]
    assert tables[0].equals(tables[1])
    assert not ours()
