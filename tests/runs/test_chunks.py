"""The next chunk is under way while one is scored: nothing else may differ."""

from __future__ import annotations

import inspect
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from typer.testing import CliRunner

from ifcurate.data.parse_rows import Piece
from ifcurate.data.sources import Examples, read_examples
from ifcurate.engines.base import Answer, Prompt
from ifcurate.engines.hf.head import ResponseHead
from ifcurate.engines.load import load_engine
from ifcurate.engines.toy import ToyEngine
from ifcurate.errors import DataError, ModelError
from ifcurate.options.score import ScoreSettings
from ifcurate.runs.filling import score_run
from ifcurate.runs.parts import Parts
from ifcurate.runs.run import Run
from ifcurate.runs.work import Shard
from ifcurate.scoring.scorer import Scorer
from tests.conftest import ALPACA_ROWS, write_jsonl
from tests.models import make_model

app = import_module("ifcurate.cli").app

ROWS: list[dict[str, Any]] = [
    {**ALPACA_ROWS[i % 5], "instruction": f"{ALPACA_ROWS[i % 5]['instruction']} ({i})"}
    for i in range(100)
]


N_CHUNKS = 13  # of `ROWS`, with eight rows each


class Apart(ToyEngine):
    """Works in a thread of its own, and notes what it is asked for, and when."""

    def __init__(self, fail_at: int = 1000, patience: float = 0) -> None:
        super().__init__()
        self.log: list[str] = []
        self.threads: set[str] = set()
        self.fail_at = fail_at
        self.patience = patience  # seconds to wait for the next chunk
        self.pool = ThreadPoolExecutor(1)
        encode = self.tokenizer.encode_batch

        def noted(texts: Sequence[str]) -> Any:
            self.threads.add(threading.current_thread().name)
            return encode(texts)

        self.tokenizer.encode_batch = noted  # type: ignore[method-assign]

    def submit(self, prompts: Sequence[Prompt]) -> Future[list[Answer]]:
        number = len(self.log)
        self.log.append(f"given {number}")
        return self.pool.submit(self._work, prompts, number)

    def _work(self, prompts: Sequence[Prompt], number: int) -> list[Answer]:
        # The next chunk is here before this one is done.
        end = time.monotonic() + self.patience
        while len(self.log) == number + 1 < N_CHUNKS and time.monotonic() < end:
            time.sleep(0.001)
        if number == self.fail_at:
            raise ModelError("the GPU is gone: it fell off the bus; start again")
        return list(self.response_logprobs(prompts))


@pytest.fixture
def data(folder: Path) -> Iterator[Path]:
    write_jsonl(folder / "data.jsonl", [*ROWS, {"instruction": "no response"}])
    yield folder
    assert not ours()


def ours() -> list[str]:
    """Threads of ours that still run. The client of a server is no part of these tests."""
    names = [thread.name for thread in threading.enumerate()]
    return [n for n in names if n.startswith("ifcurate-") and n != "ifcurate-server"]


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
    engine = Apart(patience=30)
    started = time.monotonic()
    ahead = score(engine, data / "ahead", tokens=tokens)
    assert time.monotonic() - started < 30  # no chunk waited for the next one in vain
    same(ahead, score(ToyEngine(), data / "plain", tokens=tokens))
    assert engine.threads == {"ifcurate-chunks_0"}


def test_few_calls_lie_between_a_run_and_its_model(data: Path) -> None:
    calls: list[str] = []

    def look(*_: Any) -> None:
        if not calls:
            own = [f for f in inspect.stack() if f"{os.sep}ifcurate{os.sep}" in f.filename]
            calls.extend(f.function for f in own)

    with load_engine("hf", model="pocket", dtype="float32", threads=1) as engine:
        hook = engine._model.base_model.register_forward_pre_hook(look)  # type: ignore[attr-defined]
        score_run(read_examples("data.jsonl", limit=3), Scorer.create(engine, ScoreSettings()), "a")
        hook.remove()
    # The command itself calls `score_run`.
    assert calls[calls.index("hidden") : calls.index("score_run") + 1] == [
        "hidden",
        "run",
        "_collect",
        "submit",
        "score_chunks",
        "do",
        "fill_run",
        "score_run",
    ]


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
    assert not ours()
    assert sum(part.n_rows for part in Parts(data / "run" / "parts", tokens=False)) == 5 * 8
    again = Apart()
    same(score(again, data / "run"), score(ToyEngine(), data / "plain"))
    assert len(again.log) == N_CHUNKS - 5


def test_a_failing_reader_keeps_the_chunks_before(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Examples.read_chunks

    def broken(self: Examples, *given: Any) -> Iterator[Piece]:
        for piece in real(self, *given):
            if piece.number == 3:
                raise DataError("data.jsonl: the disk is gone; plug it in")
            yield piece

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
    assert len(engine.log) <= 5  # at most one more than is finished
    same(score(Apart(), data / "run"), score(ToyEngine(), data / "plain"))


LAUNCH = getattr(torch, "AcceleratorError", RuntimeError)(  # new in torch 2.8
    "CUDA error: unspecified launch failure\nfor debugging, set X"
)


@pytest.mark.slow
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
    command += ["--dtype", "float32", "--fail-on-error", "false", "--out"]
    monkeypatch.setattr("ifcurate.engines.hf.runner._WORTH_FORKING", 0)
    monkeypatch.setattr(
        "ifcurate.runs.parts.Pending.is_due", lambda self, _: bool(self.done) and not self.open
    )
    runner = CliRunner()
    before = torch.get_num_threads()
    real = ResponseHead.logprobs
    parts = folder / "run" / "parts"

    def lost(self: ResponseHead, *given: Any) -> torch.Tensor:
        """Fail as soon as a part is on disk, whichever process comes first."""
        if "gone" in names and any(parts.glob("*done.json")):
            raise failure
        return real(self, *given)

    names: set[str] = set()
    monkeypatch.setattr(ResponseHead, "logprobs", lost)
    try:
        whole = runner.invoke(app, [*command, "whole"])
        assert whole.exit_code == 0, whole.output
        names.add("gone")
        result = runner.invoke(app, [*command, "run"])
        assert result.exit_code == 1
        said = " ".join(result.output.split())
        assert "error: cpu: the model failed while scoring; found " in said
        assert str(failure).splitlines()[0] in said
        assert "the scored rows are kept: start the same command again" in said
        assert "Traceback" not in result.output
        assert "should not happen" not in said
        kept = sum(part.n_rows for part in Parts(parts, tokens=False))
        assert kept >= 256
        names.clear()
        assert runner.invoke(app, [*command, "run"]).exit_code == 0
    finally:
        torch.set_num_threads(before)
    tables = [pl.read_parquet(folder / name / "scores.parquet") for name in ("whole", "run")]
    assert tables[0].equals(tables[1])
    assert not ours()
