"""The facts of a run for its report: scores and labels of all rows."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import polars as pl

from ifcurate.errors import RunError
from ifcurate.phrases import count
from ifcurate.runs.run import Run, run_flag
from ifcurate.runs.splits import missing_split, read_split, say_unsplit, split_paths
from ifcurate.split.cuts import rule_in_words
from ifcurate.split.rules import split_scores
from ifcurate.storage.by_hand import apply_overrides, read_overrides
from ifcurate.storage.manifest import Manifest

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
    parameters: dict[str, Any]  # parameters of the split, as used
    formula: str  # which rows are context-critical
    table: pl.DataFrame  # SCORES, and label, value, threshold, why (of SPLIT); a row per example
    n_by_hand: int = 0  # labels that a person set
    split_name: str = ""

    @property
    def scored(self) -> pl.DataFrame:
        """The rows that have numbers."""
        return self.table.filter(pl.col("status") == "scored")

    def cuts(self) -> list[tuple[str, float]]:
        """Return every cut that decided a row, as (statistic, threshold), at most 50."""
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
            f"{run_flag(run)}"
        )
    overrides = read_overrides(run.folder)
    decided = apply_overrides(labels, overrides).select(_DECIDED).rename({"reason": "why"})
    return Facts(
        run, manifest, parameters, formula, scores.hstack(decided), len(overrides), split_name
    )


def read_quarantine(run: Run, most: int) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Return the first rows that were quarantined when the data was read, and counts by reason."""
    shown: list[dict[str, Any]] = []
    reasons: Counter[str] = Counter()
    path = run.folder / "quarantine.jsonl"
    if not path.exists():
        return shown, reasons
    with path.open(encoding="utf-8", errors="replace") as lines:
        for record in map(json.loads, itertools.islice(lines, 1_000_000)):
            reasons[str(record.get("reason", ""))[:200]] += 1
            if len(shown) < most:
                shown.append(record)
    return shown, reasons


_ABLATIONS: Final = {
    "drop": "the second time without the context, in the same prompt",
    "template": "the second time with the template for rows without input",
}

_NAMES: Final = {"loss_without_context": "loss without context", "context_gain": "gain"}


def describe_run(facts: Facts) -> list[str]:
    """Paragraphs about the data, the scoring and the cut."""
    identity, counts = facts.run.manifest.identity, facts.run.manifest.counts
    names = facts.run.data
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    day = datetime.fromisoformat(facts.run.manifest.created_at).strftime("%d %B %Y").lstrip("0")
    limit = f" Reading stopped after {identity['limit']:,} rows." if identity["limit"] else ""
    quarantined = counts.get("quarantined", 0)
    aside = ""
    if quarantined:
        verb = "was" if quarantined == 1 else "were"
        aside = f" {count(quarantined, 'row')} could not be read and {verb} quarantined."
    engine = identity["engine"]
    ablation = _ABLATIONS.get(identity["settings"].get("ablation", "drop"), "")
    rows = counts.get("rows", facts.table.height)
    return [
        f"On {day}, {count(rows, 'row')} of {shown} gave "
        f"{count(facts.table.height, 'example')}.{limit}{aside}",
        f"The model {engine['model']} (revision {engine['revision']}, {engine['dtype']}, engine "
        f"{engine['engine']}) scored each response twice with the template "
        f"{identity['template']['name']}: {ablation}. The gain is the loss without the context "
        "minus the loss with it, in nats per response token. Above 0 the context helped.",
        describe_cut(facts),
    ]


def describe_cut(facts: Facts) -> str:
    """Return the rule of the split in words."""
    parameters = facts.parameters
    unsplit = "" if facts.split else say_unsplit(facts.run)
    start = f"This run has {unsplit}, so the default split is shown. " if unsplit else ""
    return start + f"Rule {parameters['rule']}: {_rule(parameters)} Exactly: {facts.formula}."


def _rule(parameters: dict[str, Any]) -> str:
    share = f"{100 * (parameters.get('fraction') or 0):.4g}%"
    statistic = _NAMES.get(parameters["statistic"], parameters["statistic"])
    match parameters["rule"]:
        case "paper":
            words = f"the {share} of the scored examples with the lowest {statistic} are dropped."
        case "gain":
            words = f"examples with a {statistic} above {parameters['threshold']} nats are kept."
        case "attention":
            words = (
                f"examples with more than {parameters['threshold']} of their attention on the "
                "context are kept."
            )
        case "both":
            words = (
                f"an example is kept when it is not among the {share} that are easiest without "
                f"the context and its {statistic} is above {parameters['threshold']} nats."
            )
        case _:
            words = f"the cut of {statistic} is found from its distribution."
    where = " Each source has its own cut." if parameters.get("per") == "source" else ""
    lengths = " The share is the same for short and long responses."
    return words + where + lengths * bool(parameters.get("length_control"))
