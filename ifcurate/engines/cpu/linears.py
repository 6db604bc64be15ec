"""Matrix products of a CPU through whichever way is fastest here.

PyTorch gives float32 products to MKL, which on AMD processors reaches less than
half of what oneDNN does on the same tensors; on Intel's they are alike. Where the
processor has matrix tiles, sums of bfloat16 products on these are faster than
both (`ifcurate.engines.cpu.tiles`). A short probe decides when an engine is made. The
oneDNN operation is one of PyTorch's private ones: it is looked for, tried,
compared, and left alone where anything is amiss. The weights stay as they are, so
nothing is held twice.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import torch

    from ifcurate.engines.cpu.kernels import Kernels
    from ifcurate.engines.cpu.tiles import Tiles

__all__ = ["Products", "choose_products", "least_rows", "use_products"]

_WORTH: Final = 1.25  # how much faster another way must be
_SIZE: Final = 512
_REPEATS: Final = 5
_ROWS: Final = (24, 192, 384, 640, 896, 1024, 1280, 1536)
_MOST_ROWS: Final = 2048


class Products:
    """Products with weights as `torch.nn.Linear` holds them, (outputs, inputs)."""

    def __init__(self, *, onednn: bool = False, tiles: Tiles | None = None) -> None:
        self.onednn = onednn
        self.tiles = tiles  # for float32, on one thread

    @property
    def way(self) -> str:
        """How float32 numbers are multiplied, in words; "" for PyTorch's own way."""
        if self.tiles is not None:
            return "bfloat16 matrix tiles, six products for each"
        return "oneDNN" if self.onednn else ""

    def linear(
        self,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None = None,
        out: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """`x @ weight.T + bias`; in `out`, where there is one and the library can."""
        import torch

        if self._on_tiles(x, weight):
            assert self.tiles is not None
            made: torch.Tensor = x.new_empty(len(x), len(weight)) if out is None else out
            self.tiles.linear(x, weight, made, bias)
            return made
        if self.onednn:
            made = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
            return made
        if bias is None:
            return torch.mm(x, weight.t(), out=out)
        return torch.addmm(bias, x, weight.t(), out=out)

    def add_linear(
        self, total: torch.Tensor, x: torch.Tensor, weight: torch.Tensor
    ) -> torch.Tensor:
        """`total + x @ weight.T`; `total` may be written over."""
        import torch

        if self._on_tiles(x, weight) and total.is_contiguous():
            assert self.tiles is not None
            self.tiles.linear(x, weight, total, add=True)
            return total
        if self.onednn:
            made: torch.Tensor = torch.ops.mkldnn._linear_pointwise.binary(
                x, total, weight, None, "add"
            )
            return made
        return torch.addmm(total, x, weight.t(), out=total)

    def _on_tiles(self, x: torch.Tensor, weight: torch.Tensor) -> bool:
        import torch

        if self.tiles is None or x.dtype is not torch.float32 or not x.is_contiguous():
            return False
        return weight.dtype is torch.float32 and self.tiles.fit(weight)


def choose_products(
    device: torch.device, dtype: torch.dtype, kernels: Kernels | None = None
) -> Products:
    """Tiles for float32 where there are any, oneDNN where a probe finds it clearly faster."""
    import torch

    plain = Products()
    if device.type != "cpu" or dtype is not torch.float32:
        return plain
    # A tile kernel runs on one thread; with more, the libraries have the others. Taken without
    # a race, which a busy machine could decide another way when a run goes on.
    tiles = kernels.tiles if kernels is not None and torch.get_num_threads() == 1 else None
    if tiles is not None:
        return Products(tiles=tiles)
    return Products(onednn=True) if _onednn_wins() else plain


def _probe() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    import torch

    generator = torch.Generator().manual_seed(0)
    x, weight, total = (torch.randn(_SIZE, _SIZE, generator=generator) for _ in range(3))
    return x, weight, total


@functools.cache
def _onednn_wins() -> bool:
    import torch

    plain, other = Products(), Products(onednn=True)
    x, weight, total = _probe()
    bias = total[0].contiguous()
    try:
        with torch.inference_mode():
            for given in (None, bias):
                truth = torch.nn.functional.linear(x, weight, given)
                if not torch.allclose(other.linear(x, weight, given), truth, rtol=1e-4, atol=1e-3):
                    return False
            truth = total + x @ weight.t()
            found = other.add_linear(total.clone(), x, weight)
            if not torch.allclose(found, truth, rtol=1e-4, atol=1e-3):
                return False
            return _seconds(plain, x, weight) > _WORTH * _seconds(other, x, weight)
    except (RuntimeError, AttributeError, TypeError, NotImplementedError):
        return False


def _seconds(products: Products, x: torch.Tensor, weight: torch.Tensor) -> float:
    times = []
    for _ in range(_REPEATS):
        start = time.process_time()
        products.linear(x, weight)
        times.append(time.process_time() - start)
    return min(times)


def least_rows(weights: Iterable[torch.Tensor]) -> int:
    """Rows from which on a product's rows are the same bits, however many there are.

    A library takes other ways for few rows than for many, and in bfloat16 the
    roundings then differ. 1 where the number makes no difference, or where even
    large ones do; only bfloat16 on a CPU is asked.
    """
    import torch

    found = 1
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
        found = max(found, stable[0])
    return found if found > _ROWS[0] else 1


def use_products(model: Any, products: Products) -> None:
    """Let the model's own linear layers multiply that way."""
    import torch

    if not products.way:
        return
    for module in model.modules():
        if type(module) is torch.nn.Linear:
            setattr(module, "forward", functools.partial(_forward, products, module))  # noqa: B010


def _forward(products: Products, module: Any, x: torch.Tensor) -> torch.Tensor:
    flat = x.reshape(-1, x.shape[-1])
    made = products.linear(flat, module.weight, module.bias)
    return made.view(*x.shape[:-1], made.shape[-1])
