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
from pathlib import Path

import torch

from ifcurate.engines.cpu.kernels import Kernels, kernels_agree
from ifcurate.engines.cpu.native import compile_library
from ifcurate.engines.cpu.tiles import Tiles, tiles_agree
from ifcurate.engines.hf.arithmetic import Arithmetic


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
    onednn = _is_amd() and _onednn_agrees()
    if kernels is None:
        return OneDNN() if onednn else Arithmetic()
    return KernelsWithOneDNN(kernels.compiled) if onednn else Kernels(kernels.compiled)


@functools.cache
def load_kernels() -> Kernels | None:
    """Compile, load and check the kernels, with those for matrix tiles where there are any.

    None without a C compiler, or if a kernel does not give the numbers of PyTorch's own operations.
    """
    library = compile_library()
    if library is None or not kernels_agree(Kernels(library)):
        return None
    if library.tiles_ready() and tiles_agree(tiles := Tiles(library)):
        return tiles
    return Kernels(library)


class OneDNN(Arithmetic):
    """float32 products through oneDNN."""

    notes: tuple[str, ...] = ("float32 products through oneDNN",)
    replaces_linears = True

    def linear(
        self,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None = None,
        out: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """See `Arithmetic.linear`."""
        made: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return made

    def add_linear(
        self, total: torch.Tensor, x: torch.Tensor, weight: torch.Tensor
    ) -> torch.Tensor:
        """See `Arithmetic.add_linear`."""
        product = torch.ops.mkldnn._linear_pointwise.binary
        made: torch.Tensor = product(x, total, weight, None, "add")
        return made


class KernelsWithOneDNN(OneDNN, Kernels):
    """The compiled kernels, with products through oneDNN."""

    notes = (*Kernels.notes, *OneDNN.notes)


def _is_amd() -> bool:
    """Return whether this is an AMD processor, on which oneDNN's products are faster than MKL's."""
    with contextlib.suppress(OSError):
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return False


@functools.cache
def _onednn_agrees() -> bool:
    generator = torch.Generator().manual_seed(0)
    x, weight, total = (torch.randn(64, 64, generator=generator) for _ in range(3))
    bias = total[0].contiguous()
    near = functools.partial(torch.allclose, rtol=1e-4, atol=1e-4)
    try:
        with torch.inference_mode():
            return (
                near(OneDNN().linear(x, weight), x @ weight.t())
                and near(OneDNN().linear(x, weight, bias), x @ weight.t() + bias)
                and near(OneDNN().add_linear(total.clone(), x, weight), total + x @ weight.t())
            )
    except (RuntimeError, AttributeError, TypeError, NotImplementedError):
        return False
