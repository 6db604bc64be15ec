"""Runs that are killed, again and again, and what must be true when one is let finish.

The score table, the token table and the quarantine of a run that was killed
equal, byte for byte, those of a run that was not.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Literal

import polars as pl

__all__ = [
    "Kills",
    "command",
    "kill_until_done",
    "kill_workers",
    "rows_on_disk",
    "same_results",
    "start_command",
    "wait_for",
    "written_at",
]

RESULTS = ("scores.parquet", "tokens.parquet", "quarantine.jsonl")


def command(*arguments: str) -> list[str]:
    """The command line as a process of its own."""
    return [str(Path(sys.executable).parent / "ifcurate"), *arguments]


@dataclass
class Kills:
    """What happened."""

    n: int = 0
    finished: bool = False  # before it could be killed often enough
    rows: list[int] = field(default_factory=list)  # safe on disk at each kill
    orphans: list[list[int]] = field(default_factory=list)  # processes that were left behind


def kill_until_done(
    arguments: Sequence[str],
    folder: Path,
    run: Path,
    *,
    n_kills: int,
    seed: int,
    mark: Path | None = None,
    longest: float = 1.0,
) -> Kills:
    """Start a command, kill it (-9) at a random time of its work, `n_kills` times; then finish it.

    The time counts from the moment that the attempt writes `mark` (by default the manifest of
    `run`), as starting up takes longer than the work; it is `longest` seconds at most, and more
    when an attempt is killed before it has written any row. Raises `AssertionError` when the
    last attempt does not succeed.
    """
    random_ = random.Random(seed)
    mark = mark or run / "manifest.json"
    kills = Kills()
    errors = folder / "stderr.txt"
    while kills.n < n_kills:
        process = start_command(arguments, folder, errors)
        seen = written_at(mark)
        wait_for(lambda: written_at(mark) != seen or not process.is_alive(), 120)  # noqa: B023
        process.join(random_.uniform(0, longest))
        if process.is_alive():
            process.kill()  # the process alone: its helpers must notice by themselves
        process.join()
        if process.exitcode == 0:
            kills.finished = True
            break
        assert process.exitcode == -signal.SIGKILL, errors.read_text("utf-8", "replace")
        kills.n += 1
        assert process.pid is not None
        if left := _left_after(process.pid, 20):
            kills.orphans.append(left)
            os.killpg(process.pid, signal.SIGKILL)
        kills.rows.append(rows_on_disk(run))
        longest = min(longest * 2, 30.0) if kills.rows[-1:] == kills.rows[-2:-1] else longest
    last = start_command(arguments, folder, errors)
    last.join()
    assert last.exitcode == 0, errors.read_text("utf-8", "replace")
    return kills


def written_at(path: Path) -> int:
    """When a file was written last, in nanoseconds; 0 without one."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def start_command(arguments: Sequence[str], cwd: Path, errors: Path) -> BaseProcess:
    """The command in a new process and session; its messages go to the file `errors`.

    The process is forked from one that has imported everything and done nothing.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(["cli", "ifcurate.engines.hf.engine", "transformers", "torch"])
    process = context.Process(target=_run_command, args=(list(arguments), cwd, errors))
    process.start()
    return process


def _run_command(arguments: list[str], cwd: Path, errors: Path) -> None:
    import torch

    from cli import app

    torch.set_num_threads(1)
    os.setsid()
    os.chdir(cwd)
    for number, path in ((1, Path(os.devnull)), (2, errors)):
        stream = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(stream, number)
    sys.argv = ["ifcurate", *arguments]
    app()


def rows_on_disk(run: Path) -> int:
    """The rows in the finished parts of a run."""
    markers = run.glob("parts/*.done.json")
    return sum(json.loads(path.read_bytes())["n_rows"] for path in markers)


def same_results(one: Path, other: Path) -> list[str]:
    """The files that differ, by name; empty when the two runs are equal."""
    different = []
    for name in RESULTS:
        pair = [(folder / name) for folder in (one, other)]
        if pair[0].exists() != pair[1].exists():
            different.append(f"{name}: only in one")
        elif pair[0].exists() and pair[0].read_bytes() != pair[1].read_bytes():
            different.append(name)
    if (one / "scores.parquet").exists():
        places = pl.read_parquet(one / "scores.parquet", columns=["source", "row", "turn"])
        if places.is_duplicated().any():
            different.append("scores.parquet: a row stands twice")
    return different


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether a condition came true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def _left_after(leader: int, seconds: float) -> list[int]:
    """Processes of a session that are still there when there has been time enough to end."""
    wait_for(lambda: not _session(leader), seconds)
    return _session(leader)


def _session(leader: int) -> list[int]:
    """The processes of a session that still run (Linux)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(path.parent.name))
    return found


def kill_workers(folder: Path, *, batch_size: int | Literal["auto"], n_kills: int) -> int:
    """Score the demo's rows twice, into `whole` and `killed`; returns how many kills there were.

    In the second run a thread kills (-9) one of the two scoring processes again and again.
    """
    from ifcurate.data.sources import read_examples
    from ifcurate.engines.hf import runner
    from ifcurate.engines.hf.engine import load_hf_engine
    from ifcurate.options.score import ScoreSettings
    from ifcurate.runs.filling import score_run
    from ifcurate.scoring.scorer import Scorer

    random_ = random.Random(0)
    done = threading.Event()
    before, runner._WORTH_FORKING = runner._WORTH_FORKING, 0  # type: ignore[misc]
    n_done = 0
    try:
        for name in ("whole", "killed"):
            with load_hf_engine(
                "pocket", dtype="float32", device="cpu", threads=2, batch_size=batch_size
            ) as engine:

                def kill() -> None:
                    nonlocal n_done
                    while not done.wait(random_.uniform(0.1, 0.5)) and n_done < n_kills:
                        pool = engine._pool
                        if pool is not None:
                            with contextlib.suppress(OSError, BrokenProcessPool):
                                os.kill(pool._workers[n_done % 2].first.result(), signal.SIGKILL)
                                n_done += 1

                killer = threading.Thread(target=kill)
                if name == "killed":
                    killer.start()
                scorer = Scorer.create(engine, ScoreSettings(template="alpaca", chunk_rows=16))
                try:
                    score_run(
                        read_examples("demo:alpaca.jsonl"), scorer, folder / name, tokens=True
                    )
                finally:
                    done.set()
                    if name == "killed":
                        killer.join()
                    done.clear()
    finally:
        runner._WORTH_FORKING = before  # type: ignore[misc]
    return n_done
