"""How much attention falls on the context, by layer.

For a response token t, layer l and head h, the share is the attention of the position that
predicts t, summed over the context's tokens. Figure 3b of Goyal et al. (ICLR 2025) plots
its mean over heads by layer, over the checkpoints of a run. The score of Wang et al. (2024, arXiv
2411.02688) is the largest head at one layer. Both are averaged over the response's tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ifcurate.engines.base import Tokenizer
from ifcurate.prompts.pairs import build_prompts
from ifcurate.prompts.places import find_context_tokens
from ifcurate.prompts.templates import Template
from ifcurate.records import Example

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ContextAttention:
    """Shares in [0, 1] of one example, each (n_layers,)."""

    id: str
    mean_head: FloatArray
    largest_head: FloatArray


def measure_attention(
    model: Any, tokenizer: Tokenizer, template: Template, examples: Sequence[Example]
) -> list[ContextAttention]:
    """Return the attention on each example's context; examples without a context are left out.

    `model` is from transformers. The response of each example is read, not generated. Raises
    `ModelError` for a model whose layers give no attention.
    """
    from ifcurate.engines.hf.watching import attention_shares

    prompts = build_prompts(examples, template, tokenizer)
    spans = {
        i: span
        for i, example in enumerate(examples)
        if example.has_context
        and (span := find_context_tokens(example, prompts[i], template, tokenizer))
    }
    shares = attention_shares(model, [prompts[i] for i in spans], list(spans.values()))
    return [
        ContextAttention(
            examples[i].id,
            own.mean(axis=(1, 2), dtype=np.float64),
            own.max(axis=1).mean(axis=1, dtype=np.float64),
        )
        for i, own in zip(spans, shares, strict=True)
    ]
