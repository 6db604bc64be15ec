"""The long forms of the kill and fuzz tests: `python -m tests.soak [fuzz] [kill]`.

    fuzz   10,000 mutated files, each scored and filtered, alone or beside a good one
    kill   50 kills (-9) at random moments of runs on real rows with the bundled model

Prints what was done as JSON; exits 1 when anything was lost, doubled or different.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.conftest import SHARED_DATA
from tests.fuzzing import check_file, mutated_files
from tests.killing import command, kill_until_done, same_results


def soak_fuzz(n: int, start: int) -> dict[str, Any]:
    """Check `n` mutated files."""
    found: Counter[str] = Counter()

    @seed(start)
    @settings(max_examples=n, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(mutated_files(), st.booleans())
    def check(file: tuple[str, bytes], alone: bool) -> None:
        said = check_file(*file, alone=alone)
        found["scored" if said == "scored" else "refused with a message"] += 1

    check()
    return {"files": sum(found.values()), **found, "tracebacks": 0, "silent_losses": 0}


def soak_kill(n: int, start: int) -> dict[str, Any]:
    """Kill runs `n` times, in as many rounds as it takes; each round must end as if undisturbed."""
    data = SHARED_DATA / "alpaca_5pct.json"
    rows = [str(data), "--limit", "1500"] if data.exists() else ["demo:alpaca.jsonl"]
    options = ["--model", "pocket", "--template", "alpaca", "--dtype", "float32", "-q"]
    options += ["--tokens", "--fail-on-error", "false"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.monotonic()
        whole = ["score", *rows, *options, "--out", str(folder / "whole")]
        subprocess.run(command(*whole), cwd=folder, check=True)
        seconds = time.monotonic() - started
        killed = 0
        rounds: list[dict[str, Any]] = []
        while killed < n:
            run = folder / f"round-{len(rounds)}"
            line = ["score", *rows, *options, "--out", str(run)]
            kills = kill_until_done(
                line, folder, run, n_kills=min(8, n - killed), seed=start + killed, longest=seconds
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


def main() -> None:
    """Run what is named; both when nothing is."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("what", nargs="*", choices=["fuzz", "kill", []])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given_ = parser.parse_args()
    what = given_.what or ["fuzz", "kill"]
    result: dict[str, Any] = {}
    if "fuzz" in what:
        result["fuzz"] = soak_fuzz(given_.files, given_.seed)
    if "kill" in what:
        result["kill"] = soak_kill(given_.kills, given_.seed)
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    bad = result.get("kill", {})
    sys.exit(1 if bad.get("different") or bad.get("orphans") else 0)


if __name__ == "__main__":
    main()
