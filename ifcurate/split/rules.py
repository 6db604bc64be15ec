"""Labels from scores: which rows need their context. No model, and no row is changed.

Four rules, over the rows with status `scored`:

- `paper`: the `fraction` with the lowest loss without the context is
  non-context-critical (Goyal et al., ICLR 2025, section 4.4; a quarter there);
- `gain`: context-critical where the context lowers the loss by more than a threshold;
- `both`: hard without the context (the paper's cut) *and* helped by it (the
  gain's), which sorts out rows that stay hard with the context;
- `auto`: the cut between two groups of the distribution, with its uncertainty
  (`ifcurate.split.two_groups`); where there are no two groups it says so and falls back.

Above the cut is context-critical, at the cut or below it is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import polars as pl

from ifcurate.errors import DataError
from ifcurate.options.base import takes_options
from ifcurate.options.split import DEFAULT_GAIN, Rule, SplitOptions, Statistic
from ifcurate.split.cuts import Cut, CutRule
from ifcurate.split.groups import Frames
from ifcurate.split.labels import Labeller
from ifcurate.split.sorting import Scratch
from ifcurate.storage.tables import LABELS, SPLIT

__all__ = [
    "Cut",
    "Split",
    "SplitCuts",
    "SplitPlan",
    "SplitSummary",
    "split_scores",
]

HARD: Final[dict[str, Statistic]] = {
    "context_gain": "loss_without_context",
    "max_token_gain": "max_token_loss_without_context",
}
NO_CONTEXT, NOT_SCORED = LABELS[2:]
IDENTITY: Final = ("id", "source", "row", "turn", "key", "status", "reason", "preview")


@dataclass(frozen=True, slots=True)
class SplitSummary:
    """All that is needed to judge the cut that made the labels.

    `sensitivity` tells how many rows are kept with the cut moved, `nearest`
    shows the rows on either side of it; both per group.
    """

    rule: Rule
    parameters: dict[str, Any]  # all, as used; plain values
    cuts: tuple[Cut, ...]
    sensitivity: pl.DataFrame
    nearest: pl.DataFrame
    label_counts: dict[str, int]

    def counts(self) -> dict[str, int]:
        """How many rows have each label; every label is there."""
        return dict(self.label_counts)


@dataclass(frozen=True, slots=True)
class Split(SplitSummary):
    """Labels, and all that is needed to judge the cut that made them.

    `table` has the SPLIT schema, a row per row of the scores and in their order.
    """

    table: pl.DataFrame


@takes_options(SplitOptions)
def split_scores(scores: pl.DataFrame, *, options: SplitOptions) -> Split:
    """Label every row of a SCORES table.

    The labels do not depend on the order of the rows. Above the cut is
    context-critical. Rows whose numbers are missing or not finite are `not-scored`.

    Raises `OptionError` for options that contradict each other, `DataError` for a
    table without the columns that the rule needs.
    """
    plan = SplitPlan.create(options)
    plan.check_columns(scores.columns)
    with Scratch() as scratch:
        cuts = plan.find_cuts(lambda columns: iter((scores.select(columns),)), scratch)
    table = cuts.label(scores)
    found = cuts.summary()
    return Split(
        found.rule,
        found.parameters,
        found.cuts,
        found.sensitivity,
        found.nearest,
        found.label_counts,
        table,
    )


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """How a table is to be split, its options checked."""

    rule: Rule
    parameters: dict[str, Any]
    rules: tuple[CutRule, ...]  # one, or the two of `both`

    @classmethod
    def create(cls, options: SplitOptions) -> Self:
        """The plan for these options."""
        rule = options.rule
        rules = [
            replace(
                cut,
                length_bins=options.length_bins if options.length_control else 1,
                n_bootstrap=options.n_bootstrap,
                seed=options.seed,
            )
            for cut in _cut_rules(options)
        ]
        parameters = {
            "rule": rule,
            "statistic": rules[-1].statistic,
            "hard_statistic": rules[0].statistic if rule == "both" else None,
            "fraction": options.fraction if rule != "gain" else None,
            "threshold": rules[-1].threshold,
            "per": options.per,
            "length_control": options.length_control,
            "length_bins": options.length_bins if options.length_control else None,
            "n_bootstrap": options.n_bootstrap if rule == "auto" else None,
            "seed": options.seed if rule == "auto" else None,
        }
        return cls(rule, parameters, tuple(rules))

    @property
    def columns(self) -> tuple[str, ...]:
        """What labelling a row needs of the scores."""
        lengths = ["n_response_tokens"] * self.parameters["length_control"]
        return tuple(dict.fromkeys([*IDENTITY, *(r.statistic for r in self.rules), *lengths]))

    def check_columns(self, found: Sequence[str]) -> None:
        """Raises `DataError` when one of them is missing."""
        missing = [name for name in self.columns if name not in found]
        if missing:
            raise DataError(
                f"split: the scores have no column {', '.join(missing)}; "
                f"found {', '.join(found) or 'none'}; make them with `ifcurate score`"
            )

    def find_cuts(self, frames: Frames, scratch: Scratch) -> SplitCuts:
        """Read a table as often as it takes; `frames` may not give other rows the next time.

        Memory does not grow with the rows when `scratch` is on disk. Raises `DataError`
        for want of room.
        """
        per_source = self.parameters["per"] == "source"
        return SplitCuts(self, Labeller(frames, self.rules, per_source=per_source, scratch=scratch))


class SplitCuts:
    """Cuts that were found, and the labels that they give to one frame after the other."""

    def __init__(self, plan: SplitPlan, labeller: Labeller) -> None:
        self.cuts = labeller.cuts
        self._plan = plan
        self._labeller = labeller
        self._counts = dict.fromkeys(LABELS, 0)

    def label(self, scores: pl.DataFrame) -> pl.DataFrame:
        """The SPLIT table of the next rows of the table that was cut."""
        problem = scores.select(_problem([r.statistic for r in self._plan.rules]).alias("problem"))
        table = _table(scores, problem["problem"], self._labeller.label(scores))
        for label, n in table["label"].value_counts().iter_rows():
            self._counts[label] += n
        return table

    def summary(self) -> SplitSummary:
        """Of the rows that have been labelled: all of them, by now."""
        return SplitSummary(
            rule=self._plan.rule,
            parameters=self._plan.parameters,
            cuts=self.cuts,
            sensitivity=self._labeller.sensitivity(),
            nearest=self._labeller.nearest(),
            label_counts=self._counts,
        )


def _cut_rules(options: SplitOptions) -> list[CutRule]:
    """The one test of a rule, or the two of `both` (hard first)."""
    rule, fraction, threshold = options.rule, options.fraction, options.threshold
    used: Statistic = options.statistic or (
        "loss_without_context" if rule == "paper" else "context_gain"
    )
    if rule == "paper":
        return [CutRule(used, "fraction", fraction, None)]
    if threshold is None and used == "context_gain":
        threshold = DEFAULT_GAIN
    if rule == "auto":
        return [CutRule(used, "auto", fraction, threshold)]
    main = CutRule(used, "threshold", fraction, threshold)
    return [CutRule(HARD[used], "fraction", fraction, None), main] if rule == "both" else [main]


def _problem(columns: list[str]) -> pl.Expr:
    """Why a row gets no label from the rule; null when it can have one."""
    status = pl.col("status")
    found = [
        pl.when(status.is_null()).then(pl.lit("the scores give no status")),
        pl.when(status == "no_context").then(
            pl.coalesce("reason", pl.lit("the example has no context"))
        ),
        pl.when(status != "scored").then(pl.coalesce("reason", pl.format("status {}", status))),
    ]
    for name in columns:
        value = pl.col(name).cast(pl.Float64)
        found += [
            pl.when(value.is_null()).then(pl.lit(f"{name} is missing")),
            pl.when(~value.is_finite()).then(
                pl.format(f"{name} is {{}}, not a finite number", value)
            ),
        ]
    return pl.coalesce(found)


def _table(scores: pl.DataFrame, problem: pl.Series, labelled: pl.DataFrame) -> pl.DataFrame:
    """The SPLIT table, in the order of the scores."""
    usable = problem.is_null()
    place = usable.cast(pl.Int64).cum_sum() - 1
    place = pl.select(pl.when(usable).then(place).otherwise(None))[:, 0]
    filled = labelled.select(pl.all().gather(place))
    no_label = (
        pl.when(pl.col("status") == "no_context")
        .then(pl.lit(NO_CONTEXT))
        .otherwise(pl.lit(NOT_SCORED))
    )
    kept = scores.select("id", "source", "row", "turn", "status").with_columns(problem)
    joined = pl.concat([kept, filled], how="horizontal")
    return joined.select(
        "id",
        "source",
        "row",
        "turn",
        pl.coalesce("label", no_label).alias("label"),
        "value",
        "threshold",
        "confidence",
        pl.coalesce("reason", "problem").alias("reason"),
    ).cast(SPLIT)
