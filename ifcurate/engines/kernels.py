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

__all__ = ["LANES", "Kernels", "load_kernels", "padded_rows"]

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

    def __init__(self, library: Any, *, tiles: bool | None = None) -> None:
        self._library = library
        #: Whether the processor has matrix tiles for bfloat16 (AMX) and we may use them.
        self.tiles = bool(library.tiles_ready()) if tiles is None else tiles

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

    def tree_attention(
        self,
        q: torch.Tensor,  # (kv, rows, group, dim) bfloat16
        k: torch.Tensor,  # (kv, padded rows, dim), see `padded_rows`, zeros after the rows
        v: torch.Tensor,
        out: torch.Tensor,  # (rows, kv, group, dim)
        nodes: torch.Tensor,  # (n_nodes, 4) int64, as attention.py makes them
        spans: torch.Tensor,  # (n_spans, 2) int64
        *,
        most_keys: int,  # of the longest path
        scale: float,
    ) -> None:
        """Attention of all nodes of a prefix tree, with matrix tiles."""
        import torch

        kv_heads, rows, group, dim = q.shape
        most = -(-most_keys // 32) * 32
        scores = torch.empty(most * max(LANES, dim // 2))
        soft = torch.empty(most * LANES, dtype=torch.bfloat16)
        path = torch.empty(2 * most * dim, dtype=torch.bfloat16)
        self._library.tree_attention(
            *(_at(t) for t in (q, k, v, out, nodes, spans, scores, soft, path)),
            *(_long(n) for n in (len(nodes), rows, k.shape[1], kv_heads, group, dim, most)),
            _float(scale),
        )

    def head_logsumexp(self, hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Log-sum-exp over the vocabulary of `hidden @ weight.T`, float32 (rows,), with tiles.

        bfloat16 `hidden` (rows, width) and `weight` (vocabulary, width), both sizes
        of the weight multiples of 32. Products are added up in float32 and not rounded.
        """
        import torch

        rows, width = hidden.shape
        padded = -(-rows // 32) * 32
        packed = torch.empty(padded * width, dtype=torch.bfloat16)
        top, total = torch.empty(padded), torch.empty(padded)
        self._library.head_logsumexp(
            *(_at(t) for t in (hidden, weight, packed, top, total)),
            *(_long(n) for n in (rows, len(weight), width)),
        )
        return (top + total.log())[:rows]


def padded_rows(rows: int) -> int:
    """Rows that keys and values must have room for: whole tiles may be read past the last."""
    return -(-rows // 16) * 16 + 32


@functools.cache
def load_kernels() -> Kernels | None:
    """Compile, load and try the kernels; None where any of the three fails."""
    library = _compile()
    if library is None:
        return None
    kernels = Kernels(library)
    if not _agree(kernels):
        return None
    if kernels.tiles and not _tiles_agree(kernels):
        return Kernels(library, tiles=False)
    return kernels


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


def _tiles_agree(kernels: Kernels) -> bool:
    import torch

    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(torch.bfloat16)

    # A root of 5 rows, a first child of 20 (one stretch with it), a second of 3 apart.
    rows, dim, scale = 28, 32, 0.2
    q, out = draw(1, rows, 2, dim), torch.zeros(rows, 1, 2, dim, dtype=torch.bfloat16)
    k, v = (torch.zeros(1, padded_rows(rows), dim, dtype=torch.bfloat16) for _ in range(2))
    k[:, :rows], v[:, :rows] = draw(1, rows, dim), draw(1, rows, dim)
    nodes = torch.tensor([[0, 5, 0, 1], [5, 20, 1, 2], [25, 3, 2, 4]])
    spans = torch.tensor([[0, 5], [0, 25], [0, 5], [25, 3]])
    kernels.tree_attention(q, k, v, out, nodes, spans, most_keys=25, scale=scale)
    sees = torch.ones(rows, rows).tril()
    sees[25:, 5:25] = 0
    scores = torch.einsum("igd,jd->gij", q[0].float(), k[0, :rows].float()) * scale
    soft = scores.masked_fill(sees == 0, -torch.inf).softmax(-1)
    truth = torch.einsum("gij,jd->igd", soft, v[0, :rows].float())
    good = torch.allclose(out[:, 0].float(), truth, rtol=0.02, atol=0.02)
    hidden, weight = draw(37, 64), draw(96, 64)
    found = kernels.head_logsumexp(hidden, weight)
    wanted = (hidden.float() @ weight.float().T).logsumexp(-1)
    return good and torch.allclose(found, wanted, rtol=1e-5, atol=1e-4)


def _suffix(x: torch.Tensor) -> str:
    import torch

    return {torch.float32: "f32", torch.bfloat16: "bf16"}[x.dtype]


def _at(x: torch.Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(x.data_ptr())


def _long(n: int) -> ctypes.c_long:
    return ctypes.c_long(n)


def _float(x: float) -> ctypes.c_float:
    return ctypes.c_float(x)
