"""From cuts to what a person reads: labels with reasons, how firm the cut is, what lies near it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from ifcurate.cuts import (
    Cut,
    CutRule,
    FloatArray,
    IntArray,
    Verdict,
    apportion,
    cut_values,
    length_bins,
    share_of,
    sort_values,
)
from ifcurate.tables import LABELS

__all__ = ["Labels", "label_rows"]

CRITICAL, NON_CRITICAL, NO_CONTEXT, NOT_SCORED = LABELS
STEPS: Final = (0.25, 0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0, 4.0)
FRACTION_STEPS: Final = (-0.2, -0.15, -0.1, -0.05, 0.0, 0.05, 0.1, 0.15, 0.2)
NEAREST: Final = 5
NEAREST_COLUMNS: Final = (
    *("group", "label", "id", "source", "row", "turn"),
    *("value", "threshold", "confidence", "preview"),
)
SENSITIVITY: Final = pl.Schema(
    {
        "group": pl.String(),
        "parameter": pl.String(),  # "fraction" or "threshold"
        "at": pl.Float64(),
        "n_context_critical": pl.Int64(),
        "n_non_context_critical": pl.Int64(),
        "change": pl.Int64(),  # of n_context_critical, against the cut that was made
    }
)


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of the usable rows, with their cuts."""

    table: pl.DataFrame  # a row per usable row: group, label, value, threshold, confidence, reason
    cuts: tuple[Cut, ...]
    sensitivity: pl.DataFrame
    nearest: pl.DataFrame


def label_rows(rows: pl.DataFrame, rules: Sequence[CutRule], *, per_source: bool) -> Labels:
    """Label rows whose numbers are all finite; a row must be above the cut of every rule.

    `rows` is the part of a SCORES table that is usable; order is kept.
    """
    names, codes = _groups(rows, per_source)
    controlled = any(rule.length_bins > 1 for rule in rules)
    lengths = np.zeros(len(rows), dtype=np.int64)
    if controlled:
        lengths = rows["n_response_tokens"].fill_null(0).cast(pl.Int64).to_numpy()
    values, grouped = [], []
    for rule in rules:
        numbers = rows[rule.statistic].cast(pl.Float64).to_numpy() + 0.0  # -0.0 becomes 0.0
        order = sort_values(numbers, rows)
        values.append(numbers)
        grouped.append(order[np.argsort(codes[order], kind="stable")])
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))

    whole = [Verdict.empty(len(rows)) for _ in rules]
    cuts: list[Cut] = []
    sensitivity: list[tuple[str, str, float, int, int, int]] = []
    place = np.empty(len(rows), dtype=np.int64)
    for code, name in enumerate(names):
        span = slice(ends[code - 1] if code else 0, ends[code])
        members = grouped[0][span]
        place[members] = np.arange(len(members))
        orders = [place[g[span]] for g in grouped]
        parts = [
            cut_values(name, v[members], order, lengths[members], rule)
            for v, order, rule in zip(values, orders, rules, strict=True)
        ]
        for target, part in zip(whole, parts, strict=True):
            target.above[members] = part.above
            target.threshold[members] = part.threshold
            target.chance[members] = part.chance
            cuts.extend(part.cuts)
        numbers_here = [v[members] for v in values]
        sensitivity += _sensitivity(name, numbers_here, orders, lengths[members], rules, parts)

    table = _decide(names, codes, values, whole, rules, cuts)
    return Labels(
        table=table,
        cuts=tuple(cuts),
        sensitivity=pl.DataFrame(sensitivity, schema=SENSITIVITY, orient="row"),
        nearest=_nearest(rows, table),
    )


def _groups(rows: pl.DataFrame, per_source: bool) -> tuple[list[str], IntArray]:
    if not per_source:
        return ["all"], np.zeros(len(rows), dtype=np.int64)
    if not len(rows):
        return [], np.zeros(0, dtype=np.int64)
    source = rows["source"].fill_null("")
    names = source.unique().sort()
    codes = pl.int_range(len(names), eager=True)
    found = source.replace_strict(names, codes, return_dtype=pl.Int64).to_numpy()
    return names.to_list(), found


def _sensitivity(
    name: str,
    values: list[FloatArray],
    orders: list[IntArray],
    lengths: IntArray,
    rules: Sequence[CutRule],
    verdicts: list[Verdict],
) -> list[tuple[str, str, float, int, int, int]]:
    """How many rows stay context-critical when one cut moves and the others stay."""
    n = len(lengths)
    if n == 0:
        return []
    kept = int(np.logical_and.reduce([v.above for v in verdicts]).sum())
    found = []
    for i, rule in enumerate(rules):
        cut = verdicts[i].cuts[0]
        others = np.ones(n, dtype=np.bool_)
        for j, verdict in enumerate(verdicts):
            if j != i:
                others &= verdict.above
        bins = [members for _, members in length_bins(orders[i], lengths, rule)]
        passing = [np.concatenate([[0], np.cumsum(others[m])]) for m in bins]
        ranked = values[i][orders[i]]
        for at, n_below in _steps(rule, cut, ranked):
            shares = apportion(n_below, [len(m) for m in bins])
            count = sum(int(p[-1] - p[k]) for p, k in zip(passing, shares, strict=True))
            parameter = "fraction" if rule.kind == "fraction" else "threshold"
            found.append((name, parameter, at, count, n - count, count - kept))
    return found


def _steps(rule: CutRule, cut: Cut, ranked: FloatArray) -> list[tuple[float, int]]:
    """Where else to cut, and how many rows would be below: upwards, the cut itself included."""
    n = len(ranked)
    if rule.kind == "fraction":
        moved = {round(min(1.0, max(0.0, rule.fraction + d)), 12) for d in FRACTION_STEPS}
        return [(at, share_of(at, n)) for at in sorted(moved)]
    middle = cut.threshold
    assert middle is not None
    if middle > 0:
        moved = {middle * step for step in STEPS}
    else:
        low, high = np.quantile(ranked, [0.25, 0.75])
        width = float(high - low) / 4 or max(abs(middle), 1.0) / 4
        moved = {middle + width * (i - len(STEPS) // 2) for i in range(len(STEPS))}
    return [
        (at, cut.n_below if at == middle else int(np.searchsorted(ranked, at, side="right")))
        for at in sorted(moved)
    ]


def _decide(
    names: list[str],
    codes: IntArray,
    values: list[FloatArray],
    verdicts: list[Verdict],
    rules: Sequence[CutRule],
    cuts: list[Cut],
) -> pl.DataFrame:
    """Label, deciding number, confidence and reason of each usable row.

    With several rules the one with the lowest chance decides: its value and
    threshold are given, and its chance is the row's.
    """
    chances = np.stack([v.chance for v in verdicts])  # (n_rules, n)
    critical = np.logical_and.reduce([v.above for v in verdicts])
    # A row that fails has its number from a rule that it fails, ties at a cut included.
    weighed = chances - np.where(np.stack([v.above for v in verdicts]), 0.0, 1.0)
    decisive = weighed.argmin(axis=0)
    chance = np.take_along_axis(chances, decisive[None], 0)[0]
    deciding = decisive[None]
    data = {
        "group": codes,
        "critical": critical,
        "value": np.take_along_axis(np.stack(values), deciding, 0)[0],
        "threshold": np.take_along_axis(np.stack([v.threshold for v in verdicts]), deciding, 0)[0],
        "chance": chance,
    }
    for i, (numbers, verdict) in enumerate(zip(values, verdicts, strict=True)):
        data |= {f"value_{i}": numbers, f"cut_{i}": verdict.threshold, f"above_{i}": verdict.above}
    frame = pl.DataFrame(data).with_columns(_hows(names, codes, rules, cuts))
    label = pl.when("critical").then(pl.lit(CRITICAL)).otherwise(pl.lit(NON_CRITICAL))
    sure = pl.when("critical").then(pl.col("chance")).otherwise(1 - pl.col("chance"))
    return frame.select(
        pl.Series("group", names, dtype=pl.String).gather(codes),
        label.alias("label"),
        "value",
        "threshold",
        sure.clip(0.5, 1.0).alias("confidence"),
        _reason(rules).alias("reason"),
    )


def _hows(
    names: list[str], codes: IntArray, rules: Sequence[CutRule], cuts: list[Cut]
) -> list[pl.Series]:
    hows = []
    for i, rule in enumerate(rules):
        said = {c.group: c.how for c in cuts if c.statistic == rule.statistic and not c.length_bin}
        suffix = ", by length" if rule.length_bins > 1 else ""
        phrases = pl.Series(f"how_{i}", [said[n] + suffix for n in names], dtype=pl.String)
        hows.append(phrases.gather(codes))
    return hows


def _reason(rules: Sequence[CutRule]) -> pl.Expr:
    said = []
    for i, rule in enumerate(rules):
        value, cut, above = pl.col(f"value_{i}"), pl.col(f"cut_{i}"), pl.col(f"above_{i}")
        relation = (
            pl.when(value == cut)
            .then(pl.when(above).then(pl.lit("ties with")).otherwise(pl.lit("is not above")))
            .when(above)
            .then(pl.lit("is above"))
            .otherwise(pl.lit("is not above"))
        )
        number, limit = (x.round_sig_figs(6).cast(pl.String) for x in (value, cut))
        said.append(
            pl.format(
                "{} {} {} {} ({})", pl.lit(rule.statistic), number, relation, limit, f"how_{i}"
            )
        )
    if len(rules) == 1:
        return said[0]
    hard, helped = pl.col("above_0"), pl.col("above_1")
    verdict = (
        pl.when(hard & helped)
        .then(pl.lit("hard without the context and helped by it"))
        .when(hard)
        .then(pl.lit("hard, but not helped by the context"))
        .when(helped)
        .then(pl.lit("known without the context"))
        .otherwise(pl.lit("known without the context, and not helped by it"))
    )
    return pl.format("{}: {}; {}", verdict, said[0], said[1])


def _nearest(rows: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    """The rows nearest to their cut by confidence, a few of each label and group."""
    named = pl.concat(
        [rows.select("id", "source", "row", "turn", "key", "preview"), table.drop("reason")],
        how="horizontal",
    )
    ties = ["key", "id", "source", "row", "turn"]
    distance = (pl.col("value") - pl.col("threshold")).abs()
    return (
        named.sort("confidence", distance, *ties)
        .group_by("group", "label", maintain_order=True)
        .head(NEAREST)
        .sort("group", "value", *ties)
        .select(NEAREST_COLUMNS)
    )
