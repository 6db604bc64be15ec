"""The options of `finetune`: the model, what is updated, and how long."""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from ifcurate.options.base import Options, Seed, needs, option, same_as
from ifcurate.options.evaluate import EvaluateOptions
from ifcurate.options.score import MODEL

Update = Literal["full", "qk", "lora", "lora-qk"]
OPTIONS: Final = "Options"
EVALUATION: Final = "Evaluation during the run"


class FinetuneOptions(Options):
    """How a model is finetuned on a mixture."""

    step: ClassVar[str] = "finetune"
    panel: ClassVar[str] = "Training"

    model: str = option(..., MODEL, panel=OPTIONS, metavar="NAME", common=True)
    update: Update = option(
        "full",
        "Which weights are trained: all, the query and key projections, adapters on all layers, or "
        "adapters on queries and keys.",
        panel=OPTIONS,
        common=True,
    )
    template: str = option(
        "auto",
        "Template of the rows: use the one that scored them.",
        metavar="NAME|FILE",
        panel=OPTIONS,
        common=True,
    )
    rate: float = option(1e-5, "Learning rate.", gt=0, common=True)
    epochs: float = option(1.0, "Passes over the rows.", gt=0, common=True)
    max_steps: int | None = option(None, "Optimiser steps, instead of epochs.", ge=1)
    batch_size: int = option(32, "Rows per optimiser step.", ge=1)
    rows_at_once: int | None = option(None, "Rows per forward pass; batch_size by default.", ge=1)
    warm_up: int = option(10, "Steps over which the rate rises; fewer in a short run.", ge=0)
    decay_fraction: float = option(
        0.25, "Share of the steps, at the end, over which the rate falls to 0.", ge=0, le=1
    )
    lora_rank: int = option(128, "Rank of the adapters.", ge=1)
    dtype: Literal["bfloat16", "float32"] = option(
        "bfloat16", "Number format of the matrix products. Weights are float32."
    )
    save_every: int = option(
        50,
        "Steps between two checkpoints. With 0, only the final model is saved.",
        ge=0,
        common=True,
    )
    seed: Seed = option(0, "Seed of the order of the rows.")
    evaluate_suite: tuple[str, ...] = option(
        (),
        "Suite to evaluate at each checkpoint. May be repeated.",
        panel=EVALUATION,
        metavar="NAME|FILE",
    )
    evaluate_limit: int | None = same_as(EvaluateOptions, "limit", panel=EVALUATION)
    stop_after: int | None = option(
        None,
        "Stop after N checkpoints in a row with counterfactual accuracy below the best.",
        panel=EVALUATION,
        ge=1,
    )

    def _refuse(self) -> None:
        needs(self, "stop_after", bool(self.evaluate_suite), "--evaluate-suite")
        needs(self, "evaluate_limit", bool(self.evaluate_suite), "--evaluate-suite")
        needs(self, "epochs", self.max_steps is None, "runs without --max-steps")
        needs(self, "lora_rank", self.update.startswith("lora"), "--update lora and lora-qk")
        if self.rows_at_once and self.batch_size % self.rows_at_once:
            raise ValueError(f"rows_at_once must divide batch_size ({self.batch_size})")
        if self.evaluate_suite and not self.save_every:
            raise ValueError("evaluate_suite needs checkpoints; set save_every to 1 or more")
