"""Exactness of scores: `python -m benchmarks.scoring.exactness`.

It uses real rows and a float64 pass over one sequence at a time as the reference. It
reports the error of each response's mean (nats per token), the error of the model's own
pass in the same dtype, and the change of a response's mean with the rest of the batch.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.scoring.contenders import make_contender, true_scores
from benchmarks.scoring.machine import HERE, describe_machine
from benchmarks.scoring.shapes import SHAPES, save_model
from benchmarks.scoring.workload import SHARED, encode_rows, load_rows, train_tokenizer
from ifcurate.engines.base import Prompt
from ifcurate.engines.hf.engine import load_hf_engine

Floats = npt.NDArray[np.float64]


def main() -> None:
    """Parse the options, measure, write and print one JSON object per model and dtype."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scoring.exactness")
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=["15M", "135M"])
    parser.add_argument("--rows", type=int, default=50)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--out", type=Path, default=HERE / "exactness.json")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    rows, _ = load_rows(options.data)
    tokenizer = train_tokenizer(rows, 16000)
    prompts = encode_rows(rows, tokenizer, options.rows)
    runs = []
    for shape in options.shapes:
        with tempfile.TemporaryDirectory() as folder:
            # One model in float32: rounding its weights is part of bfloat16's error.
            path = save_model(shape, Path(folder), tokenizer)
            truth = true_scores(path, options.device, prompts)
            for dtype in ("float32", "bfloat16"):
                measured = _measure(path, dtype, options.device, prompts, truth)
                figures = {"shape": shape, "dtype": dtype, **measured}
                print(json.dumps(figures), flush=True)
                runs.append(figures)
    result = {"machine": describe_machine(options.device), "runs": runs}
    options.out.write_text(json.dumps(result, indent=1) + "\n")


def _measure(
    path: Path, dtype: str, device: str, prompts: list[Prompt], truth: Floats
) -> dict[str, object]:
    lengths = np.array([len(p.ids) - p.response_start for p in prompts])
    engine = load_hf_engine(str(path), dtype=dtype, device=device, threads=1)

    def means(some: list[Prompt]) -> Floats:
        return np.array([a.astype(np.float64).mean() for a in engine.response_logprobs(some)])

    ours = means(prompts)
    order = np.random.default_rng(1).permutation(len(prompts))
    shuffled = np.empty(len(prompts))
    for part in np.array_split(order, 7):
        shuffled[part] = means([prompts[i] for i in part])
    alone = np.array([means([p])[0] for p in prompts])
    single = np.array(make_contender("batch-1 IFD loop", path, dtype, device)(prompts)) / lengths
    out: dict[str, object] = {"route": engine.route, "sequences": len(prompts)}
    for name, values in (("ours", ours), ("batch-1", single)):
        off = values - truth / lengths
        out[f"{name}_max"] = float(np.abs(off).max())
        out[f"{name}_rms"] = float(np.sqrt((off**2).mean()))
        gains = [v[1::2] - v[0::2] for v in (-values, -truth / lengths)]
        first, second = (g.argsort().argsort() for g in gains)
        out[f"{name}_gain_rank_correlation"] = float(np.corrcoef(first, second)[0, 1])
    moved = np.abs(np.stack([shuffled, alone]) - ours)
    out["composition_max"] = float(moved.max())
    return out


if __name__ == "__main__":
    main()
