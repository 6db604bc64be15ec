"""Two groups in a distribution with long tails: is there a second one, and where do they meet.

Values x are seen as y = asinh(x / s), near x for |x| < s and logarithmic
beyond, which tames a tail on either side of zero. In y a mixture of two normal
densities is fitted by expectation maximisation, at each of several s; the s
with the largest likelihood of x (that is, with the Jacobian
sum log(x^2 + s^2) / 2 taken off) is kept. Two mild priors steady small samples:

- each variance is shrunk to the pooled one as if by `VARIANCE_ROWS` more rows;
- where the lower group must be centred (a context that does not matter gains
  nothing), its mean is shrunk to 0 as if by `CENTRE_ROWS + CENTRE_SHARE * n` rows.

The fit is repeated on bootstrap draws, from where the first one ended and
without the prior on the variances (with it their cuts agree too well). The
chance of the upper group at x is the mean of their posteriors, each made
monotone; the cut is where it passes 1/2, and the middle 95% of the draws' own
cuts are its interval. The chances given are tempered (their log odds times
`TEMPER`).

There are no two groups where one group, its centre free, explains the values
as well by BIC, where a fifth of the draws has no cut, or where the errors that
the posterior expects come to more than `MAX_OVERLAP` of the smaller group. What
else was tried, with figures: `benchmarks/auto_cut.md`.

Reference: Dempster, Laird and Rubin 1977 (EM); Fraley and Raftery 2002 (BIC for
the number of groups).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ifcurate.split.sorting import FloatArray, Ranked

__all__ = ["TwoGroups", "find_two_groups"]

POINTS: Final = 256  # larger samples are summed up in as many bins of equal count
N_SCALES: Final = 12
START_SHARES: Final = (0.1, 0.3, 0.5, 0.7, 0.9)
VARIANCE_ROWS: Final = 20.0
CENTRE_ROWS: Final = 20.0
CENTRE_SHARE: Final = 0.1
MIN_ROWS: Final = 30
MIN_PARTED: Final = 0.8  # of the draws must have a cut
MAX_OVERLAP: Final = 0.35  # expected errors, as a share of the smaller group
TEMPER: Final = 0.6  # of the log odds; measured, the fitted posterior is too sure of itself
CENTRES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)  # quantiles where one group may be centred
MAX_STEPS: Final = 200
LOG_2PI: Final = math.log(2 * math.pi)


@dataclass(frozen=True, slots=True)
class Fit:
    """Two normal densities in y, for each draw; the lower group first."""

    weight: FloatArray  # shape (n_draws, 2), sums to 1
    mean: FloatArray  # shape (n_draws, 2)
    variance: FloatArray  # shape (n_draws, 2)
    likelihood: FloatArray  # shape (n_draws,), natural log, of y

    def log_odds(self) -> FloatArray:
        """Coefficients of 1, y, y^2 in log(p_upper / p_lower), shape (n_draws, 3)."""
        m, v = self.mean, self.variance
        constant = np.log(self.weight) - 0.5 * np.log(v) - 0.5 * m**2 / v
        each = np.stack([constant, m / v, -0.5 / v], axis=-1)  # (n_draws, 2, 3)
        odds: FloatArray = each[:, 1] - each[:, 0]
        return odds

    def cuts(self) -> FloatArray:
        """Where the odds are even between the means, in y; NaN where they never are."""
        a, b, c = self.log_odds().T
        low, high = self.mean.T

        def odds(y: FloatArray) -> FloatArray:
            value: FloatArray = a + b * y + c * y * y
            return value

        crossed = (low < high) & (odds(low) < 0) & (odds(high) > 0)
        for _ in range(60):  # bisection: safe where the quadratic degenerates to a line
            middle = (low + high) / 2
            above = odds(middle) > 0
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return np.where(crossed, (low + high) / 2, np.nan)


def fit_mixture(
    y: FloatArray,
    weights: FloatArray,
    starts: FloatArray,
    *,
    centre_rows: float,
    variance_rows: float,
) -> Fit:
    """Fit two normal densities to weighted points, one fit per row of `weights`.

    `y` has shape (n_points,), `weights` (n_draws, n_points), `starts` the
    first odds, as coefficients of 1, y, y^2: (n_draws, 3). The two priors are given
    as rows: what shrinks the lower mean to 0, and the variances to the pooled one.
    """
    basis = np.stack([np.ones_like(y), y, y * y])  # (3, n_points)
    total = weights @ basis.T  # (n_draws, 3): n, sum of y, sum of y^2
    n = total[:, 0]
    spread = total[:, 2] / n - (total[:, 1] / n) ** 2
    floor = np.maximum(1e-4 * spread, 1e-12)[:, None]
    coefficients, before = starts, np.full(len(weights), -np.inf)
    for step in range(MAX_STEPS):
        odds = np.clip(coefficients @ basis, -500, 500)
        upper = (weights / (1 + np.exp(-odds))) @ basis.T
        moments = np.stack([total - upper, upper], axis=1)  # (n_draws, group, moment)
        count = np.maximum(moments[..., 0], 1e-9)
        mean = moments[..., 1] / count
        mean[:, 0] *= count[:, 0] / (count[:, 0] + centre_rows)
        variance = moments[..., 2] / count - 2 * mean * moments[..., 1] / count + mean**2
        variance = np.maximum(variance, 0) + floor
        weight = count / count.sum(axis=1, keepdims=True)
        pooled = (variance * weight).sum(axis=1, keepdims=True)
        variance = (variance * count + pooled * variance_rows) / (count + variance_rows)
        fit = Fit(weight, mean, variance, before)
        coefficients = fit.log_odds()
        if step % 10 == 9:
            likelihood = _likelihood(fit, basis[1], weights)
            if np.all(np.abs(likelihood - before) < 1e-6 * n):
                break
            before = likelihood
    return Fit(weight, mean, variance, _likelihood(fit, basis[1], weights))


def _likelihood(fit: Fit, y: FloatArray, weights: FloatArray) -> FloatArray:
    density = np.zeros((len(weights), len(y)))
    for k in (0, 1):
        v = fit.variance[:, k, None]
        exponent = -0.5 * (y - fit.mean[:, k, None]) ** 2 / v
        density = density + fit.weight[:, k, None] * np.exp(exponent) / np.sqrt(v)
    logs = np.log(np.maximum(density, 1e-300)) - 0.5 * LOG_2PI
    total: FloatArray = (weights * logs).sum(axis=1)
    return total


@dataclass(frozen=True, slots=True)
class TwoGroups:
    """A cut between two groups, or why there is none."""

    why_not: str  # "" when two groups were found
    threshold: float = math.nan  # of x
    low: float = math.nan  # 95% interval of the threshold
    high: float = math.nan
    nodes: FloatArray = field(default_factory=lambda: np.zeros(0))  # shape (n_nodes,), x upwards
    chances: FloatArray = field(default_factory=lambda: np.zeros(0))  # at the nodes, never falling

    def chance(self, values: FloatArray) -> FloatArray:
        """The chance of the upper group, 0.5 at the threshold, never falling with the value."""
        found: FloatArray = np.interp(values, self.nodes, self.chances)
        return found


def find_two_groups(
    ranked: Ranked | FloatArray, *, centred: bool, n_bootstrap: int = 200, seed: int = 0
) -> TwoGroups:
    """Look for two groups in finite values, given sorted upwards.

    `centred` says that the lower group should lie about 0 (a mean gain).
    """
    if not isinstance(ranked, Ranked):
        ranked = Ranked.of(ranked)
    n = len(ranked)
    if n < MIN_ROWS:
        few = "1 row is" if n == 1 else f"{n} rows are"
        return TwoGroups(f"{few} too few to tell groups apart ({MIN_ROWS} are needed)")
    if ranked[0] == ranked[-1]:
        return TwoGroups("all values are equal")
    points, weights = _summed_up(ranked)
    scales = _scales(ranked)
    centre_rows = CENTRE_ROWS + CENTRE_SHARE * n if centred else 0.0
    fits = [_fit_best(points, weights, s, centre_rows) for s in scales]
    two = np.array([f.likelihood[0] for f in fits]) - _jacobian(points, weights, scales)
    evidence = 2 * (two.max() - _one_group(ranked, points, weights, scales)) - 2 * math.log(n)
    if evidence <= 0:
        return TwoGroups(f"one group explains the values as well (BIC better by {-evidence:.1f})")

    best = int(two.argmax())
    near = slice(max(0, best - 2), best + 3)
    counts = np.random.default_rng(seed).multinomial(n, weights / n, size=n_bootstrap)
    draws = counts.astype(np.float64)
    odds, cuts, scale = _fit_draws(points, draws, scales[near], fits[near], centre_rows)
    parted = np.isfinite(cuts)
    if parted.mean() < MIN_PARTED:
        return TwoGroups(f"the groups part in only {parted.mean():.0%} of the bootstrap draws")
    posterior = _posterior(points, odds[parted], cuts[parted], scale[parted])
    return _judge(ranked, points, weights, posterior, np.sinh(cuts[parted]) * scale[parted])


def _judge(
    ranked: Ranked,
    points: FloatArray,
    weights: FloatArray,
    posterior: FloatArray,
    cuts: FloatArray,
) -> TwoGroups:
    """The cut of a mean posterior (never falling) at points, unless the groups overlap too much."""
    if posterior[0] >= 0.5 or posterior[-1] <= 0.5:
        return TwoGroups("one of the groups is empty")
    threshold = float(np.interp(0.5, posterior, points))
    share = (len(ranked) - ranked.count_to(threshold)) / len(ranked)
    wrong = float(weights @ np.minimum(posterior, 1 - posterior)) / len(ranked)
    overlap = wrong / max(min(share, 1 - share), 1 / len(ranked))
    if overlap > MAX_OVERLAP:
        return TwoGroups(
            f"the groups overlap: as many rows on the wrong side as {overlap:.0%} of the smaller"
        )
    nodes, first = np.unique(points, return_index=True)
    safe = np.clip(posterior[first], 1e-12, 1 - 1e-12)
    chances = 1 / (1 + ((1 - safe) / safe) ** TEMPER)
    at = int(np.searchsorted(nodes, threshold))
    low, high = np.quantile(cuts, [0.025, 0.975])
    return TwoGroups(
        "",
        threshold,
        min(float(low), threshold),
        max(float(high), threshold),
        np.insert(nodes, at, threshold),
        np.insert(chances, at, 0.5),
    )


def _fit_draws(
    points: FloatArray,
    draws: FloatArray,
    scales: FloatArray,
    fits: list[Fit],
    centre_rows: float,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Each draw's log odds (n_draws, 3), cut in y and scale, at its best scale."""
    again = []
    for scale, fit in zip(scales, fits, strict=True):
        starts = np.repeat(fit.log_odds(), len(draws), axis=0)
        again.append(
            fit_mixture(
                np.arcsinh(points / scale),
                draws,
                starts,
                centre_rows=centre_rows,
                variance_rows=0.0,
            )
        )
    likelihoods = np.stack([f.likelihood for f in again], axis=1)  # (n_draws, n_scales)
    best = (likelihoods - _jacobian(points, draws, scales)).argmax(axis=1)
    rows = np.arange(len(draws))
    odds = np.stack([f.log_odds() for f in again])[best, rows]
    return odds, np.stack([f.cuts() for f in again])[best, rows], scales[best]


def _posterior(
    points: FloatArray, odds: FloatArray, cuts: FloatArray, scales: FloatArray
) -> FloatArray:
    """The mean over draws of the upper group's posterior, each made never to fall."""
    y = np.arcsinh(points / scales[:, None])  # (n_draws, n_points)
    value = odds[:, :1] + odds[:, 1:2] * y + odds[:, 2:] * y * y
    posterior = 1 / (1 + np.exp(-np.clip(value, -500, 500)))
    above = y > cuts[:, None]
    # Two normal densities of unequal width cross twice; only the cut between the means counts.
    rising = np.maximum.accumulate(np.where(above, np.maximum(posterior, 0.5), 0), axis=1)
    falling = np.where(above, 1, np.minimum(posterior, 0.5))
    falling = np.minimum.accumulate(falling[:, ::-1], axis=1)[:, ::-1]
    mean: FloatArray = np.where(above, rising, falling).mean(axis=0)
    return mean


def _one_group(
    ranked: Ranked, points: FloatArray, weights: FloatArray, scales: FloatArray
) -> float:
    """The likelihood of x under one group: asinh((x - c) / s) is normal, at the best c and s."""
    n = weights.sum()
    best = -math.inf
    for centre in (0.0, *(ranked.quantile(share) for share in CENTRES)):
        moved = points - centre
        y = np.arcsinh(moved / scales[:, None])  # (n_scales, n_points)
        mean = (y @ weights)[:, None] / n
        variance = np.maximum((y - mean) ** 2 @ weights / n, 1e-12)
        likelihood = -0.5 * n * (LOG_2PI + np.log(variance) + 1)
        best = max(best, float((likelihood - _jacobian(moved, weights, scales)).max()))
    return best


def _fit_best(points: FloatArray, weights: FloatArray, scale: float, centre_rows: float) -> Fit:
    """The likeliest fit from several starts: a step at several shares of the rows."""
    y = np.arcsinh(points / scale)
    share = np.cumsum(weights) / weights.sum()
    at = y[np.minimum(np.searchsorted(share, START_SHARES), len(y) - 2)]
    mean = np.average(y, weights=weights)
    slope = np.full(len(at), 8 / math.sqrt(np.average((y - mean) ** 2, weights=weights)))
    starts = np.stack([-at * slope, slope, np.zeros(len(at))], axis=1)
    fit = fit_mixture(
        y,
        np.tile(weights, (len(at), 1)),
        starts,
        centre_rows=centre_rows,
        variance_rows=VARIANCE_ROWS,
    )
    best = slice(int(fit.likelihood.argmax()), int(fit.likelihood.argmax()) + 1)
    return Fit(fit.weight[best], fit.mean[best], fit.variance[best], fit.likelihood[best])


def _jacobian(points: FloatArray, weights: FloatArray, scales: FloatArray) -> FloatArray:
    """What y = asinh(x / s) takes off the likelihood of x: (n_scales,) or (n_draws, n_scales)."""
    found: FloatArray = weights @ np.log(np.hypot(points[:, None], scales))
    return found


def _summed_up(ranked: Ranked) -> tuple[FloatArray, FloatArray]:
    n = len(ranked)
    if n <= POINTS:
        return ranked.take(0, n), np.ones(n)
    edges = np.linspace(0, n, POINTS + 1).astype(np.int64)
    sizes = np.diff(edges).astype(np.float64)
    pairs = itertools.pairwise(edges.tolist())
    sums = [np.add.reduceat(ranked.take(a, b), [0])[0] for a, b in pairs]
    return np.array(sums) / sizes, sizes


def _scales(ranked: Ranked) -> FloatArray:
    """From within the core of the values to beyond their tail."""
    low, high = (ranked.magnitude_quantile(share) for share in (0.02, 0.98))
    high = high or max(abs(ranked[0]), abs(ranked[-1]))
    scales: FloatArray = np.geomspace(max(low, high * 1e-4), high * 3, N_SCALES)
    return scales
