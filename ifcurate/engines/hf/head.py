"""The head at response positions only: hidden states in, log-probabilities of given ids out.

    log p(y | h) = z_y - log sum_v exp(z_v),    z = f(W h + b)

in float32 regardless of the model's dtype, some rows and some thousand columns at a time, so
that memory never holds vocabulary x sequence. `f` is the function that some families
apply after the head (Gemma's soft cap, Cohere's and Granite's scales). The model's own
forward pass shows which one it uses: the input and the output of its head module are
recorded and compared with what the model returns.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from ifcurate.engines.hf.arithmetic import Arithmetic

_N_IDS: Final = 16
_ROWS: Final = 1024
_COLUMNS: Final = {"cpu": 1024, "cuda": 1 << 30}  # a block of logits stays in a CPU's cache


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """Log-probabilities of target ids from the last hidden states."""

    weight: Tensor  # (vocabulary, width)
    bias: Tensor | None  # (vocabulary,)
    transform: Callable[[Tensor], Tensor] | None
    arithmetic: Arithmetic

    def logprobs(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """`hidden` (rows, width) and `targets` (rows,) to log-probabilities (rows,)."""
        wide = torch.float64 if self.weight.dtype == torch.float64 else torch.float32
        exact = hidden.to(wide)
        picked = (exact * self.weight[targets].to(wide)).sum(dim=-1)
        if self.bias is not None:
            picked += self.bias[targets]
        if self.transform is not None:
            picked = self.transform(picked)
        sums = None
        if self.bias is None and self.transform is None:
            parts = hidden.split(_ROWS)  # type: ignore[no-untyped-call]
            sums = [self.arithmetic.logsumexp(part, self.weight) for part in parts]
        if sums is not None and None not in sums:
            top, total = (torch.cat(column) for column in zip(*sums, strict=True))
        else:
            half = hidden.dtype is torch.bfloat16 is self.weight.dtype
            with _bfloat16_products(half):
                top, total = self._logsumexp(exact)
        # These few numbers are computed in float64: a vector's logarithm may differ from a single
        # number's in the last bit, and a row's score would depend on its place.
        return (picked.double() - top.double() - total.double().log()).to(wide)

    def _logsumexp(self, exact: Tensor) -> tuple[Tensor, Tensor]:
        wide = exact.dtype
        n, vocabulary = len(exact), len(self.weight)
        top = torch.full((n,), -torch.inf, dtype=wide, device=exact.device)
        total = torch.zeros(n, dtype=wide, device=exact.device)
        # One buffer for all blocks: new memory for each takes longer than its sums.
        columns = _COLUMNS.get(self.weight.device.type, 1024)
        block = min(_ROWS, n) * min(columns, vocabulary)
        space = torch.empty(block, dtype=wide, device=exact.device)
        for low in range(0, vocabulary, columns):
            # One block of a 16-bit matrix is widened at a time, not the whole matrix.
            weight = self.weight[low : low + columns].to(wide)
            for start in range(0, n, _ROWS):
                rows = slice(start, start + _ROWS)
                some = exact[rows]
                room = space[: len(some) * len(weight)].view(len(some), len(weight))
                logits = self.arithmetic.linear(some, weight, out=room)
                if self.bias is not None:
                    logits += self.bias[low : low + columns]
                if self.transform is not None:
                    logits = self.transform(logits)
                self.arithmetic.add_logsumexp(logits, top[rows], total[rows])
        return top, total


@contextlib.contextmanager
def _bfloat16_products(wanted: bool) -> Iterator[None]:
    """Make a CPU multiply float32 numbers as bfloat16, and add up in float32.

    It is used when every number is exact in bfloat16, so that nothing is rounded. The result
    is that of float32, several times as fast.
    """
    setting: Any = getattr(getattr(torch.backends, "mkldnn", None), "matmul", None)
    before = getattr(setting, "fp32_precision", None)
    if not wanted or before is None:
        yield
        return
    try:
        setting.fp32_precision = "bf16"
        yield
    finally:
        setting.fp32_precision = before


def pick_logprobs(logits: Tensor, targets: Tensor) -> Tensor:
    """Log-softmax of `logits` (rows, vocabulary) at `targets` (rows,)."""
    picked = logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return picked - logits.logsumexp(dim=-1)


def find_head(model: Any, arithmetic: Arithmetic) -> ResponseHead | None:
    """Return the model's head, if its forward pass only applies the head to the hidden states.

    It is tried on a few tokens. None if the forward pass does anything else: then only the
    model's own pass is right.
    """
    module = model.get_output_embeddings()
    if type(module) is not torch.nn.Linear:  # a subclass may do more than a product
        return None
    ids = torch.arange(_N_IDS, device=model.device)[None]
    ids %= len(model.get_input_embeddings().weight)
    seen: dict[str, Tensor] = {}

    def record(_module: Any, args: tuple[Tensor, ...], output: Tensor) -> None:
        seen["input"], seen["output"] = args[0], output

    hook = module.register_forward_hook(record)
    try:
        with torch.inference_mode():
            logits = model(input_ids=ids, use_cache=False).logits
            hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    except (RuntimeError, TypeError, ValueError, AttributeError):
        return None
    finally:
        hook.remove()
    if "input" not in seen or seen["input"].shape != hidden.shape:
        return None
    if not _same(seen["input"], hidden) or seen["output"].shape != logits.shape:
        return None
    for transform in (None, *_known_transforms(model.config)):
        made = seen["output"] if transform is None else transform(seen["output"])
        if _same(made, logits):
            return ResponseHead(module.weight, module.bias, transform, arithmetic)
    return None


def _known_transforms(config: Any) -> list[Callable[[Tensor], Tensor]]:
    config = config.get_text_config()
    known: list[Callable[[Tensor], Tensor]] = []
    if cap := getattr(config, "final_logit_softcapping", None):
        known.append(lambda z: (z / cap).tanh() * cap)
    if scale := getattr(config, "logit_scale", None):
        known.append(lambda z: z * scale)
    if divisor := getattr(config, "logits_scaling", None):
        known.append(lambda z: z / divisor)
    return known


def _same(made: Tensor, logits: Tensor) -> bool:
    # The same operations, done again, differ by one rounding of the model's dtype at most.
    spacing = 4 * torch.finfo(made.dtype).eps
    return torch.allclose(made.float(), logits.float(), rtol=spacing, atol=spacing * 1e-3)
