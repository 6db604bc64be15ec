"""Two groups in a distribution with long tails: the valley between its two highest peaks.

Values x become y = asinh(x / s), where s is the median of |x|. y is near x / s for |x| < s
and logarithmic beyond, so that a long tail does not hide the core. A normal kernel of width
0.9 * deviation * n^(-1/5) smooths a histogram of y. The cut is the lowest point between the
two most prominent peaks. The histogram is resampled `n_bootstrap` times, and the interval
holds the middle 95% of the resampled cuts.

There are no two groups if the less prominent peak rises less than `MIN_DEPTH` of its height
above the valley, or if fewer than `MIN_PARTED` of the draws have a valley.
`benchmarks/auto_cut.md` compares the other methods that were tried.

Reference: Silverman, Density Estimation for Statistics and Data Analysis, 1986.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

MIN_ROWS: Final = 30
BINS: Final = 512
WIDTH: Final = 0.9  # Silverman's
MIN_DEPTH: Final = 0.15  # share of the smaller peak's height
MIN_PARTED: Final = 0.8  # share of the draws that must have a valley


@dataclass(frozen=True, slots=True)
class TwoGroups:
    """A cut between two groups, or the reason why there is none."""

    why_not: str  # "" when two groups were found
    threshold: float = math.nan
    low: float = math.nan  # the middle 95% of the resampled cuts; no bias is in it
    high: float = math.nan


def find_two_groups(values: FloatArray, *, n_bootstrap: int, seed: int) -> TwoGroups:
    """Find the cut between two groups of finite values, shape (n,), in ascending order."""
    n = len(values)
    if n < MIN_ROWS:
        rows = "1 row is" if n == 1 else f"{n} rows are"
        return TwoGroups(f"{rows} too few to tell groups apart ({MIN_ROWS} are needed)")
    if values[0] == values[-1]:
        return TwoGroups("all values are equal")
    scale = float(np.median(np.abs(values))) or float(np.abs(values).max())
    y = np.arcsinh(values / scale)
    counts, edges = np.histogram(y, BINS)
    middles = (edges[:-1] + edges[1:]) / 2
    width = WIDTH * float(y.std()) * n**-0.2 / (edges[1] - edges[0])  # width of the kernel, in bins
    valley = _find_valley(counts.astype(np.float64), width)
    if valley is None:
        return TwoGroups("the distribution has no valley between two peaks")
    draws = np.random.default_rng(seed).multinomial(n, counts / n, size=n_bootstrap)
    valleys = (_find_valley(draw.astype(np.float64), width) for draw in draws)
    cuts = [at for at in valleys if at is not None]
    if len(cuts) < MIN_PARTED * n_bootstrap:
        return TwoGroups(f"a valley is in only {len(cuts) / n_bootstrap:.0%} of the draws")
    low, high = np.quantile(middles[cuts], [0.025, 0.975])
    threshold, low, high = (math.sinh(at) * scale for at in (middles[valley], low, high))
    return TwoGroups("", threshold, min(low, threshold), max(high, threshold))


def _find_valley(counts: FloatArray, width: float) -> int | None:
    """Return the lowest bin between the two most prominent peaks; None without two."""
    from scipy import ndimage, signal  # type: ignore[import-untyped]

    density = np.pad(ndimage.gaussian_filter1d(counts, width, mode="constant"), 1)
    peaks, about = signal.find_peaks(density, prominence=0)
    if len(peaks) < 2:
        return None
    second = np.argsort(about["prominences"])[-2]
    if about["prominences"][second] < MIN_DEPTH * density[peaks[second]]:
        return None
    low, high = sorted(peaks[np.argsort(about["prominences"])[-2:]])
    return int(low + density[low:high].argmin()) - 1
