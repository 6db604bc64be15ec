"""Labels from scores: which rows need their context. No model, and no row is changed.

Four rules, over the rows with status `scored`:

- `paper`: the `fraction` with the lowest loss without the context is
  non-context-critical (Goyal et al., ICLR 2025, section 4.4; a quarter there);
- `gain`: context-critical where the context lowers the loss by more than a threshold;
- `both`: hard without the context (the paper's cut) *and* helped by it (the
  gain's), which sorts out rows that stay hard with the context;
- `auto`: the cut between two groups of the distribution, with its uncertainty
  (`ifcurate.two_groups`); where there are no two groups it says so and falls back.

Above the cut is context-critical, at the cut or below it is not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args

import polars as pl

from ifcurate.cuts import Cut, CutRule
from ifcurate.errors import DataError, IfcurateError
from ifcurate.labels import label_rows
from ifcurate.tables import LABELS, SPLIT

__all__ = ["DEFAULT_FRACTION", "DEFAULT_GAIN", "Cut", "Rule", "Split", "Statistic", "split_scores"]

Rule = Literal["paper", "gain", "both", "auto"]
Statistic = Literal[
    "context_gain", "max_token_gain", "loss_without_context", "max_token_loss_without_context"
]
DEFAULT_FRACTION: Final = 0.25
#: Nats per token; in a small laboratory precision 0.84 and recall 0.91, and no better founded.
DEFAULT_GAIN: Final = 0.15
HARD: Final[dict[str, Statistic]] = {
    "context_gain": "loss_without_context",
    "max_token_gain": "max_token_loss_without_context",
}
NO_CONTEXT, NOT_SCORED = LABELS[2:]
IDENTITY: Final = ("id", "source", "row", "turn", "key", "status", "reason", "preview")


@dataclass(frozen=True, slots=True)
class Split:
    """Labels, and all that is needed to judge the cut that made them.

    `table` has the SPLIT schema, a row per row of the scores and in their
    order. `sensitivity` tells how many rows are kept with the cut moved,
    `nearest` shows the rows on either side of it; both per group.
    """

    table: pl.DataFrame
    rule: Rule
    parameters: dict[str, Any]  # all, as used; plain values
    cuts: tuple[Cut, ...]
    sensitivity: pl.DataFrame
    nearest: pl.DataFrame

    def counts(self) -> dict[str, int]:
        """How many rows have each label; every label is there."""
        found = dict(self.table["label"].value_counts().iter_rows())
        return {label: int(found.get(label, 0)) for label in LABELS}


def split_scores(
    scores: pl.DataFrame,
    *,
    rule: Rule = "paper",
    fraction: float = DEFAULT_FRACTION,
    threshold: float | None = None,
    statistic: Statistic | None = None,
    per: Literal["all", "source"] = "all",
    length_control: bool = False,
    length_bins: int = 5,
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
    columns = [r.statistic for r in rules]
    _check_columns(scores, [*IDENTITY, *columns, *(["n_response_tokens"] * length_control)])
    problem = scores.select(_problem(columns).alias("problem"))["problem"]
    labels = label_rows(scores.filter(problem.is_null()), rules, per_source=per == "source")
    return Split(
        table=_table(scores, problem, labels.table),
        rule=rule,
        parameters={
            "rule": rule,
            "statistic": columns[-1],
            "hard_statistic": columns[0] if rule == "both" else None,
            "fraction": fraction if rule != "gain" else None,
            "threshold": rules[-1].threshold,
            "per": per,
            "length_control": length_control,
            "length_bins": length_bins if length_control else None,
            "n_bootstrap": n_bootstrap if rule == "auto" else None,
            "seed": seed if rule == "auto" else None,
        },
        cuts=labels.cuts,
        sensitivity=labels.sensitivity,
        nearest=labels.nearest,
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


def _check_columns(scores: pl.DataFrame, needed: list[str]) -> None:
    missing = [c for c in needed if c not in scores.columns]
    if missing:
        raise DataError(
            f"split: the scores have no column {', '.join(missing)}; "
            f"found {', '.join(scores.columns) or 'none'}; make them with `ifcurate score`"
        )


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
