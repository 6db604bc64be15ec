"""The share of attention on some tokens: against the model's own matrices, in any batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ifcurate.engines.base import Prompt
from ifcurate.engines.hf.watching import attention_shares
from ifcurate.pocket import model_path
from tests.models import ModelKind, make_model

PROMPTS = [Prompt([1, *range(20, 20 + n)], n - 2) for n in (6, 30, 12)]
SPANS = [[(1, 3)], [(4, 9), (12, 20)], [(2, 8)]]


@pytest.fixture(scope="module")
def model() -> Any:
    from transformers import AutoModelForCausalLM

    from ifcurate.engines.hf.quiet import quiet

    with quiet():
        return AutoModelForCausalLM.from_pretrained(model_path(), attn_implementation="sdpa")


def test_shares_are_sums_over_the_models_own_matrices(model: Any) -> None:
    import torch

    found = attention_shares(model, PROMPTS, SPANS)
    assert model.config._attn_implementation == "sdpa"  # as before
    model.set_attn_implementation("eager")
    for prompt, spans, shares in zip(PROMPTS, SPANS, found, strict=True):
        with torch.inference_mode():
            layers = model(
                input_ids=torch.tensor([list(prompt.ids)]), output_attentions=True
            ).attentions
        rows = slice(prompt.response_start - 1, len(prompt.ids) - 1)
        wanted = [sum(layer[0, :, rows, a:b].sum(-1) for a, b in spans) for layer in layers]
        np.testing.assert_allclose(
            shares, torch.stack(wanted).numpy(), atol=1e-5
        )  # rows alone and in a batch
    model.set_attn_implementation("sdpa")


@pytest.mark.parametrize("kind", ["gpt-neox", "gpt2", "gemma2"])
def test_all_tokens_together_get_all_attention(kind: ModelKind, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    from ifcurate.engines.hf.quiet import quiet

    with quiet():
        model = AutoModelForCausalLM.from_pretrained(make_model(kind, tmp_path / kind))
    (shares,) = attention_shares(model, PROMPTS[:1], [[(0, len(PROMPTS[0].ids))]])
    assert shares.shape == (2, 4, 3)  # layers, heads, response tokens
    np.testing.assert_allclose(shares, 1.0, atol=1e-5)
