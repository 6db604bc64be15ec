"""The long forms of the kill and fuzz tests: `python -m tests.soak [fuzz] [kill] [workers] [ray]`.

    fuzz   10,000 mutated files, each scored and filtered, alone, beside a good one or in a folder
    kill   50 kills (-9) at random moments of runs on real rows with the bundled model
    workers  50 kills (-9) of the scoring processes of a run, at batch sizes 1 and auto
    ray    10 kills (-9) of the workers of a run on a small Ray cluster, where Ray is installed

Prints what was done as JSON; exits 1 when anything was lost, doubled or different.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, seed, settings, strategies as st

from tests.conftest import SHARED_DATA
from tests.data.fuzzing import PLACES, check_file, mutated_files
from tests.runs.killing import (
    kill_until_done,
    kill_workers,
    same_results,
    start_command,
)


def soak_fuzz(n: int, start: int) -> dict[str, Any]:
    """Check `n` mutated files."""
    found: Counter[str] = Counter()
    kinds: Counter[str] = Counter()

    @seed(start)
    @settings(max_examples=n, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(mutated_files(), st.sampled_from(PLACES))
    def check(file: tuple[str, bytes], place: str) -> None:
        said = check_file(*file, place=place)
        found["scored" if said == "scored" else "refused with a message"] += 1
        kinds[file[0]] += 1

    check()
    return {"files": sum(found.values()), **found, "of_each_kind": dict(kinds)}


def soak_kill(n: int, start: int) -> dict[str, Any]:
    """Kill runs `n` times, in as many rounds as it takes; each round must end as if undisturbed."""
    data = SHARED_DATA / "alpaca_5pct.json"
    rows = [str(data), "--limit", "1500"] if data.exists() else ["demo:alpaca.jsonl"]
    options = ["--model", "pocket", "--template", "alpaca", "--dtype", "float32", "-q"]
    options += ["--tokens", "--fail-on-error", "false"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = ["score", *rows, *options, "--out", str(folder / "whole")]
        first = start_command(whole, folder, folder / "stderr.txt")
        first.join()
        assert first.exitcode == 0, (folder / "stderr.txt").read_text()
        killed = 0
        rounds: list[dict[str, Any]] = []
        while killed < n:
            run = folder / f"round-{len(rounds)}"
            line = ["score", *rows, *options, "--out", str(run)]
            kills = kill_until_done(
                line, folder, run, n_kills=min(8, n - killed), seed=start + killed
            )
            killed += kills.n
            differences = same_results(folder / "whole", run)
            rounds.append(
                {
                    "kills": kills.n,
                    "rows_safe_at_each": kills.rows,
                    "orphans": len(kills.orphans),
                    "differences": differences,
                }
            )
            sys.stderr.write(json.dumps(rounds[-1]) + "\n")
    return {
        "kills": killed,
        "rounds": len(rounds),
        "orphans": sum(r["orphans"] for r in rounds),
        "different": sum(bool(r["differences"]) for r in rounds),
    }


def soak_workers(n: int) -> dict[str, Any]:
    """Kill the scoring processes of a run `n` times, one sequence a pack and many."""
    found: dict[str, Any] = {"kills": 0, "orphans": 0, "different": 0}
    for batch_size in (1, "auto"):
        killed = 0
        while killed < n:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                killed += kill_workers(folder, batch_size=batch_size, n_kills=n - killed)
                found["different"] += bool(same_results(folder / "whole", folder / "killed"))
        found["kills"] += killed
    return found


def soak_ray(n: int) -> dict[str, Any]:
    """Kill `n` workers of one run on Ray."""
    script = Path(__file__).with_name("runs") / "ray_script.py"
    data = SHARED_DATA / "alpaca_5pct.json"
    rows = [str(data), "--limit", "1500"] if data.exists() else ["demo:alpaca.jsonl"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {**os.environ, "PYTHONPATH": str(script.parents[2])}
        for run, more in (("whole", ["--local"]), ("ray", ["--kill", str(n)])):
            line = [sys.executable, str(script), run, *rows, "--pocket", *more]
            done = subprocess.run(
                line, cwd=folder, env=environment, check=True, capture_output=True, text=True
            )
        killed = json.loads(done.stdout.splitlines()[-1])["killed"]
        differences = same_results(folder / "whole", folder / "ray")
    return {"worker_kills": killed, "orphans": 0, "different": int(bool(differences))}


def main() -> None:
    """Run what is named; all that can be run here when nothing is."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("what", nargs="*", choices=["fuzz", "kill", "workers", "ray", []])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--worker-kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given_ = parser.parse_args()
    has_ray = importlib.util.find_spec("ray") is not None
    what = given_.what or ["fuzz", "kill", "workers", *(["ray"] if has_ray else [])]
    result: dict[str, Any] = {}
    if "fuzz" in what:
        result["fuzz"] = soak_fuzz(given_.files, given_.seed)
    if "ray" in what:
        result["ray"] = soak_ray(given_.worker_kills)
    if "workers" in what:
        result["workers"] = soak_workers(given_.kills)
    if "kill" in what:
        result["kill"] = soak_kill(given_.kills, given_.seed)
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    bad = [result.get(name, {}) for name in ("kill", "workers", "ray")]
    sys.exit(any(found.get("different") or found.get("orphans") for found in bad))


if __name__ == "__main__":
    main()
