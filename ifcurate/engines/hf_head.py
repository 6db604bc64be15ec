"""The head at response positions only: hidden states in, log-probabilities of given ids out.

    log p(y | h) = z_y - log sum_v exp(z_v),    z = f(W h + b)

in float32 whatever the model's dtype, a chunk of rows at a time, so that memory
never holds vocabulary x sequence. `f` is what some families put after the head
(Gemma's soft cap, Cohere's and Granite's scales). Which of them a model uses is
read from its own forward pass and not from its name: the input and the output
of its head module are recorded there and compared with what it returns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import torch

__all__ = ["ResponseHead", "find_head"]

_CHUNK_ROWS: Final = {"cpu": 128, "cuda": 1024}


class ResponseHead:
    """Log-probabilities of target ids from the last hidden states."""

    def __init__(
        self,
        weight: torch.Tensor,  # (vocabulary, width)
        bias: torch.Tensor | None,  # (vocabulary,)
        transform: Callable[[torch.Tensor], torch.Tensor] | None,
    ) -> None:
        import torch

        wide = torch.float64 if weight.dtype == torch.float64 else torch.float32
        self._weight = weight.to(wide)
        self._bias = None if bias is None else bias.to(wide)
        self._transform = transform
        self._rows = _CHUNK_ROWS.get(weight.device.type, 128)

    def logprobs(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """`hidden` (rows, width) and `targets` (rows,) to log-probabilities (rows,)."""
        import torch
        import torch.nn.functional as F  # noqa: N812

        parts = []
        for start in range(0, len(targets), self._rows):
            rows = hidden[start : start + self._rows].to(self._weight.dtype)
            logits = F.linear(rows, self._weight, self._bias)
            if self._transform is not None:
                logits = self._transform(logits)
            parts.append(pick_logprobs(logits, targets[start : start + self._rows]))
        return torch.cat(parts) if parts else hidden.new_zeros(0, dtype=self._weight.dtype)


def pick_logprobs(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Log-softmax of `logits` (rows, vocabulary) at `targets` (rows,)."""
    picked = logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return picked - logits.logsumexp(dim=-1)


def find_head(model: Any, ids: torch.Tensor) -> ResponseHead | None:
    """The model's head, when hidden state -> head is all that its forward pass does.

    `ids`, shape (1, n), is a small input to try it on. None when anything else
    happens there: then only the model's own forward pass is right.
    """
    import torch

    module = model.get_output_embeddings()
    if (
        not isinstance(module, torch.nn.Linear)
        or type(module).forward is not torch.nn.Linear.forward
    ):
        return None
    seen: dict[str, torch.Tensor] = {}

    def record(_module: Any, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        seen["input"], seen["output"] = args[0], output

    hook = module.register_forward_hook(record)
    try:
        with torch.inference_mode():
            logits = model(input_ids=ids, use_cache=False).logits
            hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    finally:
        hook.remove()
    if "input" not in seen or seen["input"].shape != hidden.shape:
        return None
    if not _same(seen["input"], hidden) or seen["output"].shape != logits.shape:
        return None
    for transform in (None, *_known_transforms(model.config)):
        made = seen["output"] if transform is None else transform(seen["output"])
        if _same(made, logits):
            return ResponseHead(module.weight, module.bias, transform)
    return None


def _known_transforms(config: Any) -> list[Callable[[torch.Tensor], torch.Tensor]]:
    config = config.get_text_config() if hasattr(config, "get_text_config") else config
    known: list[Callable[[torch.Tensor], torch.Tensor]] = []
    cap = getattr(config, "final_logit_softcapping", None)
    if cap:
        known.append(lambda z: (z / cap).tanh() * cap)
    scale = getattr(config, "logit_scale", None)
    if scale:
        known.append(lambda z: z * scale)
    divisor = getattr(config, "logits_scaling", None)
    if divisor:
        known.append(lambda z: z / divisor)
    return known


def _same(made: torch.Tensor, logits: torch.Tensor) -> bool:
    import torch

    # One rounding of the model's dtype apart at most: the same operations, done again.
    spacing = 4 * torch.finfo(made.dtype).eps
    return torch.allclose(made.float(), logits.float(), rtol=spacing, atol=spacing * 1e-3)
