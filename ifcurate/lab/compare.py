"""The comparison of a laboratory's arms: means, intervals over seeds, differences by seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ifcurate.errors import DataError
from ifcurate.lab.plan import EARLY_STEP, Laboratory
from ifcurate.lab.quality import measure_scores

__all__ = ["compare_arms", "make_page", "read_results"]

_MEASURES: Final = ("conflict", "parametric", "recall", "reading", "standard")
#: 97.5% quantiles of Student's t by degrees of freedom, for 95% intervals over seeds.
_T: Final = (math.nan, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def read_results(root: Path) -> list[dict[str, Any]]:
    """Every arm's trajectory under `root`. Raises `DataError` where there is none."""
    found = [Laboratory(p.parent.parent).read_json(p) for p in sorted(root.glob("*/arms/*.json"))]
    if not found:
        raise DataError(f"{root}: no arm was run here; run `ifcurate lab run` first")
    return found


def compare_arms(root: Path) -> dict[str, Any]:
    """Mean and 95% interval by mixture, arm and step; falls and differences by seed; AUROC."""
    results = read_results(root)
    mixtures: dict[str, dict[str, dict[int, dict[str, Any]]]] = {}
    for result in results:
        arms = mixtures.setdefault(result["mixture"], {})
        arms.setdefault(result["arm"], {})[result["seed"]] = result
    return {
        "early_step": EARLY_STEP,
        "mixtures": {name: _compare_mixture(arms) for name, arms in mixtures.items()},
        "auroc": {
            lab.name: measure_scores(Laboratory(lab))
            for lab in sorted(root.iterdir())
            if (lab / "scores.parquet").exists() and "=" not in lab.name
        },
    }


def _compare_mixture(arms: dict[str, dict[int, dict[str, Any]]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, by_seed in arms.items():
        falls = {s: _fall(r["points"], "conflict") for s, r in by_seed.items()}
        found[name] = {
            "seeds": sorted(by_seed),
            "about": {s: r["about"] for s, r in sorted(by_seed.items())},
            "seconds": {s: r["seconds"] for s, r in sorted(by_seed.items())},
            "steps": _by_step(list(by_seed.values())),
            "fall_by_seed": falls,
            "standard_fall_by_seed": {
                s: _fall(r["points"], "standard") for s, r in by_seed.items()
            },
            "final_by_seed": {s: r["points"][-1]["conflict"] for s, r in by_seed.items()},
        }
    for first, second in (("filtered", "random"), ("filtered", "unfiltered")):
        if first in arms and second in arms:
            shared = sorted(set(arms[first]) & set(arms[second]))
            found[first][f"minus_{second}_by_seed"] = {
                s: found[first]["final_by_seed"][s] - found[second]["final_by_seed"][s]
                for s in shared
            }
    return found


def _fall(points: Sequence[dict[str, Any]], measure: str) -> float | None:
    """The measure at the early step minus the final one."""
    early = next((p[measure] for p in points if p["step"] == EARLY_STEP), None)
    return None if early is None else early - points[-1][measure]


def _by_step(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    steps = sorted({p["step"] for r in results for p in r["points"]})
    found = []
    for step in steps:
        points = [p for r in results for p in r["points"] if p["step"] == step]
        found.append({"step": step, **{m: _interval([p[m] for p in points]) for m in _MEASURES}})
    return found


def _interval(values: Sequence[float]) -> dict[str, float | None]:
    """Mean, and the 95% interval of Student's t over seeds (none from one seed)."""
    n = len(values)
    mean = sum(values) / n
    if n < 2:
        return {"mean": mean, "low": None, "high": None}
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1) / n) * _T[min(n - 1, 9)]
    return {"mean": mean, "low": max(0.0, mean - spread), "high": min(1.0, mean + spread)}


def make_page(compared: dict[str, Any], out: Path) -> Path:
    """The comparison as one HTML file with its plots."""
    from ifcurate.reports.figures import draw_lines
    from ifcurate.reports.shell import Section, Table, write_page

    sections = []
    for name, arms in compared["mixtures"].items():
        lines = {
            arm: [[p["step"], p["conflict"]["mean"]] for p in own["steps"]]
            for arm, own in arms.items()
        }
        bands = {
            arm: [[p["step"], p["conflict"]["low"], p["conflict"]["high"]]
                  for p in own["steps"] if p["conflict"]["low"] is not None]
            for arm, own in arms.items() if len(own["seeds"]) > 1
        }  # fmt: skip
        figure = draw_lines(
            f"conflict-{name}", "Answers from the context where memory disagrees", lines,
            x_title="step", y_title="conflict accuracy", bands=bands, y_limits=(0.0, 1.0),
            points=True, wide=True,
            caption="Mean over seeds; the bands are 95% intervals of Student's t.",
        )  # fmt: skip
        table = Table(
            ("arm", "seeds", "final conflict", "fall from step 20, by seed",
             "final standard", "final parametric"),
            [_row(arm, own) for arm, own in arms.items()],
        )  # fmt: skip
        sections.append(Section(f"mixture-{name}", f"Mixture {name}", blocks=(figure, table)))
    if compared["auroc"]:
        names = list(compared["auroc"])
        scores = list(dict.fromkeys(s for own in compared["auroc"].values() for s in own))
        sections.append(Section("auroc", "Which score finds the critical rows", (
            "AUROC of each score against the truth, critical rows against all other rows with a "
            "passage.",), (Table(("score", *names), [
                [s, *(compared["auroc"][lab].get(s, {}).get("both") for lab in names)]
                for s in scores]),)))  # fmt: skip
    subtitle = "The bundled model, nudged to ignore passages, then finetuned"
    return write_page(out, "The laboratory", sections, subtitle=subtitle)


def _row(arm: str, own: dict[str, Any]) -> list[str | float | int | None]:
    last = own["steps"][-1]
    falls = [f for _, f in sorted(own["fall_by_seed"].items()) if f is not None]
    return [
        arm,
        len(own["seeds"]),
        _show(last["conflict"]),
        ", ".join(f"{100 * f:.1f}" for f in falls),
        _show(last["standard"]),
        _show(last["parametric"]),
    ]


def _show(interval: dict[str, float | None]) -> str:
    text = f"{100 * (interval['mean'] or 0):.1f}"
    if interval["low"] is not None and interval["high"] is not None:
        text += f" ({100 * interval['low']:.0f}-{100 * interval['high']:.0f})"
    return text
