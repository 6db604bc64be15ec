"""The truth that engines are held to: float64, one sequence, every step spelled out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.overrides import TorchFunctionMode

from ifcurate.engines.base import Engine, Prompt
from ifcurate.scoring.parity import Parity, Reference

__all__ = [
    "check_parity",
    "load_reference",
    "make_prompts",
    "naive_logprobs",
    "reference_logprobs",
    "worst_difference",
]


def check_parity(
    engine: Engine,
    reference_engine: Engine,
    prompts: Sequence[Prompt],
    *,
    tolerance: float | None = None,
) -> Parity:
    """Compare two engines on prompts, which are named row-0, row-1, ..."""
    logprobs = tuple(reference_engine.response_logprobs(prompts))
    rows = tuple(f"row-{i}" for i in range(len(prompts)))
    reference = Reference(reference_engine.identity, rows, tuple(prompts), logprobs)
    return reference.check(engine, tolerance=tolerance)


class Float64(TorchFunctionMode):
    """Whatever asks torch for float32 gets float64: norms, rotary tables and softmax do."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        func = torch.Tensor.double if func is torch.Tensor.float else func
        more = {name: _wide(value) for name, value in (kwargs or {}).items()}
        return func(*map(_wide, args), **more)


def _wide(value: Any) -> Any:
    return torch.float64 if value is torch.float32 else value


def load_reference(folder: Path) -> Any:
    """The model of a folder in float64 throughout, with plain attention."""
    from transformers import AutoModelForCausalLM

    from ifcurate.engines.hf.quiet import quiet

    with quiet(), Float64():
        model = AutoModelForCausalLM.from_pretrained(
            folder, attn_implementation="eager", dtype=torch.float64
        ).eval()
    narrow = [n for n, t in model.state_dict(keep_vars=True).items() if t.dtype != torch.float64]
    narrow += [n for n, t in model.named_buffers() if t.dtype == torch.float32]
    assert not narrow, narrow
    return model


def reference_logprobs(model: Any, prompt: Prompt) -> npt.NDArray[np.float64]:
    """Log-probability of each response token, shape (n_response_tokens,), nats."""
    ids = torch.tensor([list(prompt.ids)])
    with torch.no_grad(), Float64():
        logits = model(input_ids=ids, use_cache=False).logits[0]  # (n_tokens, vocabulary)
    assert logits.dtype == torch.float64
    found = []
    for position in range(prompt.response_start, len(prompt.ids)):
        row = logits[position - 1].numpy()
        top = row.max()
        total = top + np.log(np.exp(row - top).sum())
        found.append(row[prompt.ids[position]] - total)
    return np.array(found, dtype=np.float64)


def naive_logprobs(folder: Path, prompts: Sequence[Prompt]) -> list[npt.NDArray[np.float32]]:
    """What the model itself gives in float32, one sequence at a time."""
    from transformers import AutoModelForCausalLM

    from ifcurate.engines.hf.quiet import quiet

    with quiet():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    naive = []
    for prompt in prompts:
        ids, first = torch.tensor([list(prompt.ids)]), prompt.response_start
        with torch.no_grad():
            logits = model(input_ids=ids, use_cache=False).logits[0, first - 1 : -1]
        response = logits.log_softmax(-1).gather(1, ids[0, first:, None])
        naive.append(response[:, 0].numpy())
    return naive


def make_prompts(
    n: int, n_ids: int, *, seed: int = 0, longest: int = 60, share: float = 0.5
) -> list[Prompt]:
    """Prompts of random ids; about `share` of them continue a prefix of an earlier one."""
    rng = np.random.default_rng(seed)
    prompts: list[Prompt] = []
    for _ in range(n):
        ids: list[int] = []
        if prompts and rng.random() < share:
            earlier = prompts[int(rng.integers(len(prompts)))].ids
            ids = list(earlier[: int(rng.integers(1, len(earlier) + 1))])[: longest // 2]
        n_prompt = int(rng.integers(1, longest // 2))
        n_response = int(rng.integers(1, longest // 2))
        ids += rng.integers(2, n_ids, size=n_prompt).tolist()
        start = len(ids)
        ids += rng.integers(2, n_ids, size=n_response).tolist()
        prompts.append(Prompt(ids=tuple(ids), response_start=start))
    return prompts


def worst_difference(
    found: Sequence[npt.NDArray[np.floating[Any]]], truth: Sequence[npt.NDArray[np.floating[Any]]]
) -> float:
    """The largest difference of one response's mean, nats per token."""
    pairs = zip(found, truth, strict=True)
    return max(
        abs(float(np.mean(np.asarray(a, np.float64) - np.asarray(b, np.float64)))) for a, b in pairs
    )
