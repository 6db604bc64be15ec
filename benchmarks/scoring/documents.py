"""Questions on long documents, together against apart: `python -m benchmarks.scoring.documents`.

Ten questions on each of 50 documents of 1,500 tokens, the context first, with answers
of 20 tokens. Together, the document is computed once for its ten questions. Apart, each
question is a separate call that shares nothing. It measures process CPU time of one
thread, in turns, ten documents at a time. The ids and weights are random, since only the
amount of work matters. It writes `documents.json` beside the other results.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scoring.contenders import Score, make_contender
from benchmarks.scoring.machine import HERE, clock, describe_machine, say, synchronise
from benchmarks.scoring.shapes import SHAPES, save_model
from benchmarks.scoring.workload import documents, load_rows, train_tokenizer
from ifcurate.engines.base import Prompt

_N_IDS = 16000


def main() -> None:
    """Parse the options, measure, print a line for each model and dtype."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scoring.documents", description=__doc__
    )
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=["15M"])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--documents", type=int, default=50)
    parser.add_argument("--length", type=int, default=1500, help="tokens of a document")
    parser.add_argument("--questions", type=int, default=10, help="on each document")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE / "documents.json")
    options = parser.parse_args()
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        torch.set_num_threads(1)
    prompts = documents(
        options.documents, _N_IDS, length=options.length, questions=options.questions
    )
    result: dict[str, Any] = {
        "machine": describe_machine(device),
        "documents": options.documents,
        "tokens_of_a_document": options.length,
        "questions": options.questions,
        "tokens": sum(len(p.ids) - 1 for p in prompts),
        "runs": [],
    }
    # No text is encoded. The model's folder needs some tokenizer.
    tokenizer = train_tokenizer(load_rows(Path())[0], 2000)
    for shape in options.shapes:
        for dtype in options.dtypes:
            with tempfile.TemporaryDirectory() as folder:
                path = save_model(shape, Path(folder), tokenizer, dtype=dtype)
                more = {"threads": 1} if device == "cpu" else {}
                score = make_contender("ifcurate", path, dtype, device, **more)
            figures = _compare(score, prompts, 10 * options.questions, options.rounds, device)
            result["runs"].append({"shape": shape, "dtype": dtype, **figures})
            print(_line(result["runs"][-1]), flush=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


def _compare(
    score: Score, prompts: list[Prompt], block: int, rounds: int, device: str
) -> dict[str, Any]:
    score(prompts[:2])  # warms up
    seconds: dict[str, list[float]] = {"together": [], "apart": []}
    furthest = 0.0
    for turn in range(rounds):
        spent = dict.fromkeys(seconds, 0.0)
        for number, start in enumerate(range(0, len(prompts), block)):
            some = prompts[start : start + block]
            scores: dict[str, list[float]] = {}
            for way in sorted(spent, reverse=bool((turn + number) % 2)):
                began = clock(device)
                if way == "together":
                    scores[way] = score(some)
                else:
                    scores[way] = [value for prompt in some for value in score([prompt])]
                synchronise(device)
                spent[way] += clock(device) - began
            n_tokens = np.array([len(p.ids) - p.response_start for p in some])
            off = (np.array(scores["together"]) - np.array(scores["apart"])) / n_tokens
            furthest = max(furthest, float(np.abs(off).max()))
        for way, took in spent.items():
            seconds[way].append(took)
        say(f"round {turn}: " + ", ".join(f"{way} {took:.1f} s" for way, took in spent.items()))
    middle = {way: float(np.median(took)) for way, took in seconds.items()}
    return {
        "seconds_together": seconds["together"],
        "seconds_apart": seconds["apart"],
        "times_faster": middle["apart"] / middle["together"],
        "largest_difference_nats_per_token": furthest,
    }


def _line(run: dict[str, Any]) -> str:
    together, apart = (float(np.median(run[f"seconds_{way}"])) for way in ("together", "apart"))
    return (
        f"{run['shape']} {run['dtype']}: together {run['times_faster']:.2f} times as fast as apart "
        f"({together:.1f} s, {apart:.1f} s); losses differ by at most "
        f"{run['largest_difference_nats_per_token']:.1e} nats per token"
    )


if __name__ == "__main__":
    main()
