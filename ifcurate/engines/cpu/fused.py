"""The decoder of Llama's family in as few passes over memory as its mathematics needs.

    a = x + W_o attention(rope(W_qkv norm(x)))
    y = a + W_down (silu(W_gate norm(a)) * W_up norm(a))

The weights are the model's own. Query, key and value matrices, and those of gate and up,
are laid out one after another, and the model's modules become views of them, so memory
holds them once. Sums are computed inside the matrix products; `kernels` does the rest in
one pass each. After its attention, the last layer computes the requested rows only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from ifcurate.engines.hf.arithmetic import least_rows
from ifcurate.engines.hf.attention import LANES, padded_rows
from ifcurate.engines.hf.prefix_tree import Pack

#: Families whose layers are exactly the equations above (checked by numbers as well).
_FAMILIES: Final = ("llama", "mistral", "qwen2", "qwen3")


@dataclass(frozen=True, slots=True)
class _Layer:
    norm_1: Tensor  # (width,) float32
    qkv: Tensor  # (q + k + v, width)
    qkv_bias: Tensor | None
    q_norm: Tensor | None  # (dim,) float32
    k_norm: Tensor | None
    out: Tensor  # (width, q)
    out_bias: Tensor | None
    norm_2: Tensor
    gate_up: Tensor  # (2 * inner, width)
    down: Tensor  # (width, inner)
    scale: float  # scale of the scores


def fuse_decoder(model: Any, kernels: Any) -> FusedDecoder | None:
    """Return the fast decoder of a model; None if the model has another architecture or shape.

    `kernels` are `ifcurate.engines.cpu.kernels.Kernels`.
    """
    config = model.config
    body = model.base_model
    if config.model_type not in _FAMILIES or not hasattr(body, "rotary_emb"):
        return None
    if getattr(config, "hidden_act", "") != "silu" or getattr(config, "mlp_bias", False):
        return None
    sizes = (body.layers[0].self_attn.head_dim, config.hidden_size, config.intermediate_size)
    if any(n % (2 * LANES) for n in sizes):
        return None
    return FusedDecoder(model, kernels)


class FusedDecoder:
    """Hidden states of the requested rows of a pack, after the final norm."""

    def __init__(self, model: Any, kernels: Any) -> None:
        config, body = model.config, model.base_model
        self._body = body
        self._kernels = kernels
        self._eps = float(config.rms_norm_eps)
        self._width = int(config.hidden_size)
        self._inner = int(config.intermediate_size)
        self._kv_heads = int(config.num_key_value_heads)
        self._group = int(config.num_attention_heads) // self._kv_heads
        first = body.layers[0].self_attn
        self._dim = int(first.head_dim)
        self._layers = [self._read(layer) for layer in body.layers]
        self._final = self._norm_weight(body.norm)
        first_layer = self._layers[0]
        self._least_rows = least_rows(
            (first_layer.qkv, first_layer.out, first_layer.gate_up, first_layer.down)
        )
        self._table: tuple[Tensor, Tensor] | None = None
        self._space: dict[str, Tensor] = {}

    def hidden(self, pack: Pack) -> Tensor:
        """Last hidden states of `pack.rows`, shape (n_predicted, width)."""
        device = self._layers[0].qkv.device
        tree = pack.tree
        # Rows of zeros after the tokens, because few rows may be multiplied differently from many.
        n = max(pack.n_tokens, self._least_rows)
        extra = n - pack.n_tokens
        ids = torch.from_numpy(np.pad(tree.ids, (0, extra))).to(device)
        positions = torch.from_numpy(np.pad(tree.positions, (0, extra))).to(device)
        cosine, sine = self._rotation(positions, tree.longest)
        rows = torch.from_numpy(pack.rows).to(device)
        x = self._body.embed_tokens(ids)
        heads = self._kv_heads * self._group
        normed = self._buffer("normed", n, self._width)
        qkv = self._buffer("qkv", n, (heads + 2 * self._kv_heads) * self._dim)
        q = self._buffer("q", self._kv_heads, n, self._group, self._dim)
        k = self._buffer("k", self._kv_heads, padded_rows(n), self._dim)
        v = self._buffer("v", self._kv_heads, padded_rows(n), self._dim)
        k[:, n:], v[:, n:] = 0, 0
        mixed = self._buffer("mixed", n, self._kv_heads, self._group, self._dim)
        mixed[pack.n_tokens :] = 0
        chosen = False
        for i, layer in enumerate(self._layers):
            self._norm(x, layer.norm_1, normed)
            qkv = self._kernels.linear(normed, layer.qkv, layer.qkv_bias, qkv)
            # Splits queries, keys and values; norms and rotates queries and keys.
            sizes = (n, k.shape[1], self._kv_heads, self._group, self._dim, 2 * cosine.shape[1])
            parts = (qkv, cosine, sine, layer.q_norm, layer.k_norm)
            self._kernels.call("split_rotate", *parts, self._eps, q, k, v, *sizes)
            self._kernels.attend(q, k, v, tree, mixed, scale=layer.scale)
            flat = mixed.view(n, heads * self._dim)
            if i == len(self._layers) - 1 and len(rows) >= self._least_rows:
                x, flat, chosen = x[rows], flat[rows], True
                normed = normed[: len(rows)] if len(rows) <= n else torch.empty_like(x)
            x = self._kernels.add_linear(x, flat, layer.out)
            if layer.out_bias is not None:
                x += layer.out_bias
            self._norm(x, layer.norm_2, normed)
            x = self._kernels.add_linear(x, self._gated(normed, layer), layer.down)
        x = x if chosen else x[rows]
        last = torch.empty_like(x)
        self._norm(x, self._final, last)
        return last

    def _gated(self, normed: Tensor, layer: _Layer) -> Tensor:
        n = len(normed)
        gate_up = self._buffer("gate_up", n, 2 * self._inner)
        out = self._buffer("inner", n, self._inner)
        gate_up = self._kernels.linear(normed, layer.gate_up, None, gate_up)
        self._kernels.call("silu_mul", gate_up, out, *out.shape)
        return out

    def _norm(self, x: Tensor, weight: Tensor, out: Tensor) -> None:
        self._kernels.call("rms_norm", x, weight, out, *x.shape, self._eps)

    def _rotation(self, positions: Tensor, needed: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines of some positions, each (n, rotated / 2) float32."""
        if self._table is None or len(self._table[0]) < needed:
            wide = self._layers[0].norm_1
            line = torch.arange(max(needed, 512), device=positions.device)
            cosine, sine = self._body.rotary_emb(wide, line[None])
            half = cosine.shape[-1] // 2
            self._table = (cosine[0, :, :half].contiguous(), sine[0, :, :half].contiguous())
        return self._table[0][positions], self._table[1][positions]

    def _buffer(self, name: str, *shape: int) -> Tensor:
        """Working memory, reused by all packs: new memory costs more than the arithmetic."""
        size = math.prod(shape)
        held = self._space.get(name)
        if held is None or held.numel() < size:
            like = self._layers[0].qkv
            held = torch.empty(size, dtype=like.dtype, device=like.device)
            self._space[name] = held
        return held[:size].view(shape)

    def _norm_weight(self, module: Any) -> Tensor:
        weight: Tensor = module.weight.detach()
        return weight.to(torch.promote_types(weight.dtype, torch.float32))

    def _read(self, layer: Any) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        bias, others = attention.q_proj.bias, (attention.k_proj, attention.v_proj)
        norms = [getattr(attention, name, None) for name in ("q_norm", "k_norm")]
        q_norm, k_norm = (None if m is None else self._norm_weight(m) for m in norms)
        return _Layer(
            norm_1=self._norm_weight(layer.input_layernorm),
            qkv=_join(attention.q_proj, *others),
            qkv_bias=None if bias is None else torch.cat([bias, *(m.bias for m in others)]),
            q_norm=q_norm,
            k_norm=k_norm,
            out=attention.o_proj.weight,
            out_bias=attention.o_proj.bias,
            norm_2=self._norm_weight(layer.post_attention_layernorm),
            gate_up=_join(mlp.gate_proj, mlp.up_proj),
            down=mlp.down_proj.weight,
            scale=float(attention.scaling),
        )


def _join(*modules: Any) -> Tensor:
    """One matrix of several modules' rows; the modules' weights become views of it."""
    joined = torch.cat([m.weight.detach() for m in modules])
    start = 0
    for module in modules:
        rows = module.weight.shape[0]
        module.weight.data = joined[start : start + rows]
        start += rows
    return joined
