"""A run on a small Ray cluster of this machine, in a process of its own.

`python tests/ray_script.py RUN DATA... [--kill N] [--engines N] [--slow SECONDS] [--pocket]`
prints JSON: the counts, and how many workers were killed on the way.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.update(RAY_AUTH_MODE="disabled", RAY_USAGE_STATS_ENABLED="0", OMP_NUM_THREADS="1")

from ifcurate.data.sources import read_examples
from ifcurate.engines.base import Float32Array, Prompt
from ifcurate.engines.load import load_engine
from ifcurate.engines.toy import ToyEngine
from ifcurate.options.score import ClusterOptions, EngineOptions, RunOptions, ScoreSettings
from ifcurate.runs import ray_cluster
from ifcurate.runs.filling import score_run
from ifcurate.scoring.scorer import Scorer


def slow_down(seconds: float) -> Callable[[], None]:
    """A function that makes the toy engine of its process as slow as a real one."""

    def begin() -> None:
        real = ToyEngine.response_logprobs

        def slow(self: ToyEngine, prompts: Sequence[Prompt]) -> list[Float32Array]:
            time.sleep(seconds)
            return real(self, prompts)

        ToyEngine.response_logprobs = slow  # type: ignore[method-assign]

    return begin


def worker_pids() -> list[int]:
    """The actors of this user's Ray clusters, by the names that Ray gives its processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if b"ray::ScoringActor" in path.read_bytes():
                pid = int(path.parent.name)
                if _descends(pid, os.getpid()):
                    found.append(pid)
    return found


def _descends(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            return False
    return False


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--kill", type=int, default=0)
    parser.add_argument("--engines", type=int, default=2)
    parser.add_argument("--slow", type=float, default=0.0)
    parser.add_argument("--pocket", action="store_true")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--local", action="store_true", help="without Ray, to compare")
    given = parser.parse_args()
    killed: list[int] = []
    over = threading.Event()

    def kill_workers() -> None:
        """One worker whenever a part more is on disk, in turn, until there were enough."""
        parts = 0
        while len(killed) < given.kill and not over.wait(0.2):
            found = len(list(given.run.glob("parts/*.done.json")))
            pids = [pid for pid in worker_pids() if pid not in killed]
            if found > parts and pids:
                pid = pids[len(killed) % len(pids)]
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                parts = found

    killer = threading.Thread(target=kill_workers)
    killer.start()
    settings = ScoreSettings(chunk_rows=16, template="alpaca")
    engine = EngineOptions(engine="toy")
    if given.pocket:
        engine = EngineOptions(model="pocket", dtype="float32", threads=1)
    if given.local:
        over.set()
        loaded = load_engine(engine.engine, **engine.for_engine())
        scorer = Scorer.create(loaded, settings)
        score_run(read_examples(given.data, limit=given.limit), scorer, given.run, tokens=True)
        return
    import ray  # type: ignore[import-not-found, unused-ignore]

    begin = {"worker_process_setup_hook": slow_down(given.slow)}
    with contextlib.redirect_stdout(sys.stderr):
        ray.init(
            "local", num_cpus=4, include_dashboard=False, log_to_driver=False, runtime_env=begin
        )
    ray_cluster._CHUNKS_PER_PART = 2  # type: ignore[misc]
    run = ray_cluster.score_run_on_ray(
        read_examples(given.data, limit=given.limit),
        engine,
        settings,
        RunOptions(out=given.run, tokens=True),
        ClusterOptions(executor="ray", num_engines=f"1-{given.engines}"),
    )
    over.set()
    killer.join()
    sys.stdout.write(json.dumps({"counts": run.manifest.counts, "killed": len(killed)}) + "\n")


if __name__ == "__main__":
    main()
