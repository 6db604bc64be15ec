"""The comparison of a laboratory's arms: means, intervals over seeds, differences by seed."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ifcurate.errors import DataError
from ifcurate.lab.plan import EARLY_STEP

_MEASURES: Final = ("conflict", "parametric", "recall", "reading", "standard")
#: 97.5% quantiles of Student's t by degrees of freedom, for 95% intervals over seeds.
_T: Final = (math.nan, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def read_results(root: Path, mixtures: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Every arm's trajectory under `root`, of these mixtures or of all.

    Raises `DataError` where there is none.
    """
    folders = [f"{name}-seed*" for name in mixtures] or ["*"]
    paths = sorted(path for folder in folders for path in root.glob(f"{folder}/arms/*.json"))
    if not paths:
        raise DataError(f"{root}: no arm was run here; run `ifcurate lab run` first")
    return [json.loads(path.read_text("utf-8")) for path in paths]


def compare_arms(results: Sequence[dict[str, Any]], auroc: dict[str, Any]) -> dict[str, Any]:
    """Mean and 95% interval by mixture, arm and step; falls and differences by seed; `auroc`.

    `results` are those of `read_results`, `auroc` those of `measure_laboratories`.
    """
    mixtures: dict[str, dict[str, dict[int, dict[str, Any]]]] = {}
    for result in results:
        arms = mixtures.setdefault(result["mixture"], {})
        arms.setdefault(result["arm"], {})[result["seed"]] = result
    return {
        "early_step": EARLY_STEP,
        "mixtures": {name: _compare_mixture(arms) for name, arms in mixtures.items()},
        "auroc": auroc,
    }


def _compare_mixture(arms: dict[str, dict[int, dict[str, Any]]]) -> dict[str, Any]:
    compared = {name: _summarise_arm(by_seed) for name, by_seed in arms.items()}
    for first, second in (("filtered", "random"), ("filtered", "unfiltered")):
        if first in arms and second in arms:
            compared[first][f"minus_{second}_by_seed"] = _subtract(
                compared[first]["final_by_seed"], compared[second]["final_by_seed"]
            )
    return compared


def _summarise_arm(by_seed: dict[int, dict[str, Any]]) -> dict[str, Any]:
    return {
        "seeds": sorted(by_seed),
        "about": {s: r["about"] for s, r in sorted(by_seed.items())},
        "seconds": {s: r["seconds"] for s, r in sorted(by_seed.items())},
        "steps": _by_step(list(by_seed.values())),
        "fall_by_seed": {s: _fall(r["points"], "conflict") for s, r in by_seed.items()},
        "standard_fall_by_seed": {s: _fall(r["points"], "standard") for s, r in by_seed.items()},
        "final_by_seed": {s: r["points"][-1]["conflict"] for s, r in by_seed.items()},
    }


def _subtract(first: dict[int, float], second: dict[int, float]) -> dict[int, float]:
    return {seed: first[seed] - second[seed] for seed in sorted(set(first) & set(second))}


def _fall(points: Sequence[dict[str, Any]], measure: str) -> float | None:
    """The measure at the early step minus the final one."""
    early = next((p[measure] for p in points if p["step"] == EARLY_STEP), None)
    return None if early is None else early - points[-1][measure]


def _by_step(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    points: dict[int, list[dict[str, Any]]] = {}
    for point in (p for result in results for p in result["points"]):
        points.setdefault(point["step"], []).append(point)
    return [
        {"step": step, **{m: _share_interval([p[m] for p in points[step]]) for m in _MEASURES}}
        for step in sorted(points)
    ]


def interval_of(values: Sequence[float]) -> dict[str, float | None]:
    """Mean, and the 95% interval of Student's t over seeds (none from one seed)."""
    n = len(values)
    mean = sum(values) / n
    if n < 2:
        return {"mean": mean, "low": None, "high": None}
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1) / n) * _T[min(n - 1, 9)]
    return {"mean": mean, "low": mean - spread, "high": mean + spread}


def _share_interval(values: Sequence[float]) -> dict[str, float | None]:
    """The same for shares, within 0 and 1."""
    interval = interval_of(values)
    return {name: v if v is None else min(1.0, max(0.0, v)) for name, v in interval.items()}
