"""One model in one dtype: all contenders in turns, then the memory of each one alone."""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scoring.contenders import CONTENDERS, make_contender, true_scores
from benchmarks.scoring.machine import HERE, clock, matmul_peak, operations, say, synchronise
from ifcurate.engines.base import Prompt

__all__ = ["compare", "measure_memory"]


def compare(
    options: argparse.Namespace,
    shape: str,
    path: Path,
    dtype: str,
    device: str,
    prompts: list[Prompt],
) -> dict[str, Any]:
    """Seconds, tokens per second, share of the limit, memory and error of each contender."""
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
            request: dict[str, Any] = {"name": name, "path": str(path), "dtype": dtype}
            request["settings"] = settings[name]
            request["prompts"] = [(list(p.ids), p.response_start) for p in prompts]
            speed[name]["peak_memory_MiB"] = _memory_of(request)
    n_response = np.array([len(p.ids) - p.response_start for p in prompts])
    truth = true_scores(path, device, prompts) if shape in ("15M", "135M") else None
    error = {}
    for name, values in scores.items():
        if truth is not None:
            off = (np.array(values) - truth) / n_response
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
    seconds = {}
    for size in sizes:
        score = make_contender("lm-evaluation-harness", path, dtype, device, batch=size)
        score(prompts[:8])
        times = []
        for _ in range(2):
            start = clock(device)
            score(prompts)
            synchronise(device)
            times.append(clock(device) - start)
        seconds[size] = min(times)
    return min(seconds, key=lambda size: seconds[size])


def _memory_of(request: dict[str, Any]) -> int | None:
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.scoring", "--memory-of"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=HERE.parents[1],
    )
    return int(json.loads(run.stdout.splitlines()[-1])) if run.returncode == 0 else None


def measure_memory(request: dict[str, Any], device: str) -> int:
    """MiB above the memory after loading (weights and libraries)."""
    prompts = [Prompt(ids=ids, response_start=start) for ids, start in request["prompts"]]
    score = make_contender(
        request["name"], Path(request["path"]), request["dtype"], device, **request["settings"]
    )
    if device != "cpu":
        import torch

        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        score(prompts)
        return int((torch.cuda.max_memory_allocated() - before) >> 20)
    # Memory that loading freed must not hide the memory of scoring.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    score(prompts)
    return (_status("VmHWM") - before) // 1024


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])
