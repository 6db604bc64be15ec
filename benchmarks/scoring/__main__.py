"""Run the scoring benchmark: `python -m benchmarks.scoring [--help]`."""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scoring.contenders import CONTENDERS, make_contender, true_scores
from benchmarks.scoring.machine import (
    HERE,
    clock,
    describe_machine,
    matmul_peak,
    operations,
    say,
    synchronise,
)
from benchmarks.scoring.shapes import SHAPES, save_model
from benchmarks.scoring.tables import full_table
from benchmarks.scoring.workload import SHARED, encode_rows, load_rows, train_tokenizer
from ifcurate.engines.base import Prompt


def main() -> None:
    """Parse the options and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scoring", description=__doc__)
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=None)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--rows", type=int, default=24, help="examples, each scored twice")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds; medians count")
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--contenders", nargs="+", choices=list(CONTENDERS), default=None)
    parser.add_argument("--lm-eval-batches", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--memory-of", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        torch.set_num_threads(1)
    if options.memory_of:
        print(json.dumps(_measure_memory(json.load(sys.stdin), device)))
        return
    names = options.shapes or (["15M", "135M"] if device == "cpu" else ["1B", "7B"])
    result = _run(options, names, device)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    table = full_table(result)
    (options.out / "RESULTS.md").write_text(table)
    print(table)


def _run(options: argparse.Namespace, names: list[str], device: str) -> dict[str, Any]:
    rows, what = load_rows(options.data)
    tokenizer = train_tokenizer(rows, 16000)
    prompts = encode_rows(rows, tokenizer, options.rows)
    result: dict[str, Any] = {"machine": describe_machine(device), "data": what, "runs": []}
    result["rows"], result["rounds"] = len(prompts) // 2, options.rounds
    result["tokens"] = sum(len(p.ids) - 1 for p in prompts)
    for shape in names:
        with tempfile.TemporaryDirectory() as folder:
            for dtype in options.dtypes:
                path = save_model(shape, Path(folder) / dtype, tokenizer, dtype=dtype)
                # In a process of its own: some contenders keep what they allocated.
                with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                    given = (options, shape, path, dtype, device, prompts)
                    run = pool.submit(_compare, *given).result()
                result["runs"].append(run)
                say(f"{shape} {dtype}: " + json.dumps(run["speed"]))
    return result


def _compare(
    options: argparse.Namespace,
    shape: str,
    path: Path,
    dtype: str,
    device: str,
    prompts: list[Prompt],
) -> dict[str, Any]:
    import torch

    from benchmarks.scoring.contenders import _load

    if device == "cpu":
        torch.set_num_threads(1)
    wanted = options.contenders or list(CONTENDERS)
    here = [name for name in wanted if _installed(CONTENDERS[name][1])]
    settings: dict[str, dict[str, Any]] = {name: {} for name in here}
    if "ifcurate" in here and device == "cpu":
        settings["ifcurate"] = {"threads": 1}
    if "lm-evaluation-harness" in here:
        batch = _best_batch(path, dtype, device, prompts, options.lm_eval_batches)
        settings["lm-evaluation-harness"] = {"batch": batch}
    scorers = {n: make_contender(n, path, dtype, device, **settings[n]) for n in here}
    model = _load(path, dtype, device)
    work = operations(model, prompts)
    seconds: dict[str, list[float]] = {name: [] for name in here}
    peaks: list[float] = []
    scores: dict[str, list[float]] = {}
    for turn in range(options.rounds + 1):
        peaks.append(matmul_peak(model, device))
        for name, score in scorers.items():
            synchronise(device)
            start = clock(device)
            scores[name] = score(prompts)
            synchronise(device)
            if turn:  # the first round warms up
                seconds[name].append(clock(device) - start)
        say(f"{shape} {dtype} round {turn}: " + str({n: s[-1:] for n, s in seconds.items()}))
    peak = float(np.median(peaks[1:]))
    flops = work["layers"] + work["attention"] + work["head"]
    tokens = sum(len(p.ids) - 1 for p in prompts)
    ours = float(np.median(seconds[here[0]]))
    speed = {}
    for name, times in seconds.items():
        middle = float(np.median(times))
        speed[name] = {
            "tokens_per_second": round(tokens / middle),
            "times_slower_than_ours": round(middle / ours, 2),
            "share_of_limit": round(flops / peak / middle, 3),
            "seconds": [round(t, 3) for t in times],
            **settings[name],
        }
        if not options.no_memory:
            given: dict[str, Any] = {"name": name, "path": str(path), "dtype": dtype}
            given["settings"] = settings[name]
            given["prompts"] = [(list(p.ids), p.response_start) for p in prompts]
            speed[name]["peak_memory_MiB"] = _memory_of(given)
    n_response = np.array([len(p.ids) - p.response_start for p in prompts])
    truth = true_scores(path, device, prompts) if shape in ("15M", "135M") else None
    error = {}
    for name, found in scores.items():
        if truth is not None:
            off = (np.array(found) - truth) / n_response
            error[name] = {"max": float(np.abs(off).max()), "rms": float((off**2).mean() ** 0.5)}
    return {
        "shape": shape,
        "dtype": dtype,
        "peak_GFLOPs": round(peak / 1e9),
        "operations": work,
        "speed": speed,
        "error_nats_per_token": error,
    }


def _installed(package: str | None) -> bool:
    return package is None or importlib.util.find_spec(package) is not None


def _best_batch(
    path: Path, dtype: str, device: str, prompts: list[Prompt], sizes: list[int]
) -> int:
    found = {}
    for size in sizes:
        score = make_contender("lm-evaluation-harness", path, dtype, device, batch=size)
        score(prompts[:8])
        times = []
        for _ in range(2):
            start = clock(device)
            score(prompts)
            synchronise(device)
            times.append(clock(device) - start)
        found[size] = min(times)
    return min(found, key=lambda size: found[size])


def _memory_of(given: dict[str, Any]) -> int | None:
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.scoring", "--memory-of"],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=HERE.parents[1],
    )
    return int(json.loads(run.stdout.splitlines()[-1])) if run.returncode == 0 else None


def _measure_memory(given: dict[str, Any], device: str) -> int:
    """MiB over what is held after loading (weights and libraries)."""
    prompts = [Prompt(ids=ids, response_start=start) for ids, start in given["prompts"]]
    score = make_contender(
        given["name"], Path(given["path"]), given["dtype"], device, **given["settings"]
    )
    if device != "cpu":
        import torch

        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        score(prompts)
        return int((torch.cuda.max_memory_allocated() - before) >> 20)
    # What loading freed must not hide what scoring takes.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    score(prompts)
    return (_status("VmHWM") - before) // 1024


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


if __name__ == "__main__":
    main()
