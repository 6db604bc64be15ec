"""Arithmetic that is faster than PyTorch's on some processors: the entry point of this package.

| what | where it helps |
|---|---|
| the layers of Llama's family in few passes over memory (`fused`, `kernels`) | AVX-512 |
| float32 products on matrix tiles (`tiles`) | AMX, one thread |
| attention and bfloat16 head on matrix tiles (`tiles`) | AMX, float32 on one thread |
| float32 products by oneDNN in place of MKL | AMD |

`benchmarks/scoring/RESULTS.md` has the gain of each. The C code is compiled when an engine
is made and compared with PyTorch's own operations. Code that fails or differs is not used.
oneDNN's operation is private to PyTorch, so it is compared too. The weights stay unchanged,
so memory holds them once.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from ifcurate.engines.cpu.kernels import Kernels, compile_library
from ifcurate.engines.cpu.tiles import Tiles
from ifcurate.engines.hf.arithmetic import Arithmetic
from ifcurate.engines.hf.attention import padded_rows
from ifcurate.engines.hf.head import ResponseHead
from ifcurate.engines.hf.prefix_tree import build_tree


def find_arithmetic(dtype: torch.dtype) -> Arithmetic:
    """Return the fastest operations of this processor for a dtype, or PyTorch's own."""
    if dtype not in (torch.float32, torch.bfloat16):
        return Arithmetic()
    kernels = load_kernels()
    if dtype is torch.bfloat16:
        return kernels or Arithmetic()
    # The tile kernel for float32 runs on one thread; with more threads, libraries are faster.
    # Nothing is timed: on a busy machine, a resumed run could choose differently.
    if isinstance(kernels, Tiles) and torch.get_num_threads() == 1:
        return kernels
    onednn = _is_amd() and _agrees(OneDNN(), dtype)
    if kernels is None:
        return OneDNN() if onednn else Arithmetic()
    return KernelsWithOneDNN(kernels.compiled) if onednn else Kernels(kernels.compiled)


@functools.cache
def load_kernels() -> Kernels | None:
    """Compile, load and check the kernels, with those for matrix tiles where there are any.

    None without a C compiler, or if a kernel does not give the numbers of PyTorch's own operations.
    """
    library = compile_library()
    if library is None:
        return None
    kinds = (Tiles, Kernels) if library.tiles_ready() else (Kernels,)
    found = (kind(library) for kind in kinds)
    return next((k for k in found if _agrees(k, torch.float32, torch.bfloat16)), None)


class OneDNN(Arithmetic):
    """float32 products through oneDNN."""

    notes: tuple[str, ...] = ("float32 products through oneDNN",)
    replaces_linears = True

    def linear(
        self, x: Tensor, weight: Tensor, bias: Tensor | None = None, out: Tensor | None = None
    ) -> Tensor:
        """See `Arithmetic.linear`."""
        made: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return made

    def add_linear(self, total: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        """See `Arithmetic.add_linear`."""
        product = torch.ops.mkldnn._linear_pointwise.binary
        made: Tensor = product(x, total, weight, None, "add")
        return made


class KernelsWithOneDNN(OneDNN, Kernels):
    """The compiled kernels, with products through oneDNN."""

    notes = (*Kernels.notes, *OneDNN.notes)


def _is_amd() -> bool:
    """Return whether this is an AMD processor, on which oneDNN's products are faster than MKL's."""
    with contextlib.suppress(OSError):
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return False


def _agrees(arithmetic: Arithmetic, *dtypes: torch.dtype) -> bool:
    """Return whether all operations give PyTorch's numbers on small examples of these dtypes."""
    generator = torch.Generator().manual_seed(0)
    # A root of 5 rows, a first child of 20 (contiguous with it), and a second child of 3.
    tree = build_tree([np.arange(25), np.array([*range(5), 30, 31, 32])], min_shared=4)
    room = padded_rows(len(tree.ids)) - len(tree.ids)
    shapes = (37, 64), (1056, 64), (37, 1056), (1, len(tree.ids), 2, 32)
    drawn = [torch.randn(shape, generator=generator) for shape in (*shapes, *[(1, 28, 32)] * 2)]

    def compute(arithmetic: Arithmetic, given: Iterable[Tensor]) -> list[Tensor]:
        x, weight, total, q, k, v = given
        mixed = q.new_empty(q.shape[1], 1, 2, 32)
        k, v = (F.pad(rows, (0, 0, 0, room)) for rows in (k, v))
        arithmetic.attend(q, k, v, tree, mixed, scale=0.2)
        return [
            arithmetic.linear(x, weight),
            arithmetic.linear(x, weight, total[0].contiguous()),
            arithmetic.add_linear(total.clone(), x, weight),
            ResponseHead(weight, None, None, arithmetic).logprobs(x, torch.arange(37)),
            mixed,
        ]

    def near(found: Tensor, truth: Tensor) -> bool:
        distance = 0.02 if found.dtype is torch.bfloat16 else 1e-5
        return torch.allclose(found.float(), truth, rtol=distance, atol=distance)

    with contextlib.suppress(RuntimeError, AttributeError, TypeError), torch.inference_mode():
        for dtype in dtypes:
            given = [tensor.to(dtype) for tensor in drawn]
            truth = compute(Arithmetic(), (tensor.float() for tensor in given))
            if not all(map(near, compute(arithmetic, given), truth)):
                return False
        return True
    return False
