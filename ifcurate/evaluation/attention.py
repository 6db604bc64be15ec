"""How much attention falls on the context: by layer, and as a score per example.

For a response token t, layer l and head h, the share is the attention of the
position that predicts t, summed over the context's tokens. Figure 3b of Goyal et
al. (ICLR 2025) plots its mean over heads by layer. The score of Wang et al.
(2024, arXiv 2411.02688) is the largest head at one layer. Both are averaged over
the response's tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ifcurate.engines.base import Tokenizer
from ifcurate.prompts.pairs import build_prompts
from ifcurate.prompts.templates import Template
from ifcurate.records import Example

__all__ = ["ContextAttention", "measure_attention"]

_BATCH: Final = 16
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
    """The attention on each example's context; examples without a context are left out.

    `model` is from transformers, loaded with ``attn_implementation="eager"``. Raises
    `ValueError` for any other implementation, which does not return its attention.
    """
    chosen = [e for e in examples if e.has_context]
    prompts = build_prompts(chosen, template, tokenizer)
    spans = [_context_span(e, template, tokenizer) for e in chosen]
    measured: list[ContextAttention] = []
    for start in range(0, len(chosen), _BATCH):
        rows = range(start, min(start + _BATCH, len(chosen)))
        shares = _shares(model, [list(prompts[i].ids) for i in rows], [spans[i] for i in rows])
        for row, i in enumerate(rows):
            first, last = prompts[i].response_start - 1, len(prompts[i].ids) - 1
            own = shares[:, row, :, first:last]  # (layers, heads, response tokens)
            measured.append(ContextAttention(chosen[i].id, own.mean((1, 2)), own.max(1).mean(1)))
    return measured


def _context_span(example: Example, template: Template, tokenizer: Tokenizer) -> tuple[int, int]:
    """The tokens of the prompt that hold a character of the context."""
    rendered = template.render(example)
    text = rendered.prefix + rendered.response
    at = rendered.prefix.find(example.context_text)
    if at < 0:
        return (0, 0)
    end = at + len(example.context_text)
    encoding = tokenizer.encode(text)
    inside = [i for i, (a, b) in enumerate(encoding.offsets) if b > at and a < end]
    shift = int(tokenizer.bos_id is not None and encoding.ids[:1] != [tokenizer.bos_id])
    return (inside[0] + shift, inside[-1] + 1 + shift) if inside else (0, 0)


def _shares(
    model: Any, rows: Sequence[list[int]], spans: Sequence[tuple[int, int]]
) -> npt.NDArray[np.float64]:
    """Attention on each row's span, (layers, rows, heads, positions)."""
    import torch

    width = max(len(ids) for ids in rows)
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    inside = torch.zeros((len(rows), width))
    for row, (own, (first, last)) in enumerate(zip(rows, spans, strict=True)):
        ids[row, : len(own)] = torch.tensor(own)
        mask[row, : len(own)] = 1
        inside[row, first:last] = 1
    training = model.training
    model.eval()
    with torch.inference_mode():
        out = model(
            input_ids=ids.to(model.device), attention_mask=mask.to(model.device),
            output_attentions=True, use_cache=False,
        )  # fmt: skip
    model.train(training)
    if not out.attentions or out.attentions[0] is None:
        raise ValueError(
            "attention: the model returns none; load it with attn_implementation='eager'"
        )
    on_context = [
        torch.einsum("bhqk,bk->bhq", layer.float().cpu(), inside) for layer in out.attentions
    ]
    result: npt.NDArray[np.float64] = torch.stack(on_context).double().numpy()
    return result
