"""Compare ways to find the cut between context-critical and other rows from scores alone.

It uses synthetic scores with known groups: shapes modelled on measured ones (long
tails, AUROC 0.88-0.996), held-out shapes, and distributions of one group. It prints
tables and writes all figures as JSON:

    python benchmarks/auto_cut.py OUT.json [--draws 2]
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ifcurate.options.split import SplitOptions
from ifcurate.split.cuts import CutRule, LengthBins, cut_group
from ifcurate.split.two_groups import FloatArray, find_two_groups

Row = dict[str, Any]
Draw = Callable[[np.random.Generator, int], FloatArray]
SIZES = (60, 300, 2000, 20000)
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
LARGE = 100_000
DRAWS = SplitOptions().n_bootstrap


def tailed(scale: float) -> Draw:
    """Student's t with three degrees of freedom."""
    return lambda r, n: r.standard_t(3, n) * scale


def lognormal(median: float, sigma: float, top: float = math.inf) -> Draw:
    """Log-normal, bent so that it stays below `top` (a token's loss is bounded in practice)."""

    def draw(r: np.random.Generator, n: int) -> FloatArray:
        values = median * np.exp(sigma * r.standard_normal(n))
        return values if math.isinf(top) else top * values / (top + values)

    return draw


def exponential(mean: float) -> Draw:
    """Exponential with this mean."""
    return lambda r, n: r.exponential(mean, n)


def mixed(*parts: tuple[float, Draw]) -> Draw:
    """One of several parts, by weight."""

    def draw(r: np.random.Generator, n: int) -> FloatArray:
        kind = r.choice(len(parts), n, p=[weight for weight, _ in parts])
        values = np.empty(n)
        for i, (_, part) in enumerate(parts):
            values[kind == i] = part(r, int((kind == i).sum()))
        return values

    return draw


def absolute(part: Draw) -> Draw:
    """Return the absolute values."""
    return lambda r, n: np.abs(part(r, n))


def shifted(part: Draw, by: float) -> Draw:
    """Shifted by a number."""
    return lambda r, n: part(r, n) + by


def normal(mean: float, sd: float) -> Draw:
    """Normal with this mean and deviation."""
    return lambda r, n: r.normal(mean, sd, n)


NOISE = mixed((0.8, tailed(0.04)), (0.2, exponential(0.22)))
#: name -> (not critical, critical, whether the score is a mean gain)
TUNED: dict[str, tuple[Draw, Draw, bool]] = {
    "gain, mean": (NOISE, mixed((0.95, lognormal(1.6, 1.4, 7)), (0.05, tailed(0.1))), True),
    "loss, mean": (
        mixed((0.94, lognormal(0.03, 1.6)), (0.06, lognormal(1.2, 0.8))),
        lognormal(1.6, 0.65),
        False,
    ),
    "loss, largest": (
        mixed((0.95, lognormal(0.12, 1.5)), (0.05, lognormal(2.0, 0.7))),
        lognormal(9, 0.7, 14),
        False,
    ),
    "gain, largest": (
        mixed((0.8, absolute(tailed(0.1))), (0.2, exponential(0.8))),
        mixed((0.95, lognormal(6, 1, 14)), (0.05, exponential(0.5))),
        False,
    ),
    "gain, overlapping": (
        mixed((0.75, shifted(tailed(0.07), 0.02)), (0.25, exponential(0.3))),
        lambda r, n: r.gamma(1.5, 0.35, n),
        True,
    ),
    "gain, long answers": (shifted(tailed(0.012), 0.005), lognormal(0.22, 0.9), True),
    "two normals": (normal(0, 0.1), normal(1, 0.35), True),
}
HELD_OUT: dict[str, tuple[Draw, Draw, bool]] = {
    "laplace, weibull": (
        lambda r, n: r.laplace(0.01, 0.05, n),
        lambda r, n: 0.9 * r.weibull(1.3, n),
        True,
    ),
    "loss, bounded": (
        lambda r, n: 6 * r.beta(0.6, 9, n),
        lambda r, n: 6 * r.beta(3, 5, n),
        False,
    ),
    "partly helped": (
        mixed((0.7, normal(0.01, 0.05)), (0.3, normal(0.25, 0.12))),
        lognormal(1.5, 0.6),
        True,
    ),
    "gain, largest, uneven": (
        absolute(normal(0, 0.4)),
        mixed((0.5, normal(7, 1.2)), (0.5, normal(3, 1))),
        False,
    ),
}
#: Distributions of one group. The last may be that of a dataset without critical rows.
ONE: dict[str, Draw] = {
    "normal": normal(0.3, 0.2),
    "log-normal": lognormal(0.3, 1),
    "t, 3 degrees": shifted(tailed(0.2), 0.1),
    "gamma 2": lambda r, n: r.gamma(2, 0.3, n),
    "gamma 4": lambda r, n: r.gamma(4, 0.5, n),
    "exponential": exponential(0.5),
    "weibull 1.5": lambda r, n: r.weibull(1.5, n),
    "laplace": lambda r, n: r.laplace(0, 0.1, n),
    "beta 2, 5": lambda r, n: 4 * r.beta(2, 5, n),
    "noise with a tail": NOISE,
}


def summed_up(ranked: FloatArray, bins: int = 1000) -> tuple[FloatArray, FloatArray]:
    """Means and sizes of bins of equal count."""
    parts = np.array_split(ranked, min(bins, len(ranked)))
    return np.array([p.mean() for p in parts]), np.array([len(p) for p in parts], dtype=float)


def otsu(x: FloatArray, w: FloatArray) -> float:
    """Return the cut with the largest variance between its sides."""
    left, total = np.cumsum(w)[:-1], np.cumsum(w * x)
    right = w.sum() - left
    between = left * right * (total[:-1] / left - (total[-1] - total[:-1]) / right) ** 2
    i = int(between.argmax())
    return float(x[i] + x[i + 1]) / 2


def least_error(x: FloatArray, w: FloatArray) -> float | None:
    """Kittler and Illingworth's minimum-error cut."""
    n = w.sum()
    left, first, second = np.cumsum(w)[:-1], np.cumsum(w * x), np.cumsum(w * x * x)
    right = n - left
    low = second[:-1] / left - (first[:-1] / left) ** 2
    high = (second[-1] - second[:-1]) / right - ((first[-1] - first[:-1]) / right) ** 2
    usable = (left >= 5) & (right >= 5) & (low > 0) & (high > 0)
    if not usable.any():
        return None
    p, q = left[usable] / n, right[usable] / n
    cost = p * (np.log(low[usable]) / 2 - np.log(p)) + q * (np.log(high[usable]) / 2 - np.log(q))
    i = int(np.flatnonzero(usable)[cost.argmin()])
    return float(x[i] + x[i + 1]) / 2


def density_valley(x: FloatArray, w: FloatArray) -> float | None:
    """Return the deepest valley between two peaks of a kernel density (Silverman's bandwidth)."""
    n = w.sum()
    mean = (w @ x) / n
    width = 0.9 * math.sqrt(w @ (x - mean) ** 2 / n) * n**-0.2
    grid = np.linspace(x[0], x[-1], 400)
    density = np.exp(-0.5 * ((grid[:, None] - x) / width) ** 2) @ w
    inner = density[1:-1]
    peaks = np.flatnonzero((inner > density[:-2]) & (inner >= density[2:])) + 1
    depth, valley = 0.0, None
    for i, a in enumerate(peaks):
        for b in peaks[i + 1 :]:
            low = a + int(density[a:b].argmin())
            if min(density[a], density[b]) - density[low] > depth:
                depth, valley = min(density[a], density[b]) - density[low], float(grid[low])
    return valley


def mixture(x: FloatArray, w: FloatArray) -> float | None:
    """Two normal densities by scikit-learn, with even odds between their means."""
    from sklearn.mixture import GaussianMixture

    points = np.repeat(x, w.astype(int))[:, None]
    fit = GaussianMixture(2, n_init=3, random_state=0).fit(points)
    one = GaussianMixture(1, random_state=0).fit(points)
    if one.bic(points) <= fit.bic(points):
        return None
    low, high = sorted(fit.means_.ravel())
    grid = np.linspace(low, high, 1000)
    upper = fit.predict_proba(grid[:, None])[:, int(fit.means_.ravel().argmax())]
    return None if upper[0] > 0.5 or upper[-1] < 0.5 else float(grid[upper.searchsorted(0.5)])


def candidates(ranked: FloatArray) -> dict[str, float | None]:
    """Return the cut of each method; None where it finds none."""
    x, w = summed_up(ranked)
    middle = float(np.median(np.abs(ranked)))
    y = np.arcsinh(x / middle)

    def back(cut: float | None) -> float | None:
        return None if cut is None else math.sinh(cut) * middle

    return {
        "lowest 25%": float(np.quantile(ranked, 0.25)),
        "fixed, 0.15": 0.15,
        "Otsu, raw": otsu(x, w),
        "Otsu, asinh": back(otsu(y, w)),
        "Otsu, ranks (the median)": float(np.median(ranked)),
        "least error, asinh": back(least_error(y, w)),
        "valley, asinh": back(density_valley(y, w)),
        "GaussianMixture, raw": mixture(x, w),
        "GaussianMixture, asinh": back(mixture(y, w)),
    }


def best_accuracy(labels: npt.NDArray[np.bool_]) -> float:
    """Return the best accuracy of any cut, from labels in the order of their values."""
    below = np.concatenate([[0], np.cumsum(labels)])
    at = np.arange(len(labels) + 1)
    return float(((at - below) + (below[-1] - below)).max() / len(labels))


def draw_two(
    family: tuple[Draw, Draw, bool], n: int, share: float, seed: int
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Ascending values with their labels."""
    r = np.random.default_rng([seed, n, int(100 * share)])
    upper = np.arange(n) < round(share * n)
    values = np.empty(n)
    values[upper] = family[1](r, int(upper.sum()))
    values[~upper] = family[0](r, int((~upper).sum()))
    order = np.argsort(values)
    return values[order], upper[order]


def stated_chance(values: FloatArray, seed: int) -> FloatArray:
    """Return the probability that a split by `auto` gives each value of being above the cut."""
    rule = CutRule("context_gain", "auto", 0.25, None, length_bins=1, n_bootstrap=DRAWS, seed=seed)
    cut = cut_group("all", values, LengthBins.whole(len(values)), [values], rule)
    z = math.pi / math.sqrt(3) * (values - cut.thresholds[0]) / cut.scale
    chance: FloatArray = np.clip(1 / (1 + np.exp(-np.clip(z, -500, 500))), 1e-6, 1 - 1e-6)
    return chance


def measure_two(families: dict[str, tuple[Draw, Draw, bool]], draws: int) -> list[Row]:
    """Accuracies of every method on every family, size and share; details of the shipped one."""
    rows = []
    for name, family in families.items():
        for share in SHARES:
            settled = find_two_groups(
                draw_two(family, LARGE, share, 7)[0], n_bootstrap=DRAWS, seed=0
            )
            for n in SIZES:
                for seed in range(1000, 1000 + draws * (2 if n < 1000 else 1)):
                    values, upper = draw_two(family, n, share, seed)
                    row: Row = {
                        "family": name,
                        "n": n,
                        "share": share,
                        "best": best_accuracy(upper),
                    }
                    start = time.perf_counter()
                    groups = find_two_groups(values, n_bootstrap=DRAWS, seed=seed)
                    row["seconds"] = time.perf_counter() - start
                    row["found"] = not groups.why_not
                    cuts = candidates(values)
                    fallback = 0.15 if family[2] else cuts["lowest 25%"]
                    cuts["shipped"] = groups.threshold if row["found"] else fallback
                    for way, cut in cuts.items():
                        at = float(np.quantile(values, 0.25)) if cut is None else cut
                        row[way] = float(np.mean((values > at) == upper))
                    if row["found"]:
                        chance = stated_chance(values, seed)
                        row["confidence"] = float(np.maximum(chance, 1 - chance).mean())
                        row["brier"] = float(np.mean((chance - upper) ** 2))
                        row["sure"] = np.maximum(chance, 1 - chance).tolist() if n < 1000 else []
                        row["right"] = ((chance > 0.5) == upper).tolist() if n < 1000 else []
                        if not settled.why_not:
                            row["covered"] = groups.low <= settled.threshold <= groups.high
                    rows.append(row)
    return rows


def measure_one(draws: int) -> list[Row]:
    """Return the share of draws in which two groups are found where there is one."""
    rows = []
    for name, draw in ONE.items():
        for n in SIZES:
            for seed in range(1000, 1000 + 5 * draws):
                values = np.sort(draw(np.random.default_rng([seed, n]), n))
                groups = find_two_groups(values, n_bootstrap=100, seed=seed)
                rows.append({"family": name, "n": n, "found": not groups.why_not})
    return rows


def print_regret(title: str, rows: list[Row]) -> dict[str, dict[str, float]]:
    """Loss of accuracy against the best cut, in points, by family; nothing found = 25%."""
    families = list(dict.fromkeys(row["family"] for row in rows))
    ways = [*candidates(np.linspace(-1, 3, 100)), "shipped"]
    print(f"\n{title}: accuracy lost against the best cut, points")
    print(f"{'':26s}" + "".join(f"{f[:14]:>16s}" for f in families) + f"{'all':>8s}")
    table = {}
    for way in ways:
        lost = {
            f: 100 * float(np.mean([r["best"] - r[way] for r in rows if r["family"] == f]))
            for f in families
        }
        lost["all"] = float(np.mean(list(lost.values())))
        table[way] = lost
        print(f"{way:26s}" + "".join(f"{lost[f]:16.1f}" for f in families) + f"{lost['all']:8.1f}")
    best = [100 * np.mean([r["best"] for r in rows if r["family"] == f]) for f in families]
    print(f"{'(best cut, accuracy)':26s}" + "".join(f"{b:16.1f}" for b in best))
    return table


def print_shipped(title: str, rows: list[Row]) -> dict[str, dict[str, float]]:
    """Found, lost, confidence against accuracy, coverage and time, by number of rows."""
    print(f"\n{title}: the shipped way")
    print("      n  found  lost  confidence  accuracy  brier  covered  seconds")
    table = {}
    for n in SIZES:
        part = [r for r in rows if r["n"] == n]
        hits = [r for r in part if r["found"]]
        cell = {
            "found": float(np.mean([r["found"] for r in part])),
            "lost": 100 * float(np.mean([r["best"] - r["shipped"] for r in part])),
            "confidence": float(np.mean([r["confidence"] for r in hits])),
            "accuracy": float(np.mean([r["shipped"] for r in hits])),
            "brier": float(np.mean([r["brier"] for r in hits])),
            "covered": float(np.mean([r["covered"] for r in hits if "covered" in r])),
            "seconds": float(np.median([r["seconds"] for r in part])),
        }
        table[str(n)] = cell
        print(
            f"{n:7d}  {cell['found']:5.2f} {cell['lost']:5.1f}  {cell['confidence']:10.3f}"
            f"  {cell['accuracy']:8.3f}  {cell['brier']:5.3f}  {cell['covered']:7.2f}"
            f"  {cell['seconds']:7.2f}"
        )
    return table


def print_calibration(rows: list[Row]) -> list[tuple[float, float, int]]:
    """Return the share of correct labels by stated confidence."""
    sure = np.concatenate([r["sure"] for r in rows if r.get("sure")])
    right = np.concatenate([r["right"] for r in rows if r.get("right")])
    print("\nstated confidence, share right, rows (n < 1000)")
    bins = []
    for low, high in ((0.5, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 0.97), (0.97, 1.01)):
        inside = (sure >= low) & (sure < high)
        bins.append((float(sure[inside].mean()), float(right[inside].mean()), int(inside.sum())))
        print(f"  {bins[-1][0]:.3f}  {bins[-1][1]:.3f}  {bins[-1][2]}")
    return bins


def print_one(rows: list[Row]) -> dict[str, float]:
    """Return the rate of false findings, by distribution and number of rows."""
    print("\none group only: how often two were found (n = " + ", ".join(map(str, SIZES)) + ")")
    counts: dict[tuple[str, int], list[bool]] = defaultdict(list)
    for row in rows:
        counts[row["family"], row["n"]].append(row["found"])
    table: dict[str, float] = {}
    for name in ONE:
        rates = [float(np.mean(counts[name, n])) for n in SIZES]
        table |= {f"{name}, {n}": rate for n, rate in zip(SIZES, rates, strict=True)}
        print(f"  {name:28s}" + "".join(f"{rate:8.2f}" for rate in rates))
    return table


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="where the JSON goes")
    parser.add_argument("--draws", type=int, default=2, help="per setting (default 2)")
    options = parser.parse_args()
    figures: dict[str, object] = {"draws": options.draws, "sizes": SIZES, "shares": SHARES}
    for title, families in (("shapes tuned on", TUNED), ("shapes held out", HELD_OUT)):
        rows = measure_two(families, options.draws)
        figures[title] = {
            "lost": print_regret(title, rows),
            "shipped": print_shipped(title, rows),
            "calibration": print_calibration(rows),
            "found by share": {
                str(s): float(np.mean([r["found"] for r in rows if r["share"] == s]))
                for s in SHARES
            },
            "found by family": {
                f: float(np.mean([r["found"] for r in rows if r["family"] == f])) for f in families
            },
        }
    figures["one group, found two"] = print_one(measure_one(options.draws))
    options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
