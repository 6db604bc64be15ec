"""Settings of a finetuning run: weights, learning rate and length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Update = Literal["full", "qk", "lora", "lora-qk"]


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """All settings of a finetuning run except its rows and its model."""

    update: Update = "full"
    rate: float = 1e-5
    epochs: float = 1.0
    max_steps: int = -1  # optimiser steps; -1 for as many as the epochs have
    batch_size: int = 32  # rows per optimiser step
    rows_at_once: int = 32  # rows per forward pass; divides batch_size
    warm_up: int = 10  # steps over which the rate rises to `rate`
    decay_fraction: float = 0.25  # of the steps: over these the rate falls to 0; 0 for never
    clip: float = 1.0  # the largest norm of a step's gradient
    lora_rank: int = 128
    bf16: bool = True  # compute in bfloat16 over float32 weights
    seed: int = 0
