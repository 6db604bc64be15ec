"""Compile and call the element-wise kernels of `kernels.c`, where a C compiler is at hand.

The library is built into a private temporary folder and loaded from there when
an engine is made (about a second); nothing is kept or looked for on disk
afterwards, so no one else's file can be loaded in its place. Without a compiler, or where a
kernel does not give the same numbers as PyTorch's own operations, those run
instead: `load_kernels` returns None.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import torch

__all__ = ["LANES", "Kernels", "load_kernels"]

LANES: Final = 16  # numbers per vector in kernels.c; widths must be multiples of it
_FLAGS: Final = (
    "-std=gnu11",
    "-O3",
    "-march=native",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-shared",
    "-fPIC",
    "-w",
)
_WIDE: Final = "-mprefer-vector-width=512"  # not known to every compiler
_TIMEOUT_S: Final = 60


class Kernels:
    """The compiled functions, called on contiguous CPU tensors."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def rms_norm(
        self, x: torch.Tensor, weight: torch.Tensor, out: torch.Tensor, eps: float
    ) -> None:
        """`out = weight * x / rms(x)`; x and out (rows, width), weight float32 (width,)."""
        rows, width = x.shape
        call = getattr(self._library, f"rms_norm_{_suffix(x)}")
        call(_at(x), _at(weight), _at(out), _long(rows), _long(width), _float(eps))

    def silu_mul(self, gate_up: torch.Tensor, out: torch.Tensor) -> None:
        """`out = silu(gate) * up`; gate_up (rows, 2 * width), out (rows, width)."""
        rows, width = out.shape
        getattr(self._library, f"silu_mul_{_suffix(out)}")(
            _at(gate_up), _at(out), _long(rows), _long(width)
        )

    def split_rotate(
        self,
        qkv: torch.Tensor,  # (rows, (kv * group + 2 * kv) * dim)
        cosine: torch.Tensor,  # (rows, rotated / 2) float32
        sine: torch.Tensor,
        q: torch.Tensor,  # (kv, rows, group, dim)
        k: torch.Tensor,  # (kv, at least rows, dim)
        v: torch.Tensor,
        *,
        rotated: int,
        q_norm: torch.Tensor | None = None,  # (dim,) float32
        k_norm: torch.Tensor | None = None,
        eps: float = 0.0,
    ) -> None:
        """Take queries, keys and values apart, norm and rotate the first two."""
        kv_heads, rows, group, dim = q.shape
        getattr(self._library, f"split_rotate_{_suffix(qkv)}")(
            *(_at(t) for t in (qkv, cosine, sine)),
            *(None if t is None else _at(t) for t in (q_norm, k_norm)),
            _float(eps),
            *(_at(t) for t in (q, k, v)),
            *(_long(n) for n in (rows, k.shape[1], kv_heads, group, dim, rotated)),
        )

    def causal_softmax(
        self,
        scores: torch.Tensor,  # (batches, rows, cols)
        scratch: torch.Tensor,  # at least (cols,) float32
        *,
        group: int,
        before: int,
        scale: float,
        cap: float = 0.0,
    ) -> None:
        """In place over the first `before + row // group + 1` scores of a row, 0 after."""
        batches, rows, cols = scores.shape
        getattr(self._library, f"causal_softmax_{_suffix(scores)}")(
            _at(scores),
            _at(scratch),
            *(_long(n) for n in (batches, rows, cols, group, before)),
            _float(scale),
            _float(cap),
        )

    def add_logsumexp(self, logits: torch.Tensor, top: torch.Tensor, total: torch.Tensor) -> None:
        """Carry log-sum-exp = top + log(total) on over a block of columns (rows, cols)."""
        rows, cols = logits.shape
        self._library.lse_f32(
            _at(logits), _long(rows), _long(cols), _long(logits.stride(0)), _at(top), _at(total)
        )


@functools.cache
def load_kernels() -> Kernels | None:
    """Compile, load and try the kernels; None where any of the three fails."""
    library = _compile()
    if library is None:
        return None
    kernels = Kernels(library)
    return kernels if _agree(kernels) else None


def _compile() -> Any:
    compiler = next(
        (p for c in (os.environ.get("CC"), "cc", "gcc", "clang") if c and (p := shutil.which(c))),
        None,
    )
    if compiler is None:
        return None
    source = str(files("ifcurate.engines").joinpath("kernels.c"))
    with tempfile.TemporaryDirectory(prefix="ifcurate-") as folder:
        made = Path(folder) / "kernels.so"
        for extra in ((_WIDE,), ()):
            command = [compiler, *_FLAGS, *extra, "-o", str(made), source, "-lm"]
            try:
                run = subprocess.run(  # noqa: S603  (a fixed command on our own file)
                    command, capture_output=True, timeout=_TIMEOUT_S, check=False
                )
            except (OSError, subprocess.SubprocessError):
                return None
            if run.returncode == 0:
                try:
                    return ctypes.CDLL(str(made))
                except OSError:
                    return None
    return None


def _agree(kernels: Kernels) -> bool:
    """Whether every kernel gives PyTorch's numbers on a small example."""
    import torch

    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    def near(a: torch.Tensor, b: torch.Tensor, dtype: torch.dtype) -> bool:
        spacing = 2 * torch.finfo(dtype).eps if dtype is torch.bfloat16 else 1e-5
        return torch.allclose(a.float(), b.float(), rtol=spacing, atol=spacing * 0.1)

    good = True
    for dtype in (torch.float32, torch.bfloat16):
        x, weight = draw(3, 32).to(dtype), draw(32)
        out = torch.empty_like(x)
        kernels.rms_norm(x, weight, out, 1e-5)
        wide = x.float()
        norm = weight * wide * (wide.square().mean(-1, keepdim=True) + 1e-5).rsqrt()
        good &= near(out, norm, dtype)
        gate_up = (8 * draw(3, 64)).to(dtype)
        kernels.silu_mul(gate_up, out)
        gate, up = gate_up.float().chunk(2, dim=-1)
        good &= near(out, torch.nn.functional.silu(gate) * up, dtype)
        scores = (4 * draw(2, 6, 32)).to(dtype)
        count = 11 + torch.arange(6) // 2 + 1
        hidden = torch.arange(32) >= count[:, None]
        soft = (scores.float() * 0.5).masked_fill(hidden, -torch.inf).softmax(-1)
        kernels.causal_softmax(scores, torch.empty(32), group=2, before=11, scale=0.5)
        good &= near(scores, soft, dtype)
    logits = 5 * draw(3, 50)
    top, total = torch.full((3,), -torch.inf), torch.zeros(3)
    for block in (logits[:, :24], logits[:, 24:]):
        kernels.add_logsumexp(block, top, total)
    return good and near(top + total.log(), logits.logsumexp(-1), torch.float32)


def _suffix(x: torch.Tensor) -> str:
    import torch

    return {torch.float32: "f32", torch.bfloat16: "bf16"}[x.dtype]


def _at(x: torch.Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(x.data_ptr())


def _long(n: int) -> ctypes.c_long:
    return ctypes.c_long(n)


def _float(x: float) -> ctypes.c_float:
    return ctypes.c_float(x)
