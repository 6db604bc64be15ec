"""Attention over a prefix tree, each way to compute it against a mask of who may see whom."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from ifcurate.engines.cpu.arithmetic import load_kernels
from ifcurate.engines.cpu.kernels import Kernels
from ifcurate.engines.hf import arithmetic as operations
from ifcurate.engines.hf.arithmetic import Arithmetic
from ifcurate.engines.hf.attention import attend_varlen, padded_rows, plan_varlen
from ifcurate.engines.hf.prefix_tree import PrefixTree, build_tree

TREES = st.builds(
    lambda raw, shared: build_tree(
        [np.array(s, dtype=np.int64) for s in sorted(set(raw))], min_shared=shared
    ),
    st.lists(
        st.lists(st.integers(0, 1), min_size=1, max_size=60).map(tuple), min_size=1, max_size=8
    ),
    st.integers(1, 12),
)


def _draw(tree: PrefixTree, kv: int, group: int, dim: int, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    n = len(tree.ids)
    q = torch.randn(kv, n, group, dim, generator=generator)
    k, v = torch.zeros(2, kv, padded_rows(n), dim)
    k[:, :n] = torch.randn(kv, n, dim, generator=generator)
    v[:, :n] = torch.randn(kv, n, dim, generator=generator)
    return [q, k, v]


def _truth(tree: PrefixTree, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    n = len(tree.ids)
    sees = torch.zeros(n, n, dtype=torch.bool)
    for node, (start, length) in enumerate(tree.nodes[:, :2]):
        for row in range(start, start + length):
            sees[row, tree.path_rows(node)] = True
            sees[row, row + 1 : start + length] = False
    scores = torch.einsum("hqgd,hkd->hgqk", q.double(), k[:, :n].double()) * 0.3
    soft = scores.masked_fill(~sees, -torch.inf).softmax(-1)
    return torch.einsum("hgqk,hkd->qhgd", soft, v[:, :n].double())


def _compiled(*, tiles: bool) -> Kernels:
    kernels = load_kernels()
    if kernels is None:
        pytest.skip("no C compiler here")
    return kernels if tiles else Kernels(kernels.compiled)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(TREES, st.integers(1, 3), st.integers(1, 3), st.integers(1, 40))
def test_blocks_see_their_path_and_nothing_else(
    tree: PrefixTree, kv: int, group: int, block: int
) -> None:
    q, k, v = _draw(tree, kv, group, 8, 0)
    out = torch.empty(len(tree.ids), kv, group, 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "_BLOCK", {"cpu": block})
        Arithmetic().attend(q, k, v, tree, out, scale=0.3)
    torch.testing.assert_close(out.double(), _truth(tree, q, k, v), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    TREES,
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from(["float32", "bfloat16"]),
    st.booleans(),
)
def test_compiled_kernels_see_the_same(
    tree: PrefixTree, kv: int, group: int, name: str, tiles: bool
) -> None:
    arithmetic = _compiled(tiles=tiles)
    dtype = getattr(torch, name)
    q, k, v = (t.to(dtype) for t in _draw(tree, kv, group, 32, 1))
    out = torch.empty(len(tree.ids), kv, group, 32, dtype=dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "_BLOCK", {"cpu": 16})
        arithmetic.attend(q, k, v, tree, out, scale=0.3)
    near = 1e-5 if dtype is torch.float32 else 0.03
    torch.testing.assert_close(out.double(), _truth(tree, q, k, v), rtol=near, atol=near)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "near"), [("float32", 1e-5), ("bfloat16", 0.03)])
@pytest.mark.parametrize("width", [32, 96])
def test_values_may_have_another_width_than_keys(name: str, near: float, width: int) -> None:
    tree = build_tree([np.arange(20), np.arange(23) % 11], min_shared=4)
    n, dtype = len(tree.ids), getattr(torch, name)
    q, k, _ = (t.to(dtype) for t in _draw(tree, 2, 1, 64, 2))
    v = torch.zeros(2, padded_rows(n), width, dtype=dtype)
    v[:, :n] = torch.randn(2, n, width, generator=torch.Generator().manual_seed(3)).to(dtype)
    for arithmetic in (Arithmetic(), _compiled(tiles=True)):
        room = torch.full((3 * n * 2 * width,), 7.0, dtype=dtype)
        out = room[: n * 2 * width].view(n, 2, 1, width)
        arithmetic.attend(q, k, v, tree, out, scale=0.3)
        assert (room[n * 2 * width :] == 7).all()
        torch.testing.assert_close(out.double(), _truth(tree, q, k, v), rtol=near, atol=near)


def _plain_varlen(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seq_q: torch.Tensor,
    cu_seq_k: torch.Tensor,
    max_q: int,
    max_k: int,
    **options: Any,
) -> torch.Tensor:
    """What torch's kernel does, spelled out: causal masks aligned at the end."""
    assert options["window_size"] == (-1, 0)
    parts = []
    group = query.shape[1] // key.shape[1]
    for i in range(len(cu_seq_q) - 1):
        q = query[cu_seq_q[i] : cu_seq_q[i + 1]]
        k, v = (t[cu_seq_k[i] : cu_seq_k[i + 1]].repeat_interleave(group, 1) for t in (key, value))
        assert len(q) <= max_q
        assert len(k) <= max_k
        hidden = torch.ones(len(q), len(k)).triu(len(k) - len(q) + 1).bool()
        scores = torch.einsum("qhd,khd->hqk", q, k) * options["scale"]
        soft = scores.masked_fill(hidden, -torch.inf).softmax(-1)
        parts.append(torch.einsum("hqk,khd->qhd", soft, v))
    return torch.cat(parts)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(TREES, st.integers(1, 3), st.integers(1, 3))
def test_the_gpu_kernel_is_given_each_path(tree: PrefixTree, kv: int, group: int) -> None:
    module = pytest.importorskip("torch.nn.attention.varlen")
    q, k, v = _draw(tree, kv, group, 8, 2)
    out = torch.empty(len(tree.ids), kv, group, 8)
    plan = plan_varlen(tree, torch.device("cpu"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "varlen_attn", _plain_varlen)
        attend_varlen(q, k, v, plan, out, scale=0.3)
    torch.testing.assert_close(out.double(), _truth(tree, q, k, v), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_probabilities_are_normal_numbers_or_nought() -> None:
    # Subnormal ones made the product with the values four times as slow.
    kernels = _compiled(tiles=False)
    scores = torch.linspace(-400, 0, 64 * 32).view(1, 64, 32)[:, torch.randperm(64)].contiguous()
    scores[0, :, 1::2] -= 90
    kernels.softmax(scores, group=1, before=0, scale=1.0, cap=0.0)
    assert ((scores == 0) | (scores >= torch.finfo(torch.float32).tiny)).all()
    torch.testing.assert_close(scores.sum(-1), torch.ones(1, 64))


@pytest.mark.slow
def test_capped_scores() -> None:
    tree = build_tree([np.arange(20)])
    q, k, v = _draw(tree, 1, 1, 32, 3)
    wanted = torch.empty(20, 1, 1, 32)
    Arithmetic().attend(q, k, v, tree, wanted, scale=0.3, cap=0.5)
    arithmetic = _compiled(tiles=True)
    found = torch.empty_like(wanted)
    arithmetic.attend(q, k, v, tree, found, scale=0.3, cap=0.5)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    scores = torch.einsum("qd,kd->qk", q[0, :, 0], k[0, :20]) * 0.3
    capped = (0.5 * (scores / 0.5).tanh()).masked_fill(
        torch.ones(20, 20).triu(1).bool(), -torch.inf
    )
    truth = capped.softmax(-1) @ v[0, :20]
    torch.testing.assert_close(wanted[:, 0, 0], truth, rtol=1e-5, atol=1e-5)
