"""The compiled kernels for the operations between two matrix products.

`kernels.c` is built in a private temporary folder and loaded from there when an engine is
made (about two seconds). Nothing is kept on disk, so no other file can be loaded instead.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from ifcurate.engines.hf.arithmetic import Arithmetic, Body

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
_WIDE: Final = "-mprefer-vector-width=512"  # not every compiler has this flag
_TIMEOUT_S: Final = 60
#: The ends of the functions' names.
_SUFFIXES: Final = {torch.float32: "f32", torch.bfloat16: "bf16"}


def compile_library() -> Any:
    """Return the compiled functions as a ctypes library; None if they cannot be compiled."""
    compiler = next(
        (p for c in (os.environ.get("CC"), "cc", "gcc", "clang") if c and (p := shutil.which(c))),
        None,
    )
    if compiler is None:
        return None
    source = str(files("ifcurate.engines.cpu").joinpath("kernels.c"))
    failures = (OSError, subprocess.SubprocessError)
    with tempfile.TemporaryDirectory(prefix="ifcurate-") as folder, contextlib.suppress(*failures):
        made = Path(folder) / "kernels.so"
        for extra in ((_WIDE,), ()):
            command = [compiler, *_FLAGS, *extra, "-o", str(made), source, "-lm"]
            run = subprocess.run(  # noqa: S603  (a fixed command on our own file)
                command, capture_output=True, timeout=_TIMEOUT_S, check=False
            )
            if run.returncode == 0:
                return ctypes.CDLL(str(made))
    return None


class Kernels(Arithmetic):
    """The compiled functions, for contiguous CPU tensors."""

    notes: tuple[str, ...] = ("compiled kernels",)

    def __init__(self, compiled: Any) -> None:
        self.compiled = compiled

    def call(self, name: str, first: Tensor, *others: Tensor | float | None) -> None:
        """Call the function of this name for the dtype of the first argument."""
        function = getattr(self.compiled, f"{name}_{_SUFFIXES[first.dtype]}")
        function(*map(_as_c, (first, *others)))

    def fuse(self, model: Any) -> Body | None:
        """See `Arithmetic.fuse`."""
        from ifcurate.engines.cpu.fused import fuse_decoder

        return fuse_decoder(model, self)

    def softmax(
        self, scores: Tensor, *, group: int, before: int, scale: float, cap: float
    ) -> Tensor:
        """See `Arithmetic.softmax`; in place."""
        scratch = torch.empty(scores.shape[2])
        sizes = (*scores.shape, group, before)
        self.call("causal_softmax", scores, scratch, *sizes, scale, cap)
        return scores

    def add_logsumexp(self, logits: Tensor, top: Tensor, total: Tensor) -> None:
        """See `Arithmetic.add_logsumexp`."""
        self.call("lse", logits, *logits.shape, logits.stride(0), top, total)


def _as_c(value: Tensor | float | None) -> Any:
    """Return an argument for C: the address of a tensor, a count as long, a number as float."""
    if value is None:
        return None
    if isinstance(value, Tensor):
        return ctypes.c_void_p(value.data_ptr())
    return ctypes.c_long(value) if isinstance(value, int) else ctypes.c_float(value)
