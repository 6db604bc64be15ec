"""The matrix operations of the engine: those of PyTorch, or faster ones.

The package `ifcurate.engines.cpu` has faster ones for some processors. It is optional:
the engine works without it, and imports it in one place only. `--no-kernels`, or
IFCURATE_NO_KERNELS in the environment, switches it off.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol

from ifcurate.engines.hf.prefix_tree import Pack

if TYPE_CHECKING:
    import torch

LANES: Final = 16  # keys are read in groups of this size
_ROWS: Final = (24, 192, 384, 640, 896, 1024, 1280, 1536)
_MOST_ROWS: Final = 2048


class Body(Protocol):
    """From a pack to hidden states."""

    def hidden(self, pack: Pack) -> torch.Tensor:
        """Last hidden states of `pack.rows`, shape (n_predicted, width)."""


class TreePlan(Protocol):
    """The part of `attention.AttentionPlan` that a kernel uses."""

    @property
    def most_keys(self) -> int:
        """Tokens of the longest path."""

    @property
    def nodes(self) -> torch.Tensor:
        """Shape (n_nodes, 4)."""

    @property
    def spans(self) -> torch.Tensor:
        """Shape (n_spans, 2)."""


class Arithmetic:
    """PyTorch's own operations, on any device. Faster operations subclass it."""

    #: The operations that replace PyTorch's, for the manifest.
    notes: tuple[str, ...] = ()
    #: Whether the model's own linear layers multiply by `linear`.
    replaces_linears = False

    def linear(
        self,
        x: torch.Tensor,  # (rows, width)
        weight: torch.Tensor,  # (outputs, width), as `torch.nn.Linear` holds it
        bias: torch.Tensor | None = None,
        out: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """`x @ weight.T + bias`; in `out`, if it is given and the library supports it."""
        import torch

        if bias is None:
            return torch.mm(x, weight.t(), out=out)
        return torch.addmm(bias, x, weight.t(), out=out)

    def add_linear(
        self, total: torch.Tensor, x: torch.Tensor, weight: torch.Tensor
    ) -> torch.Tensor:
        """`total + x @ weight.T`; may overwrite `total`."""
        import torch

        return torch.addmm(total, x, weight.t(), out=total)

    def attend(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        plan: TreePlan,
        out: torch.Tensor,
        *,
        scale: float,
        cap: float,
    ) -> bool:
        """Compute the attention of a whole tree, as `attention.attend`. False if it does not."""
        return False

    def softmax(
        self, scores: torch.Tensor, *, group: int, before: int, scale: float, cap: float
    ) -> torch.Tensor:
        """Softmax over the first `before + row // group + 1` scores of each row, 0 after.

        May overwrite `scores` (batches, rows, keys).
        """
        import torch

        dtype = scores.dtype
        wide = scores if dtype == torch.float64 else scores.float()
        wide = wide * scale
        if cap > 0:
            wide = (wide / cap).tanh() * cap
        rows = torch.arange(scores.shape[1], device=scores.device) // group
        columns = torch.arange(scores.shape[2], device=scores.device)
        hidden = columns > (before + rows).unsqueeze(1)
        return wide.masked_fill_(hidden, -torch.inf).softmax(dim=-1).to(dtype)

    def logsumexp(
        self, hidden: torch.Tensor, weight: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Log-sum-exp of `hidden @ weight.T` as top + log(sum), (rows,) each.

        None to compute it block by block.
        """
        return None

    def add_logsumexp(self, logits: torch.Tensor, top: torch.Tensor, total: torch.Tensor) -> None:
        """Update log-sum-exp = top + log(total) with a block of columns (rows, cols)."""
        import torch

        high = torch.maximum(top, logits.amax(dim=-1))
        total.mul_((top - high).exp()).add_((logits - high.unsqueeze(-1)).exp().sum(dim=-1))
        top.copy_(high)

    def fuse(self, model: Any) -> Body | None:
        """A faster pass over all layers of the model; None if there is none."""
        return None


def use_arithmetic(model: Any, arithmetic: Arithmetic) -> None:
    """Make the model's own linear layers use this arithmetic."""
    import torch

    if arithmetic.replaces_linears:
        for module in model.modules():
            if type(module) is torch.nn.Linear:
                setattr(module, "forward", functools.partial(_forward, arithmetic, module))  # noqa: B010


def _forward(arithmetic: Arithmetic, module: Any, x: torch.Tensor) -> torch.Tensor:
    flat = x.reshape(-1, x.shape[-1])
    made = arithmetic.linear(flat, module.weight, module.bias)
    return made.view(*x.shape[:-1], made.shape[-1])


def padded_rows(rows: int) -> int:
    """The rows of key and value buffers: kernels may read whole groups past the last key."""
    return -(-rows // LANES) * LANES + 2 * LANES


def least_rows(weights: Iterable[torch.Tensor]) -> int:
    """The number of rows from which the number of rows does not change the bits of a row.

    Libraries multiply few rows differently from many, and in bfloat16 the rounding then
    differs. The result is 1 if the number of rows makes no difference, or if it still does
    for large numbers. Only bfloat16 on a CPU is tested.
    """
    import torch

    least = 1
    for shape, weight in {tuple(w.shape): w for w in weights}.items():
        if weight.dtype is not torch.bfloat16 or weight.device.type != "cpu":
            continue
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(_MOST_ROWS, shape[1], generator=generator).to(weight.dtype)
        total = torch.zeros(_MOST_ROWS, shape[0], dtype=weight.dtype)
        whole = torch.addmm(total, x, weight.t())
        equal = [
            bool(torch.equal(torch.addmm(total[:n], x[:n], weight.t()), whole[:n])) for n in _ROWS
        ]
        stable = [n for i, n in enumerate(_ROWS) if all(equal[i:])]
        if not stable:
            return 1
        least = max(least, stable[0])
    return least if least > _ROWS[0] else 1
