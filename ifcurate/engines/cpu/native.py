"""Compile `kernels.c` and call it: the door to C.

The library is built into a private temporary folder and loaded from there when
an engine is made (about two seconds); nothing is kept or looked for on disk
afterwards, so no one else's file can be loaded in its place.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import torch

__all__ = ["at", "compile_library", "long", "real", "suffix"]

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


def compile_library() -> Any:
    """The compiled functions as a ctypes library; None where that cannot be done."""
    compiler = next(
        (p for c in (os.environ.get("CC"), "cc", "gcc", "clang") if c and (p := shutil.which(c))),
        None,
    )
    if compiler is None:
        return None
    source = str(files("ifcurate.engines.cpu").joinpath("kernels.c"))
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


def suffix(x: torch.Tensor) -> str:
    """What the names of functions for the dtype of `x` end in."""
    import torch

    return {torch.float32: "f32", torch.bfloat16: "bf16"}[x.dtype]


def at(x: torch.Tensor | None) -> ctypes.c_void_p | None:
    """Where the numbers of `x` begin; None for None."""
    return None if x is None else ctypes.c_void_p(x.data_ptr())


def long(n: int) -> ctypes.c_long:
    """A count as C has it."""
    return ctypes.c_long(n)


def real(x: float) -> ctypes.c_float:
    """A number as C has it."""
    return ctypes.c_float(x)
