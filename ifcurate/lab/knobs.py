"""Change one knob of the mixture at a time, from two starting points, to find what drives the fall.

The start "clean" has no *off* rows and no unreadable wording, the start "m1" has both. Rows
that a knob adds replace *recall* rows, which have no passage, so the number of rows and the
share of critical rows stay. `SETTINGS` was fixed before the first run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ifcurate.lab.compare import interval_of
from ifcurate.lab.mixtures import MIXTURES
from ifcurate.lab.plan import EARLY_STEP, LabPlan

#: Trains an arm of a plan and returns its result.
Run = Callable[[LabPlan, str], dict[str, Any]]
_M1: Final = "m1"
_CLEAN: Final = {"off": 0.0, "recall": 0.3, "unreadable": 0.0}


@dataclass(frozen=True, slots=True)
class Setting:
    """One position of one knob."""

    start: str  # "clean" or "m1"
    knob: str  # "" for the start itself
    value: str
    changes: dict[str, float] = field(default_factory=dict)  # changes of the start's shape
    rate: float | None = None  # None for the plan's

    @property
    def arm(self) -> str:
        """All rows, at this setting's rate: a name that `Arm.parse` reads."""
        return "unfiltered" if self.rate is None else f"unfiltered+full@{self.rate:g}"

    def plan(self, seed: int) -> LabPlan:
        """Return the plan with the knob changed.

        Equal mixtures have equal names, so they run once.
        """
        wanted = {**(_CLEAN if self.start == "clean" else {}), **self.changes}
        shape = MIXTURES[_M1]
        changed = {k: v for k, v in wanted.items() if v != getattr(shape, k)}
        return LabPlan.create(_M1, seed, **changed)


SETTINGS: Final = (
    Setting("clean", "", "off 0, unreadable 0, non .4"),
    Setting("clean", "off rows", "0.1", {"off": 0.1, "recall": 0.2}),
    Setting("clean", "off rows", "0.3", {"off": 0.3, "recall": 0.0}),
    Setting("clean", "unreadable wording", "0.4", {"unreadable": 0.4}),
    Setting("clean", "unreadable wording", "0.8", {"unreadable": 0.8}),
    Setting(
        "clean",
        "unreadable wording",
        "0.4, non rows only",
        {"unreadable": 0.4, "unreadable_critical": 0.0},
    ),
    Setting(
        "clean",
        "unreadable wording",
        "0.4, critical rows only",
        {"unreadable": 0.0, "unreadable_critical": 0.4},
    ),
    Setting("clean", "known facts repeated", "0", {"non": 0.0, "recall": 0.7}),
    Setting("clean", "known facts repeated", "0.7", {"non": 0.7, "recall": 0.0}),
    Setting("clean", "novelty", "0.3", {"novel": 0.3}),
    Setting("clean", "novelty", "1", {"novel": 1.0}),
    Setting("clean", "rate", "1e-4", rate=1e-4),
    Setting("clean", "rate", "1e-3", rate=1e-3),
    Setting("m1", "", "off .1, unreadable .4, non .4"),
    Setting("m1", "off rows", "0", {"off": 0.0, "recall": 0.3}),
    Setting("m1", "unreadable wording", "0", {"unreadable": 0.0}),
    Setting("m1", "known facts repeated", "0", {"non": 0.0, "recall": 0.6}),
    Setting("m1", "known facts repeated", "0.6", {"non": 0.6, "recall": 0.0}),
    Setting("m1", "novelty", "0.3", {"novel": 0.3}),
    Setting("m1", "novelty", "1", {"novel": 1.0}),
    Setting("m1", "rate", "1e-4", rate=1e-4),
    Setting("m1", "rate", "1e-3", rate=1e-3),
)


def run_knobs(seeds: Sequence[int], run: Run) -> list[dict[str, Any]]:
    """Return every setting in every seed, by `run`. Returns `summarise_knobs` of the results."""
    return summarise_knobs(
        [{seed: run(setting.plan(seed), setting.arm) for seed in seeds} for setting in SETTINGS]
    )


def summarise_knobs(results: Sequence[dict[int, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return a row per setting: the fall by seed, its interval, and the change.

    `results` has the arms by seed, in the order of `SETTINGS`. The fall is conflict accuracy at
    step 20 minus the final one. Intervals are Student's t over seeds, 95%.
    """
    rows: list[dict[str, Any]] = []
    start: dict[int, float] = {}
    for setting, by_seed in zip(SETTINGS, results, strict=True):
        early = {
            seed: next(point for point in own["points"] if point["step"] == EARLY_STEP)
            for seed, own in by_seed.items()
        }
        last = {seed: own["points"][-1] for seed, own in by_seed.items()}
        falls = {seed: early[seed]["conflict"] - last[seed]["conflict"] for seed in by_seed}
        start = start if setting.knob else falls
        row: dict[str, Any] = {
            "start": setting.start,
            "knob": setting.knob,
            "value": setting.value,
            "early": {seed: point["conflict"] for seed, point in early.items()},
            "fall_by_seed": falls,
            "fall": interval_of(list(falls.values())),
        }
        for measure in ("conflict", "parametric", "standard"):
            row[f"final_{measure}"] = {seed: point[measure] for seed, point in last.items()}
        if setting.knob:
            row["more_than_start"] = interval_of([falls[seed] - start[seed] for seed in falls])
        rows.append(row)
    return rows
