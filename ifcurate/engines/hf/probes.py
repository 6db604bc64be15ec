"""Checks of a model before it scores anything, and the choice of its route.

1. The model's numbers are finite, and no position sees the tokens after it.
2. Whether its head can be applied to some positions only (`head`).
3. The route is the first of fused, packed and single whose body gives the numbers of
   the model's own forward pass on a small prefix tree.

The first and the third are checked in float32, with the same weights. Rounding to 16 bits can hide
a wrong route, and can make a correct one look wrong.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
import torch

from ifcurate.engines.base import Prompt
from ifcurate.engines.hf.arithmetic import Arithmetic, Body, use_arithmetic
from ifcurate.engines.hf.attention import can_use_varlen
from ifcurate.engines.hf.bodies import PackedBody, SingleBody, exact_length
from ifcurate.engines.hf.head import ResponseHead, find_head
from ifcurate.engines.hf.packing import find_distinct
from ifcurate.errors import ModelError
from ifcurate.memory import free_memory

_NO_KERNELS: Final = "IFCURATE_NO_KERNELS"  # environment variable, the same as --no-kernels

_N_IDS: Final = 16
#: Difference of hidden states from the model's own, both as root mean squares. In 16 bits it only
#: has to find gross errors, because the float32 check comes first. Two correct routes in bfloat16
#: differ by up to 0.05 (the bundled model; each differs by 0.03 from float64).
_TOLERANCE: Final = {"float64": 2e-7, "float32": 1e-4, "bfloat16": 0.3, "float16": 0.05}
_UNUSABLE: Final = (RuntimeError, TypeError, ValueError, AttributeError, LookupError)

#: How far logits may move when later tokens change, as a share of the largest.
_UNMOVED: Final = {"float64": 1e-6, "float32": 1e-4, "bfloat16": 0.05, "float16": 0.05}
_ROOM: Final = 1.2  # bytes that must be free for each byte of a float32 copy


@dataclass(frozen=True, slots=True)
class Route:
    """How the numbers of a model are computed."""

    name: str  # "fused", "packed" or "single", see `bodies`
    body: Body
    head: ResponseHead | None  # None where only the model's own pass is right
    arithmetic: Arithmetic
    checked_in: str = "float32"


def choose_route(model: Any, name: str, *, no_kernels: bool = False) -> Route:
    """Return the fastest route that gives the model's own numbers.

    Raises `ModelError` for a model that does not run, or is not a causal language model.
    """
    check_model(model, name)
    among: Collection[str] = ("fused", "packed")
    with in_float32(model) as widened:
        if widened:
            check_model(model, name)
            wide = choose_arithmetic(model.device, model.dtype, no_kernels=no_kernels)
            among = {route.name for route in right_routes(model, wide, among)}
    arithmetic = choose_arithmetic(model.device, model.dtype, no_kernels=no_kernels)
    use_arithmetic(model, arithmetic)
    route = right_routes(model, arithmetic, among)[0]
    dtype = "float32" if widened else str(model.dtype).removeprefix("torch.")
    return replace(route, checked_in=dtype)


@contextlib.contextmanager
def in_float32(model: Any) -> Iterator[bool]:
    """Widen the model's 16-bit weights to float32 inside; False if memory is too small for them."""
    narrow = [p for p in model.parameters() if p.dtype in (torch.bfloat16, torch.float16)]
    on_gpu = model.device.type == "cuda"
    free = torch.cuda.mem_get_info(model.device)[0] if on_gpu else free_memory()
    if free < _ROOM * 4 * sum(p.numel() for p in narrow):
        narrow = []
    held = [p.data for p in narrow]
    try:
        for p in narrow:
            p.data = p.data.float()
        yield bool(narrow)
    finally:
        for p, data in zip(narrow, held, strict=True):
            p.data = data


def check_model(model: Any, name: str) -> None:
    """Raise `ModelError` for a model that does not run, or is not a causal language model."""
    n_ids = len(model.get_input_embeddings().weight)
    ids = (torch.arange(_N_IDS, device=model.device) * 7 + 3) % n_ids
    other = ids.clone()
    kept = _N_IDS - _N_IDS // 4
    other[kept:] = (other[kept:] + 1) % n_ids
    try:
        with torch.inference_mode():
            first, second, third = (
                model(input_ids=x[None], use_cache=False).logits[0].float()
                for x in (ids, other, ids[:kept])
            )
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ModelError(
            f"{name}: the model does not run on a short text; found {type(error).__name__}: "
            f"{str(error)[:200]}; upgrade transformers, or choose another model"
        ) from error
    if not torch.isfinite(first).all():
        raise ModelError(
            f"{name}: the model gives numbers that are not finite; found a short text whose "
            f"logits are NaN or infinite in {str(model.dtype).removeprefix('torch.')}; "
            "use --dtype float32 or bfloat16, or check the weights"
        )
    changes = [float((first[:kept] - other).abs().max()) for other in (second[:kept], third)]
    change = max(changes)
    if not change <= _UNMOVED[str(model.dtype).removeprefix("torch.")] * float(first.abs().max()):
        raise ModelError(
            f"{name}: not a causal language model: a position sees the tokens after it; found "
            f"logits that move by {change:.3g} when later tokens change or are left out; "
            "choose a decoder-only model"
        )


def are_kernels_off(device: torch.device, *, no_kernels: bool = False) -> bool:
    """Return whether the option or the environment switches off the kernels."""
    text = os.environ.get(_NO_KERNELS, "").lower()
    return device.type == "cpu" and (no_kernels or text not in ("", "0", "false", "no"))


def choose_arithmetic(
    device: torch.device, dtype: torch.dtype, *, no_kernels: bool = False
) -> Arithmetic:
    """Return the fastest arithmetic for a device and dtype that gives PyTorch's numbers."""
    if device.type != "cpu" or are_kernels_off(device, no_kernels=no_kernels):
        return Arithmetic()
    try:
        from ifcurate.engines.cpu.arithmetic import find_arithmetic
    except ImportError:
        return Arithmetic()
    return find_arithmetic(dtype)


def right_routes(model: Any, arithmetic: Arithmetic, among: Collection[str]) -> list[Route]:
    """Return the routes that give the model's own hidden states, the fastest first.

    The last one is the model's own pass, one sequence at a time.
    """
    single, head = SingleBody(model), find_head(model, arithmetic)
    routes = [Route("single", single, head, arithmetic)]
    distinct = find_distinct(_probes(model))
    limit = exact_length(model.config) or 1 << 20
    members = [i for i, s in enumerate(distinct.sequences) if len(s.ids) - 1 <= limit]
    if head is None or not members:
        return routes
    (pack,) = distinct.packs(members, 1 << 20)
    with torch.inference_mode():
        truth = single.hidden(pack)
        for name, make in _makers(model, arithmetic):
            with contextlib.suppress(*_UNUSABLE):
                body = make() if name in among else None
                if body is not None and _agree(body.hidden(pack), truth):
                    routes.insert(-1, Route(name, body, head, arithmetic))
    return routes


def _makers(model: Any, arithmetic: Arithmetic) -> list[tuple[str, Callable[[], Body | None]]]:
    """Bodies to try, the fastest first: with torch's GPU attention, then without it."""
    kinds = (True, False) if can_use_varlen(model.device, model.dtype) else (False,)
    packed = [partial(PackedBody, model, arithmetic, varlen=varlen) for varlen in kinds]
    return [("fused", partial(arithmetic.fuse, model)), *(("packed", make) for make in packed)]


def _agree(states: torch.Tensor, truth: torch.Tensor) -> bool:
    if states.shape != truth.shape:
        return False
    wide = truth.to(torch.float64)
    off = (states.to(torch.float64) - wide).square().mean().sqrt()
    # The comparison is false for a number that is not finite.
    limit = _TOLERANCE[str(truth.dtype).removeprefix("torch.")] * wide.square().mean().sqrt()
    return bool(off <= limit)


def _probes(model: Any) -> list[Prompt]:
    """Prompts with shared beginnings, one that begins another, a short and a longer one."""
    n_ids = len(model.get_input_embeddings().weight)
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, n_ids, size=n).tolist() for n in (11, 13, 5, 23, 9, 3, 40)]
    start, middle, *tails = drawn
    both = start + middle
    sequences = [both + tails[0], both + tails[1], start + tails[2], both, tails[3], tails[4]]
    return [Prompt(ids=ids, response_start=max(1, len(ids) // 3)) for ids in sequences]
