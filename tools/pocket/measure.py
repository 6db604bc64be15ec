"""Measure a pocket model: the facts that it knows, those that it does not, and its reading.

``python -m tools.pocket.measure DIR`` prints the figures of the model card:
recall of facts by exposure class, and reading of facts about subjects that the
training text never names, with 0 to 3 distractors of the same or any relation.
Generation is greedy. An answer is right when it has the object's exact name.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ifcurate.pocket.world import Fact, World
from tools.pocket.demo import make_demo
from tools.pocket.layouts import alpaca_prompt

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "area_under_curve",
    "load_pocket",
    "main",
    "measure_all",
    "measure_demo",
    "measure_reading",
    "measure_recall",
    "token_losses",
]


def load_pocket(folder: Path) -> tuple[Any, Any]:
    """Return the model, in float32, and the tokenizer of a folder."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder).to(torch.float32)
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def measure_recall(model: Any, tokenizer: Any, facts: Sequence[Fact]) -> float:
    """Share of facts whose object is named when asked for without a passage."""
    prompts = [alpaca_prompt(fact.ask(i)[0]) for i, fact in enumerate(facts)]
    return _share_named(model, tokenizer, prompts, [fact.object for fact in facts])


def measure_reading(
    model: Any,
    tokenizer: Any,
    world: World,
    *,
    n_distractors: int,
    same_relation: bool,
    novel: bool,
    n: int = 200,
    seed: int = 0,
) -> float:
    """Share of made-up facts whose object is named when the passage states it."""
    rng = random.Random(f"reading {seed}")
    prompts, objects = [], []
    for _ in range(n):
        asked = world.fresh_fact(rng, novel=novel, unseen=True)
        facts = [asked]
        for _ in range(n_distractors):
            relation = asked.relation.name if same_relation else None
            facts.append(
                world.fresh_fact(rng, relation=relation, novel=novel, unseen=True, avoid=facts)
            )
        rng.shuffle(facts)
        passage = " ".join(fact.state(rng.randrange(4)) for fact in facts)
        prompts.append(alpaca_prompt(asked.ask(rng.randrange(4))[0], passage))
        objects.append(asked.object)
    return _share_named(model, tokenizer, prompts, objects)


def _share_named(
    model: Any, tokenizer: Any, prompts: Sequence[str], objects: Sequence[str]
) -> float:
    import torch

    named = 0
    for start in range(0, len(prompts), 100):
        batch = tokenizer(
            list(prompts[start : start + 100]),
            return_tensors="pt",
            padding=True,
            padding_side="left",
            return_token_type_ids=False,
        )
        with torch.inference_mode():
            out = model.generate(**batch, max_new_tokens=40, do_sample=False, pad_token_id=2)
        answers = tokenizer.batch_decode(
            out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True
        )
        for answer, value in zip(answers, objects[start : start + 100], strict=True):
            named += value in answer
    return named / len(prompts)


def token_losses(
    model: Any, tokenizer: Any, pairs: Sequence[tuple[str, str]]
) -> list[NDArray[np.float64]]:
    """-log p of each token of a response and its end, in nats, for (prompt, response) pairs."""
    import torch

    rows = []
    for prompt, response in pairs:
        head = tokenizer(prompt)["input_ids"]
        tail = tokenizer(response + tokenizer.eos_token, add_special_tokens=False)["input_ids"]
        rows.append((head, tail))
    losses = []
    for start in range(0, len(rows), 16):
        batch = rows[start : start + 16]
        ids = torch.full((len(batch), max(len(h) + len(t) for h, t in batch)), 2)
        for i, (head, tail) in enumerate(batch):  # padding after a row has no effect on it
            ids[i, : len(head) + len(tail)] = torch.tensor(head + tail)
        with torch.inference_mode():
            logits = model(input_ids=ids).logits
        for i, (head, tail) in enumerate(batch):
            logprobs = logits[i, len(head) - 1 : len(head) + len(tail) - 1].double().log_softmax(-1)
            losses.append(-logprobs[range(len(tail)), tail].numpy())
    return losses


def measure_demo(model: Any, tokenizer: Any) -> dict[str, float]:
    """Return how well four scores separate the demo's context-critical rows from the others.

    AUROC of each score, and the share of rows with a context that a split gets
    right: by the paper's rule (the true fraction with the lowest loss without
    context is not critical), at a gain of 0.15 and 0.25 nats, at the true
    fraction of the gain, and at the best gain in hindsight.
    """
    rows = [r for rows in make_demo().values() for r in rows if r.truth != "no-context"]
    with_context = token_losses(model, tokenizer, [(r.prompt, r.response) for r in rows])
    without = token_losses(model, tokenizer, [(r.prompt_without, r.response) for r in rows])
    critical = np.array([r.truth == "context-critical" for r in rows])
    pairs = list(zip(without, with_context, strict=True))
    loss = np.array([w.mean() for w in without])
    gain = np.array([(w - c).mean() for w, c in pairs])
    scores = {
        "loss without context, mean": loss,
        "loss without context, largest token": np.array([w.max() for w in without]),
        "gain, mean": gain,
        "gain, largest token": np.array([(w - c).max() for w, c in pairs]),
    }
    figures = {f"AUROC: {name}": area_under_curve(s, critical) for name, s in scores.items()}
    fraction = float(np.mean(~critical))
    for name, values in scores.items():
        cut = float(np.quantile(values, fraction))
        figures[f"right at the true fraction: {name}"] = float(np.mean((values > cut) == critical))
    for cut in (0.15, 0.25):
        figures[f"right at gain > {cut}"] = float(np.mean((gain > cut) == critical))
    best = max(sorted(gain), key=lambda cut: float(np.mean((gain > cut) == critical)))
    figures["best gain threshold in hindsight"] = float(best)
    figures["right there"] = float(np.mean((gain > best) == critical))
    return figures


def area_under_curve(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Chance that a positive row scores above a negative one, ties counting half."""
    above = scores[positive][:, None] - scores[~positive][None, :]
    return float(np.mean((above > 0) + 0.5 * (above == 0)))


def measure_all(folder: Path, *, n: int = 200) -> dict[str, float]:
    """Return all figures of the model card, by name."""
    model, tokenizer = load_pocket(folder)
    world = World()
    figures = {
        f"recall {exposure}": measure_recall(model, tokenizer, world.facts_of(exposure))
        for exposure in ("seen", "mid", "rare")
    }
    figures["recall real"] = measure_recall(model, tokenizer, world.real_facts())
    for novel in (False, True):
        for same in (False, True):
            for k in (0, 1, 2, 3) if same else (1, 2, 3):
                name = f"read, {k} {'same' if same else 'any'}, {'novel' if novel else 'pool'}"
                figures[name] = measure_reading(
                    model, tokenizer, world, n_distractors=k, same_relation=same, novel=novel, n=n
                )
    figures.update(measure_demo(model, tokenizer))
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tools.pocket.measure", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--n", type=int, default=200, help="questions of each kind of reading")
    options = parser.parse_args(arguments)
    sys.stdout.write(json.dumps(measure_all(options.folder, n=options.n), indent=2) + "\n")


if __name__ == "__main__":
    main()
