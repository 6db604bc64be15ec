"""Speed of all steps together: `python -m benchmarks.pipeline [--rows 1000000]`.

It writes rows with Alpaca's lengths and runs the real commands in separate processes,
with the toy engine: `score` (read, render, tokenise, score, table), `split` and `filter`
(write). It reports rows per second of wall time and of CPU time, and the largest resident
memory of all processes together. It prints a table, and writes JSON with `--out`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

#: Words per text, lowest and highest: the means are about those of Alpaca's 52,002 rows,
#: where 39.7% have an input.
WORDS = {"instruction": (4, 16), "input": (4, 40), "output": (5, 85)}


def make_rows(n: int, with_input: float, seed: int) -> Iterator[dict[str, str]]:
    """Rows of made-up words, `with_input` of them (a fraction) with a context."""
    draw = random.Random(seed)
    parts = ("ka", "lo", "mi", "ne", "ru", "sto", "ter", "val", "wen", "yor")
    words = ["".join(draw.choices(parts, k=draw.randint(1, 4))) for _ in range(20_000)]

    def text(name: str) -> str:
        return " ".join(draw.choices(words, k=draw.randint(*WORDS[name]))).capitalize() + "."

    for _ in range(n):
        has_input = draw.random() < with_input
        yield {
            "instruction": text("instruction"),
            "input": text("input") if has_input else "",
            "output": text("output"),
        }


@dataclass(frozen=True)
class Measured:
    """One command."""

    command: str
    seconds: float
    cpu_seconds: float
    peak_mb: float  # resident, all processes of the command together


def run_command(arguments: list[str], folder: Path) -> Measured:
    """Run a command and watch its processes, four times a second."""
    command = [str(Path(sys.executable).parent / "ifcurate"), *arguments]
    before = os.times()
    started = time.monotonic()
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, start_new_session=True
    )
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, _resident_mb(process.pid))
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.25)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    after = os.times()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return Measured(arguments[0], time.monotonic() - started, cpu, peak)


def _resident_mb(session: int) -> float:
    """Resident memory of all processes of a session (Linux; 0 elsewhere)."""
    page = os.sysconf("SC_PAGE_SIZE")
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                total += int(fields[21]) * page
    return total / 1e6


def measure(rows: int, with_input: float, seed: int, folder: Path) -> list[Measured]:
    """Return the three commands on fresh rows."""
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as stream:
        for row in make_rows(rows, with_input, seed):
            stream.write(json.dumps(row) + "\n")
    steps = [
        ["score", "rows.jsonl", "--engine", "toy", "--out", "run"],
        ["split", "--rule", "paper", "--run", "run"],
        ["filter", "--keep", "context-critical", "--run", "run"],
    ]
    return [run_command(step, folder) for step in steps]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipeline", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--with-input", type=float, default=0.4, help="fraction of the rows")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="also write the result as JSON")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary one by default")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with contextlib.ExitStack() as stack:
        folder = options.folder
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        steps = measure(options.rows, options.with_input, options.seed, folder)
        size = (folder / "rows.jsonl").stat().st_size
        manifest = json.loads((folder / "run" / "manifest.json").read_bytes())
    if manifest["counts"]["rows"] != options.rows:
        raise SystemExit(f"rows lost: {manifest['counts']}")
    result: dict[str, Any] = {
        "rows": options.rows,
        "with_input": options.with_input,
        "input_bytes": size,
        "counts": manifest["counts"],
        "cpus": len(os.sched_getaffinity(0)),
        "machine": platform.processor() or platform.machine(),
        "load_before": round(load, 2),  # above 0, CPU time is more reliable
        "steps": [asdict(step) for step in steps],
        "seconds": sum(step.seconds for step in steps),
        "cpu_seconds": sum(step.cpu_seconds for step in steps),
        "peak_mb": max(step.peak_mb for step in steps),
    }
    result["rows_per_second"] = options.rows / result["seconds"]
    result["rows_per_cpu_second"] = options.rows / result["cpu_seconds"]
    whole = Measured("all", result["seconds"], result["cpu_seconds"], result["peak_mb"])
    for step in [*steps, whole]:
        print(
            f"{step.command:8}{step.seconds:9.1f} s {step.cpu_seconds:9.1f} CPU-s "
            f"{options.rows / step.seconds:10,.0f} rows/s {options.rows / step.cpu_seconds:10,.0f} "
            f"rows/CPU-s {step.peak_mb:8,.0f} MB"
        )
    print(f"load before: {load:.1f}; {result['cpus']} CPUs; {size / 1e6:,.0f} MB of input")
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
