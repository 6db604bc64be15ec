"""Labels from scores: which rows need their context. No model runs, and no row changes.

Five rules, over the rows with status `scored`:

- `paper`: the `fraction` with the lowest loss without the context is
  non-context-critical (Goyal et al., ICLR 2025, section 4.4; a quarter there);
- `gain`: rows whose context gain is above a threshold are context-critical;
- `both`: rows must be hard without the context (the paper's cut) *and* helped by it (the
  gain's cut), which excludes rows that stay hard with the context;
- `attention`: more than a share of the attention falls on the context (Wang et al., 2024);
- `auto`: the cut between two groups of the distribution, with its uncertainty
  (`ifcurate.split.two_groups`). Without two groups, a note says so and another rule applies.

Rows above the cut are context-critical; rows at the cut or below it are not. `max_overlap`
leaves rows out before any rule applies: when most words of the context are also elsewhere in
the prompt, the prompt without the context still has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import polars as pl

from ifcurate.errors import DataError
from ifcurate.histograms import Histogram, count_bins
from ifcurate.options.base import takes_options
from ifcurate.options.split import DEFAULT_ATTENTION, DEFAULT_GAIN, Rule, SplitOptions, Statistic
from ifcurate.phrases import check_type
from ifcurate.split.around_cuts import MovedCut, find_nearest, measure_sensitivity, move_cuts
from ifcurate.split.cuts import Cut, CutRule, IntArray, Kind
from ifcurate.split.groups import Group, Places, TieOrder, read_groups
from ifcurate.split.labels import label_rows, split_table
from ifcurate.storage.tables import LABELS, TABLE_WANTED

if TYPE_CHECKING:
    from ifcurate.pages.shell import Figure

HARD: Final[dict[str, Statistic]] = {
    "context_gain": "loss_without_context",
    "max_token_gain": "max_token_loss_without_context",
}
_ATTENTION: Final = pl.col("context_attention")
IDENTITY: Final = ("id", "source", "row", "turn", "key", "status", "reason", "preview")


@dataclass(frozen=True, slots=True)
class SplitSummary:
    """The cuts that made the labels, with data to judge them.

    For each group, `sensitivity` has the number of kept rows when the cut moves, and `nearest`
    has the rows on either side of it.
    """

    rule: Rule
    parameters: dict[str, Any]  # every parameter as it was used; plain values
    cuts: tuple[Cut, ...]
    sensitivity: pl.DataFrame
    nearest: pl.DataFrame
    label_counts: dict[str, int]
    n_left_out: int  # rows above `max_overlap`; they are not-scored
    histograms: Mapping[tuple[str, str], Histogram]  # (group, statistic) -> its numbers

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each label, 0 for a label without rows."""
        return dict(self.label_counts)


@dataclass(frozen=True, slots=True, repr=False)
class Split(SplitSummary):
    """Labels, with the cuts that made them and data to judge them.

    `table` has the SPLIT schema and one row for each row of the scores, in their order.
    """

    table: pl.DataFrame

    def __repr__(self) -> str:
        counts = ", ".join(f"{n:,} {label}" for label, n in self.counts().items())
        return f"Split(rule {self.rule}: {counts})"

    def plot(self) -> Figure:
        """Return the distribution of the number that was cut, with the cut, as a figure.

        A notebook shows the figure, and its `save` writes a page. Raises `DataError` when no
        row was cut.
        """
        from ifcurate.split.figure import draw_split

        return draw_split(self.table, self.rule, self.cuts)


@takes_options(SplitOptions)
def split_scores(scores: pl.DataFrame, *, options: SplitOptions) -> Split:
    """Label every row of a SCORES table.

    Rows above the cut are context-critical. Rows whose numbers are missing or not finite are
    `not-scored`. The labels do not depend on the order of the rows.

    Raises `OptionError` for options that contradict each other, `DataError` for a table
    without the columns that the rule needs.
    """
    check_type("scores", scores, pl.DataFrame, TABLE_WANTED)
    plan = SplitPlan.create(options)
    plan.check_columns(scores.columns)
    rows = scores.lazy().with_row_index("place")
    cuts = plan.find_cuts(rows)
    table = cuts.table().collect()
    summary = cuts.summary(dict(table["label"].value_counts().iter_rows()))
    values = {field.name: getattr(summary, field.name) for field in fields(summary)}
    return Split(**values, table=table)


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """The rules of a split, from checked options."""

    rule: Rule
    parameters: dict[str, Any]
    rules: tuple[CutRule, ...]  # one, or the two of `both`

    @classmethod
    def create(cls, options: SplitOptions) -> Self:
        """Return the plan for these options."""
        rule = options.rule
        rules = _cut_rules(options)
        parameters = {
            "rule": rule,
            "statistic": rules[-1].statistic,
            "hard_statistic": rules[0].statistic if rule == "both" else None,
            "fraction": options.fraction if rule in ("paper", "both", "auto") else None,
            "threshold": rules[-1].threshold,
            "per": options.per,
            "length_control": options.length_control,
            "length_bins": options.length_bins if options.length_control else None,
            "n_bootstrap": options.n_bootstrap if rule == "auto" else None,
            "seed": options.seed if rule == "auto" else None,
        }
        if options.max_overlap is not None:
            parameters["max_overlap"] = options.max_overlap
        return cls(rule, parameters, tuple(rules))

    def check_columns(self, columns: Sequence[str]) -> None:
        """Raise `DataError` when a column that the labels need is missing."""
        needed = [*IDENTITY, *(rule.statistic for rule in self.rules)]
        needed += ["n_response_tokens"] * self.parameters["length_control"]
        needed += ["context_overlap"] * ("max_overlap" in self.parameters)
        missing = [name for name in dict.fromkeys(needed) if name not in columns]
        if missing:
            raise DataError(
                f"split: the scores have no column {', '.join(missing)}; "
                f"found {', '.join(columns) or 'none'}; make them with `ifcurate score`"
            )

    def leave_out(self, scores: pl.LazyFrame) -> pl.LazyFrame:
        """Return the scores, with the status "left_out" for rows above `max_overlap`."""
        most = self.parameters.get("max_overlap")
        if most is None:
            return scores
        overlap = pl.col("context_overlap")
        out = ((pl.col("status") == "scored") & (overlap > most)).fill_null(False)
        reason = pl.format(
            "context_overlap {} is above {}", overlap.round_sig_figs(6), pl.lit(f"{most:g}")
        )
        return scores.with_columns(
            pl.when(out).then(pl.lit("left_out")).otherwise(pl.col("status")).alias("status"),
            pl.when(out).then(reason).otherwise(pl.col("reason")).alias("reason"),
        )

    def _check_attention(self, scores: pl.LazyFrame) -> None:
        """Raise `DataError` when the rule cuts the attention and no row has it."""
        if self.rules[-1].statistic != "context_attention":
            return
        measured = scores.select((pl.col("status") == "scored").any() & _ATTENTION.is_null().all())
        if measured.collect(engine="streaming").item():
            raise DataError(
                "split: the scores have no attention; found only nulls in context_attention; "
                "score with --method attention, or use another rule"
            )

    def find_cuts(self, scores: pl.LazyFrame) -> SplitCuts:
        """Return the cuts of a SCORES table that has its row numbers in `place`."""
        scores = self.leave_out(scores)
        self._check_attention(scores)
        groups = read_groups(scores, self.rules, per_source=self.parameters["per"] == "source")
        moved = [move_cuts(group, self.rules) for group in groups]
        n_rows = scores.select(pl.len()).collect(engine="streaming").item()
        order = TieOrder.read(scores, _find_ties(groups, moved))
        above = [group.find_above(order) for group in groups]
        return SplitCuts(
            self,
            scores,
            groups,
            labelled=label_rows(n_rows, groups, self.rules, above),
            sensitivity=measure_sensitivity(groups, self.rules, moved, above, order),
        )


@dataclass(frozen=True, slots=True)
class SplitCuts:
    """The cuts of a table, which label its rows."""

    plan: SplitPlan
    scores: pl.LazyFrame  # the table, where rows are left out as the plan says
    groups: list[Group]
    labelled: pl.DataFrame  # of `label_rows`
    sensitivity: pl.DataFrame

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """All cuts, by group and rule."""
        return tuple(cut for group in self.groups for by_rule in group.cuts for cut in by_rule.cuts)

    def table(self) -> pl.LazyFrame:
        """Return the SPLIT table: a row for each row of the scores, in their order."""
        return split_table(self.scores, self.plan.rules, self.labelled)

    def find_near(self, band: float) -> IntArray:
        """Return the places of the rows whose numbers are within `band` of one of their cuts."""
        near = [
            part.places[np.abs(values - threshold) <= band]
            for group in self.groups
            for i, cut in enumerate(group.cuts)
            for part, threshold in zip(group.parts, cut.thresholds, strict=True)
            for values in [part.values[i]]
        ]
        return np.unique(np.concatenate([np.zeros(0, np.int64), *near]))

    def summary(self, counts: Mapping[str, int]) -> SplitSummary:
        """Return the cuts with data to judge them.

        `counts` are those of the labels in the table.
        """
        n_left_out = 0
        if "max_overlap" in self.plan.parameters:
            out = self.scores.select((pl.col("status") == "left_out").sum())
            n_left_out = int(out.collect(engine="streaming").item())
        return SplitSummary(
            rule=self.plan.rule,
            parameters=self.plan.parameters,
            cuts=self.cuts,
            sensitivity=self.sensitivity,
            nearest=find_nearest(self.scores, self.labelled),
            label_counts={label: counts.get(label, 0) for label in LABELS},
            n_left_out=n_left_out,
            histograms={
                (group.name, rule.statistic): histogram
                for group in self.groups
                for rule, ranked in zip(self.plan.rules, group.ranked, strict=True)
                if (histogram := count_bins(ranked)) is not None
            },
        )


def _find_ties(
    groups: Sequence[Group], moved: Sequence[Sequence[Sequence[MovedCut]]]
) -> Iterator[tuple[Places, int]]:
    """Yield the places of the rows that tie at each cut, and how many of them are below."""
    for group, moved_rules in zip(groups, moved, strict=True):
        for i, (cut, steps) in enumerate(zip(group.cuts, moved_rules, strict=True)):
            tried = [below for _, below in steps] if len(moved_rules) > 1 else []
            for below in [cut.below, *tried]:
                for part, n_below in zip(group.parts, below, strict=True):
                    ties, n_ties_below = part.find_ties(i, n_below)
                    yield part.places[ties], n_ties_below


def _cut_rules(options: SplitOptions) -> list[CutRule]:
    """Return the cut of a rule; for `both`: hard without the context, then helped by it."""

    def cut(statistic: str, kind: Kind, threshold: float | None) -> CutRule:
        return CutRule(
            statistic,
            kind,
            options.fraction,
            threshold,
            length_bins=options.length_bins if options.length_control else 1,
            n_bootstrap=options.n_bootstrap,
            seed=options.seed,
        )

    rule, threshold = options.rule, options.threshold
    used: Statistic = options.statistic or (
        "loss_without_context" if rule == "paper" else "context_gain"
    )
    if rule == "attention":
        share = DEFAULT_ATTENTION if threshold is None else threshold
        return [cut("context_attention", "threshold", share)]
    if rule == "paper":
        return [cut(used, "fraction", None)]
    if threshold is None and used == "context_gain":
        threshold = DEFAULT_GAIN
    if rule == "auto":
        return [cut(used, "auto", threshold)]
    main = cut(used, "threshold", threshold)
    return [cut(HARD[used], "fraction", None), main] if rule == "both" else [main]
