"""Time and memory of `split` on many rows: `python -m benchmarks.split_speed [ROWS]`.

It makes a finished run of that many rows with synthetic scores (three quarters of them
tie in one statistic) and runs the real command on it, in a separate process for each of
three rules. It prints wall time, processor time and the largest resident memory.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.memory import make_run

RULES = {
    "paper": [],
    "both, per source": ["--rule", "both", "--per", "source"],
    "three quarters tie": ["--statistic", "max_token_loss_without_context"],
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="?", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary one by default")
    arguments = parser.parse_args()
    command = str(Path(sys.executable).parent / "ifcurate")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        make_run(Path(name, "data"), arguments.rows)
        peak = 0.0
        for rule, options in RULES.items():
            before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            line = [command, "split", "--run", "run", "-q", *options]
            subprocess.run(line, cwd=Path(name, "data"), check=True)
            wall = time.monotonic() - started
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            peak = max(peak, after.ru_maxrss / 1024)
            print(
                f"{rule:20}{wall:8.1f} s wall{used:8.1f} s of processor{peak:8,.0f} MiB at most "
                f"so far; load {os.getloadavg()[0]:.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
