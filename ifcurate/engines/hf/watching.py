"""The share of attention that falls on some tokens, by layer, head and response token.

The layers' own attention runs with its weights as a matrix ("eager" in transformers). A hook
sums each matrix over the watched columns and drops it, so memory holds one matrix at a time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.nn.utils.rnn import pad_sequence

from ifcurate.engines.base import Prompt, Span
from ifcurate.engines.hf.bodies import use_attention
from ifcurate.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Shares = npt.NDArray[np.float32]

_ROWS: Final = 16  # most prompts of a forward pass
_CELLS: Final = 1 << 22  # rows * tokens * tokens: the size of one head's matrix


def attention_shares(
    model: Any, prompts: Sequence[Prompt], spans: Sequence[Sequence[Span]]
) -> list[Shares]:
    """Return the share of each prompt's attention that falls on its spans of tokens.

    Each is (n_layers, n_heads, n_response_tokens), from the positions that predict the response
    tokens. `model` is from transformers, in any mode. Raises `ModelError` for a model whose
    layers give no attention.
    """
    shares: list[Any] = [None] * len(prompts)
    training = model.training
    model.eval()
    try:
        with torch.inference_mode(), use_attention(model, "eager"):
            for rows in _batches(prompts):
                batch = _run(model, [prompts[i] for i in rows], [spans[i] for i in rows])
                for i, share in zip(rows, batch, strict=True):
                    shares[i] = share
    except (AttributeError, NotImplementedError, KeyError) as error:
        raise ModelError(
            f"attention: this model does not run with eager attention; found "
            f"{type(error).__name__}: {error}; use --method loss"
        ) from error
    finally:
        model.train(training)
    return shares


def _batches(prompts: Sequence[Prompt]) -> Iterator[list[int]]:
    """Prompts of similar length, as many as fit."""
    batch: list[int] = []
    for i in sorted(range(len(prompts)), key=lambda i: len(prompts[i].ids)):
        cells = (len(batch) + 1) * len(prompts[i].ids) ** 2
        if batch and (len(batch) == _ROWS or cells > _CELLS):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _run(
    model: Any, prompts: Sequence[Prompt], spans: Sequence[Sequence[Span]]
) -> Iterator[Shares]:
    ids = pad_sequence([torch.tensor(list(p.ids)) for p in prompts], batch_first=True)
    ones = [torch.ones(len(p.ids), dtype=torch.long) for p in prompts]
    mask = pad_sequence(ones, batch_first=True)
    watched = torch.zeros_like(ids, dtype=torch.bool)
    for row, of_prompt in enumerate(spans):
        for first, end in of_prompt:
            watched[row, first:end] = True
    device = model.device
    with _watch(model, watched.to(device)) as layers:
        model(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False)
    if not layers:
        raise ModelError("attention: no layer of this model gives its attention; use --method loss")
    stacked = torch.stack([layers[n] for n in sorted(layers)])  # (layers, rows, heads, positions)
    for row, prompt in enumerate(prompts):
        own_share = stacked[:, row, :, prompt.response_start - 1 : len(prompt.ids) - 1]
        yield own_share.numpy()


@contextlib.contextmanager
def _watch(model: Any, watched: torch.Tensor) -> Iterator[dict[int, torch.Tensor]]:
    """Layer -> the sum over the watched columns of its attention, (rows, heads, positions)."""
    sums: dict[int, torch.Tensor] = {}

    def look(module: Any, _given: Any, out: Any) -> None:
        weights = out[1] if isinstance(out, tuple) and len(out) > 1 else None
        if weights is not None and getattr(weights, "ndim", 0) == 4:
            columns = watched[:, None, None, : weights.shape[-1]]
            sums[int(module.layer_idx)] = (weights.float() * columns).sum(-1).cpu()

    modules = [m for m in model.modules() if isinstance(getattr(m, "layer_idx", None), int)]
    hooks = [m.register_forward_hook(look) for m in modules]
    try:
        yield sums
    finally:
        for hook in hooks:
            hook.remove()
