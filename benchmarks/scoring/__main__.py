"""Run the scoring benchmark: `python -m benchmarks.scoring [--help]`."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.scoring.compare import compare, measure_memory
from benchmarks.scoring.contenders import CONTENDERS
from benchmarks.scoring.machine import HERE, describe_machine, say
from benchmarks.scoring.shapes import SHAPES, save_model
from benchmarks.scoring.tables import full_table
from benchmarks.scoring.workload import SHARED, encode_rows, load_rows, train_tokenizer


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
        print(json.dumps(measure_memory(json.load(sys.stdin), device)))
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
                # In a separate process, since some contenders do not free their memory.
                with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                    given = (options, shape, path, dtype, device, prompts)
                    run = pool.submit(compare, *given).result()
                result["runs"].append(run)
                say(f"{shape} {dtype}: " + json.dumps(run["speed"]))
    return result


if __name__ == "__main__":
    main()
