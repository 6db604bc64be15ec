"""The facts of a run for its report: scores and labels of all rows."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from ifcurate.errors import RunError
from ifcurate.runs.run import Run
from ifcurate.runs.splits import missing_split, read_split, split_paths
from ifcurate.split.cuts import rule_in_words
from ifcurate.split.rules import split_scores
from ifcurate.storage.manifest import Manifest
from ifcurate.storage.overrides import apply_overrides, read_overrides

FLAGS: Final = {
    "boundary_straddles": "a token spans the end of the prompt and the start of the response",
    "response_ids_forced": "alone, the prompt without context would give other response tokens",
    "context_shortened": "the context was cut in the middle to fit the model",
    "end_marker_removed": "the response ended in an end-of-text marker, which was not scored",
    "asks_nothing": "the context that you marked seems to hold the whole request of the prompt",
    "n_special_tokens": "the row's texts spell special tokens of the model",
}
_PLACE: Final = ("id", "source", "row", "turn")
_DECIDED: Final = ("label", "value", "threshold", "reason")
_UNREAD: Final = ("context_blocks", "context_confidence")  # nothing in a report needs them


@dataclass(frozen=True, slots=True)
class Facts:
    """A run's scores and labels, side by side."""

    run: Run
    split: Manifest | None  # None where the run has no split; then the labels are the default's
    parameters: dict[str, Any]  # of the split, as used
    formula: str  # which rows are context-critical
    table: pl.DataFrame  # SCORES, and label, value, threshold, why (of SPLIT); a row per example
    n_by_hand: int = 0  # labels that a person set
    split_name: str = ""

    @property
    def scored(self) -> pl.DataFrame:
        """The rows that have numbers."""
        return self.table.filter(pl.col("status") == "scored")

    def cuts(self) -> list[tuple[str, float]]:
        """Every cut that decided a row, as (statistic, threshold), at most 50."""
        thresholds: list[tuple[str, float]] = []
        for name in (self.parameters["statistic"], self.parameters.get("hard_statistic")):
            if name is not None:
                mine = self.table.filter(pl.col("value") == pl.col(name).cast(pl.Float64))
                values = mine["threshold"].drop_nulls().unique().sort()
                thresholds += [(name, float(value)) for value in values[:50]]
        return thresholds

    def other_cut(self) -> pl.Expr:
        """Which rows pass the first cut of the rule `both`; under other rules, all rows."""
        hard = str(self.parameters.get("hard_statistic"))
        cuts = [cut for name, cut in self.cuts() if name == hard]
        return pl.col(hard) > cuts[0] if len(cuts) == 1 else pl.lit(True)


def gather_facts(run: Run, split_name: str = "") -> Facts:
    """Read a finished run, with the labels of the default rule where it has no split yet.

    Raises `RunError` when the run is unfinished, its tables do not belong together, or no split
    has the name.
    """
    scores = run.scores().drop(_UNREAD)
    split = read_split(run, split_name)
    if split is None:
        if split_name:
            raise missing_split(run, split_name)
        default = split_scores(scores)
        formula, parameters = rule_in_words("paper", default.cuts), default.parameters
        labels, manifest = default.table, None
    else:
        labels, manifest = split
        formula, parameters = manifest.formula, manifest.identity["parameters"]
    if not labels.select(_PLACE).equals(scores.select(_PLACE)):
        raise RunError(
            f"{split_paths(run, split_name)[0]}: does not have the rows of scores.parquet; "
            f"make the split again: ifcurate split{f' --as {split_name}' if split_name else ''}"
        )
    overrides = read_overrides(run.folder)
    decided = apply_overrides(labels, overrides).select(_DECIDED).rename({"reason": "why"})
    return Facts(
        run, manifest, parameters, formula, scores.hstack(decided), len(overrides), split_name
    )


def read_quarantine(run: Run, most: int) -> tuple[list[dict[str, Any]], Counter[str]]:
    """The first rows that were quarantined when the data was read, and counts by reason."""
    shown: list[dict[str, Any]] = []
    reasons: Counter[str] = Counter()
    for record in _records(run):
        reasons[str(record.get("reason", ""))[:200]] += 1
        if len(shown) < most:
            shown.append(record)
    return shown, reasons


def _records(run: Run) -> Iterator[dict[str, Any]]:
    path = run.folder / "quarantine.jsonl"
    if path.exists():
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in itertools.islice(lines, 1_000_000):
                yield json.loads(line)
