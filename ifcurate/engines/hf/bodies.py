"""Three ways to get from a pack to the hidden states that predict its response tokens.

`fused`     a pass over the layers of Llama's family in `engines.cpu`
`packed`    the model's own layers, with attention over a prefix tree
`single`    the unchanged model, one sequence at a time

When the engine is made, it tries them in this order and uses the first one that gives the
numbers of `single`. A sequence that is longer than a sliding window, or than the length at
which a rotary embedding changes, always takes `single`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface

from ifcurate.engines.hf.arithmetic import Arithmetic, least_rows
from ifcurate.engines.hf.attention import attend_varlen, padded_rows, plan_varlen
from ifcurate.engines.hf.prefix_tree import Pack

_NAME: Final = "ifcurate_prefix_tree"
#: `Arithmetic.attend` or `attend_varlen` for a pack.
_ATTEND: ContextVar[Callable[..., None]] = ContextVar("ifcurate_attend")
_WINDOWS: Final = ("sliding_window", "attention_chunk_size", "window_size", "local_attention")


class SingleBody:
    """One sequence at a time through the model's own forward pass."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def hidden(self, pack: Pack) -> Tensor:
        """Last hidden states of `pack.rows`, shape (n_predicted, width)."""
        return self._forward(pack, self._model.base_model, "last_hidden_state")

    def logits(self, pack: Pack) -> Tensor:
        """The model's own logits at `pack.rows`, shape (n_predicted, vocabulary)."""
        return self._forward(pack, self._model, "logits")

    def _forward(self, pack: Pack, module: Any, name: str) -> Tensor:
        parts = []
        for i, count in enumerate(pack.counts.tolist()):
            ids = torch.from_numpy(pack.tree.ids[pack.tree.sequence_rows(i)])
            out = module(input_ids=ids[None].to(self._model.device), use_cache=False)
            parts.append(getattr(out, name)[0, len(ids) - count :])
        return torch.cat(parts)


class PackedBody:
    """All nodes of a pack in one pass through the model's own layers."""

    def __init__(self, model: Any, arithmetic: Arithmetic, *, varlen: bool = False) -> None:
        self._varlen = varlen
        self._model = model
        self._body = model.base_model
        self._arithmetic = arithmetic
        layers = (m.weight for m in self._body.modules() if isinstance(m, torch.nn.Linear))
        self._least_rows = least_rows(layers)
        AttentionInterface.register(_NAME, _tree_attention)
        AttentionMaskInterface.register(_NAME, lambda *_args, **_kwargs: None)

    def hidden(self, pack: Pack) -> Tensor:
        """Last hidden states of `pack.rows`, shape (n_predicted, width)."""
        device = self._model.device
        # A product of few rows may be rounded differently from one of many: fill up with zeros.
        extra = max(0, self._least_rows - pack.n_tokens)
        ids = torch.from_numpy(np.pad(pack.tree.ids, (0, extra))).to(device)
        positions = torch.from_numpy(np.pad(pack.tree.positions, (0, extra))).to(device)
        attend: Callable[..., None] = partial(self._arithmetic.attend, tree=pack.tree)
        if self._varlen:
            attend = partial(attend_varlen, plan=plan_varlen(pack.tree, device))
        token = _ATTEND.set(attend)
        try:
            with use_attention(self._model, _NAME):
                out = self._body(input_ids=ids[None], position_ids=positions[None], use_cache=False)
        finally:
            _ATTEND.reset(token)
        states: Tensor = out.last_hidden_state[0]
        return states[torch.from_numpy(pack.rows).to(device)]


@contextlib.contextmanager
def use_attention(model: Any, name: str) -> Iterator[None]:
    """Make the model's layers call another attention function inside the block."""
    configs = {id(m.config): m.config for m in model.modules() if hasattr(m, "config")}
    before = [(c, c._attn_implementation) for c in configs.values()]
    try:
        for config, _ in before:
            config._attn_implementation = name
        yield
    finally:
        for config, old in before:
            config._attn_implementation = old


def _tree_attention(
    module: Any,
    query: Tensor,  # (1, heads, rows, dim)
    key: Tensor,  # (1, kv_heads, rows, dim)
    value: Tensor,
    attention_mask: Tensor | None,
    **options: Any,
) -> tuple[Tensor, None]:
    if attention_mask is not None:  # `PackedBody` removes the model's common mask
        raise NotImplementedError("attention with a mask of the layer's own")
    more = {name for name, value in options.items() if isinstance(value, Tensor)}
    if more - {"position_ids"} or options.get("is_causal") is False:
        raise NotImplementedError(f"attention with {', '.join(sorted(more))}")
    _, heads, n, dim = query.shape
    kv_heads = key.shape[1]
    group = heads // kv_heads
    scaling = options.get("scaling")
    q = query[0].reshape(kv_heads, group, n, dim).transpose(1, 2).contiguous()
    k, v = (F.pad(t[0], (0, 0, 0, padded_rows(n) - n)).contiguous() for t in (key, value))
    out = query.new_zeros(n, kv_heads, group, v.shape[-1])
    scale = dim**-0.5 if scaling is None else float(scaling)
    _ATTEND.get()(q, k, v, out=out, scale=scale, cap=float(options.get("softcap") or 0.0))
    return out.view(1, n, heads, v.shape[-1]), None


def exact_length(config: Any) -> int | None:
    """Return the longest sequence with full attention and plain positions; None without a limit.

    In longer sequences a sliding window hides tokens, or a rotary embedding depends on
    the length of the sequence.
    """
    config = config.get_text_config()
    limits = _rope_limits(config)
    if getattr(config, "use_sliding_window", True):
        limits += [n for name in _WINDOWS if isinstance(n := getattr(config, name, None), int)]
    return min((n for n in limits if n > 0), default=None)


def _rope_limits(config: Any) -> list[int]:
    """Return the lengths at which the rotary embeddings of a model change."""
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None)
    if not isinstance(rope, dict):
        return []
    # One embedding for all layers, or a name for each kind of layer.
    kinds = [kind for kind in (rope, *rope.values()) if isinstance(kind, dict)]
    changing = [k for k in kinds if k.get("rope_type", k.get("type")) in ("dynamic", "longrope")]
    default = getattr(config, "original_max_position_embeddings", None)
    return [
        int(
            kind.get("original_max_position_embeddings")
            or default
            or config.max_position_embeddings
        )
        for kind in changing
    ]
