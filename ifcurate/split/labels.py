"""The rule itself, in lazy polars: which rows are above every cut, and what is said of them.

The rows of a group and length bin are a part (`ifcurate.split.parts`) with cuts of its
own. A row is context-critical when it is above its part's cut by every rule:

    value > bound, or value = bound and the row stands behind the last one below

in the order of key, id, source, row, turn and place (the key is a hash of the row's
tokens, so this order is as good as drawn by lot, and does not depend on the table's).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from ifcurate.split.cuts import Bound, GroupCut
from ifcurate.split.parts import Parts, is_usable, number
from ifcurate.storage.tables import LABELS

__all__ = ["CRITICAL", "TIE_ORDER", "bound_table", "cut_table", "is_above", "label_rows"]

CRITICAL, NON_CRITICAL, NO_CONTEXT, NOT_SCORED = LABELS

#: How rows that tie at a cut are ordered. What is missing counts as empty, or as the least.
TIE_ORDER: Final[dict[str, pl.Expr]] = {
    **{name: pl.col(name).fill_null("") for name in ("key", "id", "source")},
    **{name: pl.col(name).cast(pl.Int64).fill_null(-(2**63)) for name in ("row", "turn", "place")},
}


#: How a value stands to its cut, in words.
_RELATIONS: Final = {"ties": "ties with", "over": "is above", "under": "is not above"}


def label_rows(scores: pl.LazyFrame, parts: Parts, table: pl.DataFrame) -> pl.LazyFrame:
    """Each row with its label and what decided it; `table` is that of `cut_table`.

    Adds group, statistic, label, value, threshold, confidence, distance and reason. With
    several rules the one with the lowest chance decides, and one that the row fails before
    one that it passes: the row's value, threshold and confidence are of this rule.
    """
    rules = range(len(parts.rules))
    values = [number(rule) for rule in parts.rules]
    cuts = [pl.col(f"threshold_{i}") for i in rules]
    above = [is_above(values[i], str(i), table) for i in rules]
    chances = [_chance(values[i], cuts[i], pl.col(f"slope_{i}")) for i in rules]
    weights = [chances[i] - (~above[i]).cast(pl.Float64) for i in rules]

    def deciding(of_rules: Sequence[pl.Expr]) -> pl.Expr:
        if len(of_rules) == 1:
            return of_rules[0]
        return pl.when(weights[0] <= weights[1]).then(of_rules[0]).otherwise(of_rules[1])

    usable = is_usable(parts.rules)
    critical = pl.all_horizontal(above)
    value, threshold, chance = deciding(values), deciding(cuts), deciding(chances)
    sure = pl.when(critical).then(chance).otherwise(1 - chance).clip(0.5, 1.0)
    names, statistics = pl.Enum(LABELS), pl.Enum([rule.statistic for rule in parts.rules])
    no_label = pl.when(pl.col("status") == "no_context").then(pl.lit(NO_CONTEXT, names))
    label = pl.when(critical).then(pl.lit(CRITICAL, names)).otherwise(pl.lit(NON_CRITICAL, names))
    statistic = deciding([pl.lit(rule.statistic, statistics) for rule in parts.rules])
    return parts.attach(scores, table).with_columns(
        statistic.alias("statistic"),
        pl.when(usable)
        .then(label)
        .otherwise(no_label.otherwise(pl.lit(NOT_SCORED, names)))
        .alias("label"),
        pl.when(usable).then(value).alias("value"),
        pl.when(usable).then(threshold).alias("threshold"),
        pl.when(usable).then(sure).alias("confidence"),
        pl.when(usable).then((value - threshold).abs()).alias("distance"),
        pl.when(usable)
        .then(_reason(parts, values, above))
        .otherwise(_problem(parts))
        .alias("reason"),
    )


def is_above(value: pl.Expr, name: str, table: pl.DataFrame) -> pl.Expr:
    """Whether a row is above the cut of its part that has this name in a `bound_table`."""
    bound = pl.col(f"bound_{name}")
    above = value > bound
    if f"last_{name}_key" not in table.columns:  # no rows tie there
        return above
    behind = pl.lit(False)
    for column, mine in reversed(TIE_ORDER.items()):
        last = pl.col(f"last_{name}_{column}")
        behind = (mine > last) | ((mine == last) & behind)
    return above | ((value == bound) & behind.fill_null(False))


def _chance(value: pl.Expr, threshold: pl.Expr, slope: pl.Expr) -> pl.Expr:
    """The chance to be above, 1/2 at the cut: see `ifcurate.split.cuts`."""
    return 1 / (1 + (-((value - threshold) * slope).clip(-500, 500)).exp())


def _reason(parts: Parts, values: Sequence[pl.Expr], above: Sequence[pl.Expr]) -> pl.Expr:
    """What made the label, in words; put together once, as long texts are slow to copy."""
    said = []
    for i, rule in enumerate(parts.rules):
        against = (
            pl.when((values[i] == pl.col(f"threshold_{i}")) & above[i])
            .then(f"ties_{i}")
            .when(above[i])
            .then(f"over_{i}")
            .otherwise(f"under_{i}")
        )
        shown = values[i].round_sig_figs(6).cast(pl.String)
        said.append([pl.lit(f"{'; ' * (i > 0)}{rule.statistic} "), shown, against])
    if len(said) == 1:
        return pl.concat_str(said[0])
    hard, helped = above
    verdict = (
        pl.when(hard & helped)
        .then(pl.lit("hard without the context and helped by it: "))
        .when(hard)
        .then(pl.lit("hard, but not helped by the context: "))
        .when(helped)
        .then(pl.lit("known without the context: "))
        .otherwise(pl.lit("known without the context, and not helped by it: "))
    )
    return pl.concat_str(verdict, *said[0], *said[1])


def _problem(parts: Parts) -> pl.Expr:
    """Why a row gets no label from the rule."""
    status, reason = pl.col("status"), pl.col("reason")
    found = [
        pl.when(status.is_null()).then(pl.lit("the scores give no status")),
        pl.when(status == "no_context").then(
            pl.coalesce(reason, pl.lit("the example has no context"))
        ),
        pl.when(status != "scored").then(pl.coalesce(reason, pl.format("status {}", status))),
    ]
    for rule in parts.rules:
        name, value = rule.statistic, number(rule)
        text = pl.format(f"{name} is {{}}, not a finite number", value)
        found.append(pl.when(value.is_null()).then(pl.lit(f"{name} is missing")))
        found.append(pl.when(~value.is_finite()).then(text))
    return pl.coalesce(found)


def cut_table(
    scores: pl.LazyFrame, parts: Parts, cuts: Sequence[Sequence[GroupCut]]
) -> pl.DataFrame:
    """What `label_rows` needs of each part; `cuts` are those of each group, one per rule."""
    bounds = {
        str(i): (i, [b for group in cuts for b in group[i].bounds]) for i in range(len(parts.rules))
    }
    columns = []
    for i, rule in enumerate(parts.rules):
        suffix = ", by length" if rule.length_bins > 1 else ""
        each = [(group[i], t) for group in cuts for t in group[i].thresholds]
        limits = pl.Series(f"threshold_{i}", [t for _, t in each], dtype=pl.Float64)
        hows = pl.Series([cut.cuts[0].how + suffix for cut, _ in each], dtype=pl.String)
        # A factor: polars divides by a constant otherwise than by a column.
        slopes = [math.pi / math.sqrt(3) / cut.scale for cut, _ in each]
        shown = limits.round_sig_figs(6).cast(pl.String)
        columns += [limits, pl.Series(f"slope_{i}", slopes, dtype=pl.Float64)]
        for name, relation in _RELATIONS.items():
            text = pl.format(f" {relation} {{}} ({{}})", shown, hows)
            columns.append(pl.select(text.alias(f"{name}_{i}")).to_series())
    return bound_table(scores, parts, bounds).with_columns(columns)


def bound_table(
    scores: pl.LazyFrame, parts: Parts, bounds: Mapping[str, tuple[int, Sequence[Bound]]]
) -> pl.DataFrame:
    """A row for each part, with the bounds that `is_above` needs.

    `bounds` are named: name -> the rule's number, and a bound for each part.
    """
    wanted: defaultdict[int, set[tuple[int, float, int]]] = defaultdict(set)
    for rule, of_parts in bounds.values():
        wanted[rule] |= {(p, b.value, b.n_below) for p, b in enumerate(of_parts) if b.n_ties}
    last = {
        rule: _last_below(scores, parts, rule, asked) for rule, asked in wanted.items() if asked
    }
    columns = []
    for name, (rule, of_parts) in bounds.items():
        columns.append(pl.Series(f"bound_{name}", [b.value for b in of_parts], dtype=pl.Float64))
        if any(b.n_ties for b in of_parts):
            rows = [last[rule].get((p, b.value, b.n_below), {}) for p, b in enumerate(of_parts)]
            columns += [
                pl.Series(f"last_{name}_{c}", [r.get(c) for r in rows], dtype=_TIE_TYPES[c])
                for c in TIE_ORDER
            ]
    return pl.DataFrame(columns)


_TIE_TYPES: Final = {
    name: pl.String() if name in ("key", "id", "source") else pl.Int64() for name in TIE_ORDER
}


def _last_below(
    scores: pl.LazyFrame, parts: Parts, rule: int, asked: set[tuple[int, float, int]]
) -> dict[tuple[int, float, int], dict[str, Any]]:
    """Of the rows of a part that tie at a value the n-th, for each part, value and n.

    Two readings: the keys of all tied rows are sorted; then the rows that have the n-th key.
    """
    schema = {"part": pl.UInt32, "value": pl.Float64, "n": pl.Int64}
    ties = pl.DataFrame(sorted(asked), schema=schema, orient="row")
    usable = scores.filter(is_usable(parts.rules))
    rows = parts.attach(usable, pl.DataFrame(height=parts.starts[-1])).select(
        "part",
        number(parts.rules[rule]).alias("value"),
        *(expression.alias(name) for name, expression in TIE_ORDER.items()),
    )
    at = ["part", "value"]
    tied = rows.join(ties.select(at).unique().lazy(), on=at, how="semi")
    sorted_keys = tied.group_by(at).agg(pl.col("key").sort()).collect(engine="streaming")
    keys = {
        place: sorted_keys["key"][i] for i, place in enumerate(sorted_keys.select(at).iter_rows())
    }
    nth = {(p, v, n): keys[p, v][n - 1] for p, v, n in asked}
    wanted = pl.DataFrame(
        [(p, v, k) for (p, v, _), k in nth.items()], schema=[*at, "key"], orient="row"
    )
    wanted = wanted.unique().cast({"part": pl.UInt32, "value": pl.Float64, "key": pl.String})
    same = tied.join(wanted.lazy(), on=[*at, "key"], how="semi").sort(*TIE_ORDER)
    groups = same.collect(engine="streaming").partition_by(*at, "key", as_dict=True)
    last = {}
    for (part, value, n), key in nth.items():
        before = keys[part, value].search_sorted(key, "left")
        last[part, value, n] = groups[part, value, key].row(n - 1 - before, named=True)
    return last
