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

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Self, get_args

import polars as pl

from ifcurate.errors import DataError, IfcurateError
from ifcurate.split.cuts import Cut, CutRule
from ifcurate.split.groups import Frames
from ifcurate.split.labels import Labeller
from ifcurate.split.sorting import Scratch
from ifcurate.storage.tables import LABELS, SPLIT

__all__ = [
    "DEFAULT_BINS",
    "DEFAULT_FRACTION",
    "DEFAULT_GAIN",
    "Cut",
    "Rule",
    "Split",
    "SplitCuts",
    "SplitPlan",
    "SplitSummary",
    "Statistic",
    "split_scores",
]

Rule = Literal["paper", "gain", "both", "auto"]
Statistic = Literal[
    "context_gain", "max_token_gain", "loss_without_context", "max_token_loss_without_context"
]
DEFAULT_FRACTION: Final = 0.25
#: Nats per token; in a small laboratory precision 0.84 and recall 0.91, and no better founded.
DEFAULT_GAIN: Final = 0.15
DEFAULT_BINS: Final = 5
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


def split_scores(
    scores: pl.DataFrame,
    *,
    rule: Rule = "paper",
    fraction: float = DEFAULT_FRACTION,
    threshold: float | None = None,
    statistic: Statistic | None = None,
    per: Literal["all", "source"] = "all",
    length_control: bool = False,
    length_bins: int = DEFAULT_BINS,
    n_bootstrap: int = 200,
    seed: int = 0,
) -> Split:
    """Label every row of a SCORES table; the same labels whatever the order of its rows.

    `fraction` is what `paper` and `both` put below the cut; `threshold` is in
    the statistic's unit (nats), for `gain`, `both`, and for `auto` where it
    finds no two groups. `statistic` is the number that is cut: the mean or the
    largest token of the gain or of the loss without context (`paper` cuts the
    mean loss unless told, the others the mean gain; `both` takes a gain, and the
    loss that goes with it). `per="source"` cuts each source by itself.
    `length_control` finds the cut for the whole group and then puts the same
    share below it in each of `length_bins` bins of response length. `seed` is
    for the bootstrap of `auto`. Rows whose numbers are missing or not finite
    are `not-scored`.

    Raises `IfcurateError` for options that contradict each other, `DataError`
    for a table without the columns that the rule needs.
    """
    plan = SplitPlan.create(
        rule=rule,
        fraction=fraction,
        threshold=threshold,
        statistic=statistic,
        per=per,
        length_control=length_control,
        length_bins=length_bins,
        n_bootstrap=n_bootstrap,
        seed=seed,
    )
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
    def create(
        cls,
        *,
        rule: Rule = "paper",
        fraction: float = DEFAULT_FRACTION,
        threshold: float | None = None,
        statistic: Statistic | None = None,
        per: Literal["all", "source"] = "all",
        length_control: bool = False,
        length_bins: int = DEFAULT_BINS,
        n_bootstrap: int = 200,
        seed: int = 0,
    ) -> Self:
        """The options are those of `split_scores`, and so are the errors."""
        if per not in ("all", "source"):
            raise IfcurateError(f"split: per must be 'all' or 'source'; found {per!r}; choose one")
        rules = _cut_rules(rule, fraction, threshold, statistic)
        bins = length_bins if length_control else 1
        if length_control and bins < 2:
            raise IfcurateError(
                f"split: a length control needs 2 bins or more; found {bins}; raise length_bins"
            )
        if n_bootstrap < 20:
            raise IfcurateError(
                f"split: an interval needs 20 bootstrap draws or more; found {n_bootstrap}; use 200"
            )
        rules = [replace(r, length_bins=bins, n_bootstrap=n_bootstrap, seed=seed) for r in rules]
        parameters = {
            "rule": rule,
            "statistic": rules[-1].statistic,
            "hard_statistic": rules[0].statistic if rule == "both" else None,
            "fraction": fraction if rule != "gain" else None,
            "threshold": rules[-1].threshold,
            "per": per,
            "length_control": length_control,
            "length_bins": length_bins if length_control else None,
            "n_bootstrap": n_bootstrap if rule == "auto" else None,
            "seed": seed if rule == "auto" else None,
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


def _cut_rules(
    rule: Rule, fraction: float, threshold: float | None, statistic: Statistic | None
) -> list[CutRule]:
    """The one test of a rule, or the two of `both` (hard first)."""
    if rule not in get_args(Rule):
        choices = ", ".join(get_args(Rule))
        raise IfcurateError(f"split: unknown rule; found {rule!r}; use one of {choices}")
    if not (math.isfinite(fraction) and 0 <= fraction <= 1):
        raise IfcurateError(
            f"split: fraction must lie between 0 and 1; found {fraction}; write 0.25 for a quarter"
        )
    if threshold is not None and not math.isfinite(threshold):
        raise IfcurateError(f"split: threshold must be a number; found {threshold}; give nats")
    used = statistic or ("loss_without_context" if rule == "paper" else "context_gain")
    known = tuple(HARD) if rule == "both" else get_args(Statistic)
    if used not in known:
        raise IfcurateError(
            f"split: rule '{rule}' cannot cut this statistic; found {used!r}; "
            f"use one of {', '.join(known)}"
        )
    if rule == "paper":
        if threshold is not None:
            raise IfcurateError(
                "split: rule 'paper' cuts by a fraction, not at a threshold; "
                f"found threshold {threshold}; leave it out, or use rule 'gain' with "
                f"statistic '{used}'"
            )
        return [CutRule(used, "fraction", fraction, None)]
    if threshold is None and used == "context_gain":
        threshold = DEFAULT_GAIN
    if rule == "auto":
        return [CutRule(used, "auto", fraction, threshold)]
    if threshold is None:
        raise IfcurateError(
            f"split: rule '{rule}' has no default threshold for '{used}'; found none; "
            "give one in nats, or use rule 'auto'"
        )
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
