"""The network of `ifcurate.contexts.model` in torch, and how it is fitted.

The parameters have the names and the shapes of the arrays in `weights.npz`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import embedding_bag, pad

from ifcurate.contexts.model import N_WORDS, Weights

N_NETWORKS = 3
WIDTH, HIDDEN, WORD, LAYERS = 64, 64, 8, 2
DROPOUT = 0.6
EPOCHS, BATCH, RATE = 12, 16, 2e-3
PENALTY, PENALTY_OF_WORDS = 1e-4, 1e-3


@dataclass(frozen=True)
class Example:
    """The units and the runs of one prompt."""

    units: NDArray[np.float32]  # units x features
    words: list[list[int]]  # of each unit
    ends: list[list[int]]
    first: NDArray[np.intp]  # of each run
    stop: NDArray[np.intp]
    right: NDArray[np.bool_]  # "no context", then the runs
    costly: NDArray[np.bool_]  # a part of the request is cut, or there is no context
    weight: float


class Network(torch.nn.Module):
    """One network; `forward` returns the scores of the runs and of "no context"."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        n_inputs = n_features + 2 * WORD
        shapes = {
            "words": (N_WORDS, WORD),
            "ends": (N_WORDS, WORD),
            "input": (n_inputs, WIDTH),
            "input bias": (WIDTH,),
            "layers": (LAYERS, 4 * WIDTH, WIDTH),
            "layer biases": (LAYERS, WIDTH),
            "run": (6, WIDTH, HIDDEN),
            "run bias": (HIDDEN,),
            "run score": (HIDDEN,),
            "none": (2 * WIDTH, HIDDEN),
            "none bias": (HIDDEN,),
            "none score": (HIDDEN,),
            "none base": (),
        }
        values = {}
        for name, shape in shapes.items():
            values[name] = torch.zeros(shape)
            if name in ("words", "ends"):
                values[name].normal_(std=0.1)
            elif len(shape) > 1:
                values[name].uniform_(-1, 1).div_(math.sqrt(shape[-2]))
        self.values = torch.nn.ParameterDict(values)
        self.drop = torch.nn.Dropout(DROPOUT)

    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the scores (runs of all prompts,) and (prompts,)."""
        w, drop = self.values, self.drop
        of_words = embedding_bag(batch.words, w["words"], batch.word_offsets, mode="mean")
        of_ends = embedding_bag(batch.ends, w["ends"], batch.end_offsets, mode="sum")
        inputs = torch.cat([batch.units, drop(of_words), drop(of_ends)], 1)
        n_prompts, longest = len(batch.n_units), int(batch.n_units.max())
        # h is (prompts, units + 2, width): zeros at both ends, and where a prompt has fewer units
        h = torch.zeros(n_prompts, longest + 2, WIDTH)
        h[batch.prompt, batch.place + 1] = torch.relu(inputs @ w["input"] + w["input bias"])
        is_unit = torch.zeros(n_prompts, longest, 1)
        is_unit[batch.prompt, batch.place] = 1
        n = batch.n_units[:, None].float()
        for layer, bias in zip(w["layers"], w["layer biases"], strict=True):
            whole = (h.sum(1) / n)[:, None].expand(-1, longest, -1)
            near = drop(torch.cat([h[:, :-2], h[:, 1:-1], h[:, 2:], whole], 2))
            h = pad((h[:, 1:-1] + torch.relu(near @ layer + bias)) * is_unit, (0, 0, 1, 1))
        h = drop(h)
        total = pad(h[:, 1:-1].cumsum(1), (0, 0, 1, 0))
        at, first, stop = batch.prompt_of_run, batch.first, batch.stop
        n_inside = (stop - first)[:, None].float()
        inside = total[at, stop] - total[at, first]
        outside = (total[at, -1] - inside) / (n[at] - n_inside).clamp(min=1)
        before, begins, ends, after, within, without = w["run"]
        hidden = (h @ before)[at, first] + (h @ begins)[at, first + 1] + (h @ ends)[at, stop]
        hidden = hidden + (h @ after)[at, stop + 1]
        hidden = hidden + (inside / n_inside) @ within + outside @ without
        runs = torch.relu(hidden + w["run bias"]) @ w["run score"]
        whole = torch.cat([total[:, -1] / n, h.max(1)[0]], 1)
        none = torch.relu(whole @ w["none"] + w["none bias"]) @ w["none score"] + w["none base"]
        return runs, none

    def penalty(self, batch: Batch) -> torch.Tensor:
        """Return the quadratic penalty; of the words, those in the batch count."""
        w = self.values
        total = torch.zeros(())
        for name, values in w.items():
            if name in ("words", "ends"):
                rows = torch.unique(batch.words if name == "words" else batch.ends)
                total = total + PENALTY_OF_WORDS * (values[rows] ** 2).sum()
            else:
                total = total + PENALTY * (values**2).sum()
        return total


class Batch:
    """The examples of one step, as tensors."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.units = torch.from_numpy(np.concatenate([e.units for e in examples]))
        self.words, self.word_offsets = _bags([row for e in examples for row in e.words])
        self.ends, self.end_offsets = _bags([row for e in examples for row in e.ends])
        self.n_units = torch.tensor([len(e.units) for e in examples])
        self.prompt = torch.arange(len(examples)).repeat_interleave(self.n_units)
        self.place = torch.cat([torch.arange(len(e.units)) for e in examples])
        self.n_runs = [len(e.first) for e in examples]
        self.prompt_of_run = torch.arange(len(examples)).repeat_interleave(
            torch.tensor(self.n_runs)
        )
        self.first = torch.from_numpy(np.concatenate([e.first for e in examples]))
        self.stop = torch.from_numpy(np.concatenate([e.stop for e in examples]))


def _bags(rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    sizes = torch.tensor([len(row) for row in rows])
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), sizes.cumsum(0)[:-1]])
    return torch.tensor([number for row in rows for number in row], dtype=torch.long), offsets


def fit_network(examples: Sequence[Example], seed: int, epochs: int = EPOCHS) -> Weights:
    """Fit one network; a costly mistake counts as a nat more probable than it is."""
    torch.manual_seed(seed)
    order, rng = list(range(len(examples))), random.Random(seed)
    network = Network(examples[0].units.shape[1])
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    n_steps, step = epochs * math.ceil(len(order) / BATCH), 0
    for _ in range(epochs):
        rng.shuffle(order)
        for at in range(0, len(order), BATCH):
            chosen = [examples[k] for k in order[at : at + BATCH]]
            batch = Batch(chosen)
            runs, none = network(batch)
            loss = network.penalty(batch)
            for k, (e, scores) in enumerate(
                zip(chosen, torch.split(runs, batch.n_runs), strict=True)
            ):
                all_scores = torch.cat([none[k : k + 1], scores])
                all_scores = all_scores + torch.from_numpy(e.costly.astype(np.float32))
                loss = loss + e.weight / BATCH * _surprise(all_scores, torch.from_numpy(e.right))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            step += 1
            optimizer.param_groups[0]["lr"] = RATE * (1 - step / n_steps) + 1e-5
    return {name: value.detach().numpy() for name, value in network.values.items()}


def _surprise(scores: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return minus the logarithm of the probability of the right candidates."""
    return torch.logsumexp(scores, 0) - torch.logsumexp(scores[right], 0)


def fit_networks(examples: Sequence[Example], n: int = N_NETWORKS, epochs: int = EPOCHS) -> Weights:
    """Fit several networks from different random numbers; the first axis is the network."""
    fitted = [fit_network(examples, seed, epochs) for seed in range(n)]
    return {name: np.stack([weights[name] for weights in fitted]) for name in fitted[0]}
