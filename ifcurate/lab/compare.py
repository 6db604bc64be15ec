"""The comparison of a laboratory's arms: means, intervals over seeds, differences by seed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ifcurate.errors import DataError
from ifcurate.lab.plan import EARLY_STEP
from ifcurate.pages.figures import draw_lines
from ifcurate.pages.shell import Figure, Page, Section, Table

_MEASURES: Final = ("conflict", "parametric", "recall", "reading", "standard")


def read_results(root: Path, mixtures: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return every arm's trajectory under `root`, of these mixtures or of all.

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
            one, other = (compared[name]["final_by_seed"] for name in (first, second))
            shared = sorted(set(one) & set(other))
            compared[first][f"minus_{second}_by_seed"] = {s: one[s] - other[s] for s in shared}
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


def _fall(points: Sequence[dict[str, Any]], measure: str) -> float | None:
    """Return the measure at the early step minus the final one."""
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
    from scipy.stats import sem, t  # type: ignore[import-untyped]

    spread = float(sem(values) * t.ppf(0.975, n - 1))
    return {"mean": mean, "low": mean - spread, "high": mean + spread}


def _share_interval(values: Sequence[float]) -> dict[str, float | None]:
    """Return the same for shares, within 0 and 1."""
    interval = interval_of(values)
    return {name: v if v is None else min(1.0, max(0.0, v)) for name, v in interval.items()}


TITLE: Final = "The laboratory"
SUBTITLE: Final = "The bundled model, nudged to ignore passages, then finetuned"
_FIRST: Final = ("unfiltered", "random", "filtered")  # the first arms of the table


def make_page(compared: dict[str, Any], out: Path) -> Path:
    """Write the page of what `compare_arms` returns: plots, and tables of arms and scores."""
    sections = [
        Section(
            f"mixture-{name}", f"Mixture {name}", blocks=(*_draw_arms(name, arms), _table(arms))
        )
        for name, arms in compared["mixtures"].items()
    ]
    if compared["auroc"]:
        sections.append(_score_section(compared["auroc"]))
    return Page(TITLE, sections, SUBTITLE).write(out)


def _draw_arms(mixture: str, arms: dict[str, Any]) -> list[Figure]:
    """Return a figure of arms with other rows, and one of arms with other weights."""
    first = [name for name in _FIRST if name in arms]
    rows = [*first, *(name for name in sorted(arms) if name not in first and "+" not in name)]
    updates = [*first[:1], *(name for name in sorted(arms) if "+" in name)]
    figures = [_draw(mixture, "rows", {name: arms[name] for name in rows})] if rows else []
    if len(updates) > len(first[:1]):
        figures.append(_draw(mixture, "weights", {name: arms[name] for name in updates}))
    return figures


def _draw(mixture: str, what: str, arms: dict[str, Any]) -> Figure:
    lines = {
        arm: [[p["step"], p["conflict"]["mean"]] for p in own["steps"]] for arm, own in arms.items()
    }
    bands = {arm: _band(own["steps"]) for arm, own in arms.items() if len(own["seeds"]) > 1}
    return draw_lines(
        f"conflict-{mixture}-{what}",
        f"Answers from the context where memory disagrees: which {what}",
        lines,
        x_title="step",
        y_title="conflict accuracy",
        bands=bands,
        y_limits=(0.0, 1.0),
        points=True,
        wide=True,
        caption="Mean over seeds; the bands are 95% intervals of Student's t.",
    )


def _band(steps: list[dict[str, Any]]) -> list[list[float]]:
    intervals = [(p["step"], p["conflict"]) for p in steps]
    return [[step, i["low"], i["high"]] for step, i in intervals if i["low"] is not None]


def _table(arms: dict[str, Any]) -> Table:
    columns = (
        "arm",
        "seeds",
        "final conflict",
        "fall from step 20, by seed",
        "final standard",
        "final parametric",
    )
    return Table(columns, [_row(arm, own) for arm, own in arms.items()])


def _score_section(auroc: dict[str, Any]) -> Section:
    scores = dict.fromkeys(score for own in auroc.values() for score in own)
    rows = [[s, *(own.get(s, {}).get("both") for own in auroc.values())] for s in scores]
    text = (
        "AUROC of each score against the truth, critical rows against all other rows with a "
        "passage."
    )
    table = Table(("score", *auroc), rows)
    return Section("auroc", "Which score finds the critical rows", (text,), (table,))


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
