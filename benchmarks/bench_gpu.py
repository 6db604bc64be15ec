"""All benchmarks for a GPU, in one command: ``python -m benchmarks.bench_gpu --out DIR``.

1. the scoring table (ifcurate, lm-evaluation-harness, the loop, vLLM) on 1B and 7B shapes;
2. the exactness of the variable-length route against float64;
3. a laboratory run with ten times the rows and steps: unfiltered, filtered, random.

Each part writes its files under DIR and is skipped when they exist. The table shows the
exit status of a part that fails; the other parts still run. `--small` uses small shapes,
to test the command on a CPU.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ifcurate.lab.plan import LabPlan

__all__ = ["lab_plan", "main", "make_table", "parts"]

ARMS = ("unfiltered", "filtered", "random")


def parts(out: Path, *, small: bool) -> dict[str, tuple[Path, list[str]]]:
    """Return the file that each part writes, and the arguments of Python that run the part."""
    scoring = ["-m", "benchmarks.scoring", "--out", str(out / "scoring")]
    if small:
        scoring += ["--shapes", "15M", "--rows", "2", "--rounds", "1", "--no-memory"]
        scoring += ["--dtypes", "float32"]
        scoring += ["--contenders", "ifcurate", "batch-1 IFD loop"]
    lab = ["-m", "benchmarks.bench_gpu", "--lab", str(out / "lab"), *["--small"] * small]
    exactness = ["-m", "benchmarks.scoring.exactness", "--out", str(out / "exactness.json")]
    exactness += ["--shapes", "15M", "--rows", "2"] if small else ["--device", "cuda"]
    return {
        "scoring": (out / "scoring" / "results.json", scoring),
        "exactness": (out / "exactness.json", exactness),
        "laboratory": (out / "lab" / "compare.json", lab),
    }


def lab_plan(*, small: bool, seed: int = 0) -> LabPlan:
    """Ten times the laboratory's rows and steps, or a run of a few steps."""
    if small:
        plan = LabPlan.create("m1", seed, n_rows=200)
        return replace(
            plan, evaluated_steps=(2,), nudge=replace(plan.nudge, steps=2),
            training=plan.training.model_copy(update={"max_steps": 2}),
        )  # fmt: skip
    plan = LabPlan.create("m1", seed, n_rows=28_800)
    training = plan.training.model_copy(update={"max_steps": 900, "dtype": "bfloat16"})
    return replace(plan, evaluated_steps=(20, 100, 200, 450, 900), training=training)


def run_lab(out: Path, *, small: bool) -> None:
    """The three arms, and their comparison."""
    from ifcurate.lab.arms import Arm, run_arm
    from ifcurate.lab.compare import compare_arms, make_page, read_results
    from ifcurate.lab.quality import measure_laboratories
    from ifcurate.lab.setup import prepare, score_mixture
    from ifcurate.storage.files import write_json

    plan = lab_plan(small=small)
    lab = prepare(out, plan)
    score_mixture(lab)
    for arm in ARMS:
        run_arm(lab, plan, Arm.parse(arm))
    compared = compare_arms(read_results(out), measure_laboratories(out))
    make_page(compared, out / "compare.html")
    write_json(out / "compare.json", compared)


def make_table(status: dict[str, str], out: Path) -> str:
    """Return the parts that ran, and the files with their figures."""
    lines = ["| part | status | figures |", "|---|---|---|"]
    places: dict[str, Any] = {
        "scoring": out / "scoring" / "RESULTS.md",
        "laboratory": out / "lab" / "compare.html",
        "exactness": out / "exactness.json",
    }
    lines += [f"| {name} | {what} | {places[name]} |" for name, what in status.items()]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the command line; 1 when a part failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_gpu", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench-gpu"))
    parser.add_argument("--small", action="store_true", help="small shapes, for a CPU")
    parser.add_argument("--lab", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.lab:
        run_lab(options.lab, small=options.small)
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    status = {}
    for name, (path, command) in parts(options.out, small=options.small).items():
        if path.exists():
            status[name] = "there already"
            continue
        code = subprocess.run([sys.executable, *command], check=False).returncode
        status[name] = "done" if code == 0 else f"failed with exit status {code}"
    table = make_table(status, options.out)
    (options.out / "RESULTS.md").write_text(table)
    print(table)
    return int(any(what.startswith("failed") for what in status.values()))


if __name__ == "__main__":
    sys.exit(main())
