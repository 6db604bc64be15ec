"""The pocket model during training: a plain Llama that starts with four useful heads.

The arithmetic is that of transformers' `LlamaForCausalLM` (RMSNorm before each
block, rotary positions on half-split heads, SiLU-gated feed-forward, tied
embeddings); `llama_state` returns the weights under its names. It is implemented
here because a compiled bfloat16 version of it trains more than twice as fast on one
core as the library's module.

A prototype of this size did not learn to read. So the first two layers start with
heads close to the parts of induction heads (Olsson et al. 2022): two attend one and
two tokens back, two attend to the token after an earlier occurrence. They are trained
with everything else. The start is approximate, because token norms blur the positions
of the first two heads. An exact start (equal norms) learned the text more slowly in
short trials.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["Shape", "llama_config", "llama_state", "new_parameters", "next_token_loss"]

_EPS = 1e-6
_MATCH = 3.0
_COPY = 8.0
_OUT = 0.01


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of the network."""

    vocab: int = 2048
    width: int = 128
    layers: int = 4
    heads: int = 4
    feed_forward: int = 336
    rope_theta: float = 50000.0
    positions: int = 4096

    @property
    def head_width(self) -> int:
        """Dimensions of one attention head."""
        return self.width // self.heads


def llama_config(shape: Shape) -> dict[str, Any]:
    """Return the `config.json` of transformers for this shape."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocab,
        "hidden_size": shape.width,
        "intermediate_size": shape.feed_forward,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "head_dim": shape.head_width,
        "hidden_act": "silu",
        "max_position_embeddings": shape.positions,
        "rope_theta": shape.rope_theta,
        "rms_norm_eps": _EPS,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "initializer_range": 0.02,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 2,
        "torch_dtype": "float32",
    }


def new_parameters(shape: Shape, *, seed: int) -> dict[str, torch.Tensor]:
    """Fresh weights under transformers' names, with the seeded heads in layers 0 and 1."""
    import torch

    generator = torch.Generator().manual_seed(seed)

    def normal(*size: int, std: float) -> torch.Tensor:
        return torch.randn(*size, generator=generator) * std

    d = shape.width
    out = _OUT / math.sqrt(d)  # at first, the layers add little to the residual stream
    weights = {"model.embed_tokens.weight": normal(shape.vocab, d, std=0.05)}
    for i in range(shape.layers):
        name = f"model.layers.{i}."
        weights[name + "input_layernorm.weight"] = torch.ones(d)
        for which in "qkv":
            weights[f"{name}self_attn.{which}_proj.weight"] = normal(d, d, std=1 / math.sqrt(d))
        weights[name + "self_attn.o_proj.weight"] = normal(d, d, std=out)
        weights[name + "post_attention_layernorm.weight"] = torch.ones(d)
        weights[name + "mlp.gate_proj.weight"] = normal(shape.feed_forward, d, std=1 / math.sqrt(d))
        weights[name + "mlp.up_proj.weight"] = normal(shape.feed_forward, d, std=1 / math.sqrt(d))
        weights[name + "mlp.down_proj.weight"] = normal(d, shape.feed_forward, std=0.002)
    weights["model.norm.weight"] = torch.ones(d)
    _seed_heads(weights, shape, generator)
    for tensor in weights.values():
        tensor.requires_grad_(True)
    return weights


def _seed_heads(weights: dict[str, torch.Tensor], shape: Shape, generator: Any) -> None:
    """Set heads 0 and 1 of layers 0 and 1, and the embedding they need.

    The residual stream is cut into orthogonal parts: one constant dimension,
    two narrow parts that the layer-0 heads write the token one and two back
    to, and the rest, where the embedding lives. The layer-1 heads compare a
    part written there with the token here (or with the token one back).
    """
    import torch

    d, h = shape.width, shape.head_width
    half, n = h // 2, h // 2  # n dimensions are kept of a token that is looked for
    basis = torch.linalg.qr(torch.randn(d - 1, d - 1, generator=generator))[0].T
    written = [basis[:n], basis[n : 2 * n]]  # each (n, d - 1)
    rest = basis[2 * n :]
    embed = weights["model.embed_tokens.weight"]
    embed[:, 1:] = embed[:, 1:] @ rest.T @ rest
    embed[:, 0] = 0.15
    rms = float(embed.pow(2).mean().sqrt())
    kept = rest[:n]
    copied = rest[-h:] if len(rest) >= h else rest
    frequency = shape.rope_theta ** (-torch.arange(half) / half)
    slow = torch.tensor([*range(half - n // 2, half), *range(h - n // 2, h)])

    q0, k0, v0, o0 = (weights[f"model.layers.0.self_attn.{x}_proj.weight"] for x in "qkvo")
    q1, k1, v1, o1 = (weights[f"model.layers.1.self_attn.{x}_proj.weight"] for x in "qkvo")
    for head, back in enumerate((1, 2)):
        rows = slice(head * h, (head + 1) * h)
        for weight in (q0, k0, v0, q1, k1, v1):
            weight[rows] = 0.0
        o0[:, rows] = 0.0
        o1[:, rows] = 0.0
        strength = 7.0 * rms / 0.15  # about 7 after the norm
        q0[rows, 0] = strength * torch.cat([torch.ones(half), torch.zeros(half)])
        turned = frequency * back  # the key turned ahead, so that it fits `back` tokens later
        k0[rows, 0] = strength * torch.cat([torch.cos(turned), torch.sin(turned)])
        v0[head * h : head * h + n, 1:] = kept
        o0[1:, head * h : head * h + n] = 1.6 * rms * written[head].T
        here = kept if back == 1 else written[0]
        q1[head * h + slow, 1:] = _MATCH * here
        k1[head * h + slow, 1:] = _MATCH * written[head]
        v1[head * h : head * h + len(copied), 1:] = copied
        o1[1:, head * h : head * h + len(copied)] = _COPY * rms * copied.T


def next_token_loss(
    weights: dict[str, torch.Tensor],
    ids: torch.Tensor,
    targets: torch.Tensor,
    target_weights: torch.Tensor,
    shape: Shape,
    dtype: torch.dtype,
) -> torch.Tensor:
    """Weighted mean cross-entropy; ids, targets, target_weights have shape (batch, length)."""
    import torch
    from torch.nn import functional as F  # noqa: N812

    batch, length = ids.shape
    heads, h = shape.heads, shape.head_width
    half = h // 2
    inverse = shape.rope_theta ** (-torch.arange(half, dtype=torch.float32) / half)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), inverse).repeat(1, 2)
    cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
    future = torch.ones(length, length, dtype=torch.bool).triu(1)

    def norm(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + _EPS) * weight).to(dtype)

    def rotate(x: torch.Tensor) -> torch.Tensor:
        return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin

    embed = weights["model.embed_tokens.weight"]
    x = F.embedding(ids, embed)  # (batch, length, width), float32
    for i in range(shape.layers):
        name = f"model.layers.{i}."
        y = norm(x, weights[name + "input_layernorm.weight"])
        qkv = torch.cat([weights[f"{name}self_attn.{w}_proj.weight"] for w in "qkv"]).to(dtype)
        q, k, v = F.linear(y, qkv).view(batch, length, 3, heads, h).permute(2, 0, 3, 1, 4)
        scores = (rotate(q) @ rotate(k).transpose(-1, -2)).float() * h**-0.5
        attention = torch.softmax(scores.masked_fill(future, -1e9), -1).to(dtype)
        mixed = (attention @ v).transpose(1, 2).reshape(batch, length, shape.width)
        x = x + F.linear(mixed, weights[name + "self_attn.o_proj.weight"].to(dtype)).float()
        y = norm(x, weights[name + "post_attention_layernorm.weight"])
        gate = F.linear(y, weights[name + "mlp.gate_proj.weight"].to(dtype))
        up = F.linear(y, weights[name + "mlp.up_proj.weight"].to(dtype))
        down = weights[name + "mlp.down_proj.weight"].to(dtype)
        x = x + F.linear(F.silu(gate) * up, down).float()
    y = norm(x, weights["model.norm.weight"])
    logits = F.linear(y, embed.to(dtype)).float()
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    kept = target_weights.flatten()
    return (losses * kept).sum() / kept.sum()


def llama_state(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the weights as transformers saves them (the tied output matrix is left out)."""
    return {name: tensor.detach().clone().contiguous() for name, tensor in weights.items()}
