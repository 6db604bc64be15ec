"""Labels in lazy polars: which rows are above every cut, with value, confidence and reason.

The rows of a group and length bin are a part (`ifcurate.split.parts`) with cuts of its
own. A row is context-critical when it is above its part's cut by every rule:

    value > bound, or value = bound and the row comes after the last row below the cut

Tied rows are ordered by key, id, source, row, turn and place. The key is a hash of the row's
tokens, so the order is as good as random and does not depend on the order of the table.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from ifcurate.split.cuts import Bound, CutRule, GroupCut
from ifcurate.split.parts import Parts, Ranks, is_usable, number
from ifcurate.split.two_groups import FloatArray
from ifcurate.storage.tables import LABELS

CRITICAL, NON_CRITICAL, NO_CONTEXT, NOT_SCORED = LABELS

#: The order of rows that tie at a cut. A missing text counts as empty, a missing number as least.
TIE_ORDER: Final[dict[str, pl.Expr]] = {
    **{name: pl.col(name).fill_null("") for name in ("key", "id", "source")},
    **{name: pl.col(name).cast(pl.Int64).fill_null(-(2**63)) for name in ("row", "turn", "place")},
}

#: What the two rules of `both` find, by (hard without the context, helped by it).
_VERDICTS: Final[dict[tuple[bool, ...], str]] = {
    (True, True): "hard without the context and helped by it",
    (True, False): "hard, but not helped by the context",
    (False, True): "known without the context",
    (False, False): "known without the context, and not helped by it",
}
REACH: Final = 1000  # rows on each side of a cut, among which the nearest are sought
#: The relation of a value to its cut, in words, by number.
_RELATIONS: Final = ("ties with", "is above", "is not above")
_TIES, _OVER, _UNDER = range(3)


def label_rows(scores: pl.LazyFrame, parts: Parts, table: pl.DataFrame) -> pl.LazyFrame:
    """Return each row with its label and the numbers behind it; `table` comes from `cut_table`.

    Adds group, statistic, label, value, threshold, confidence, distance and reason. With two
    rules, the value, threshold and confidence are those of the deciding rule: a rule that the
    row fails, or else the rule with the lower chance.
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
        pl.when(usable).then(_reason(values, above)).otherwise(_problem(parts)).alias("reason"),
    )


def is_above(value: pl.Expr, name: str, table: pl.DataFrame) -> pl.Expr:
    """Return whether a row is above its part's cut of this name in a `bound_table`."""
    bound = pl.col(f"bound_{name}")
    above = value > bound
    if f"last_{name}_key" not in table.columns:  # no rows tie there
        return above
    behind = pl.lit(False)
    for column, value_here in reversed(TIE_ORDER.items()):
        last = pl.col(f"last_{name}_{column}")
        behind = (value_here > last) | ((value_here == last) & behind)
    return above | ((value == bound) & behind.fill_null(False))


def _chance(value: pl.Expr, threshold: pl.Expr, slope: pl.Expr) -> pl.Expr:
    """Return the chance that a value is above the cut; see `ifcurate.split.cuts`."""
    return 1 / (1 + (-((value - threshold) * slope).clip(-500, 500)).exp())


def _reason(values: Sequence[pl.Expr], above: Sequence[pl.Expr]) -> pl.Expr:
    """Return the reason of a label in words: one of the texts that `cut_table` has for a part.

    The texts have the cuts and not the row's own numbers, which are columns of the scores.
    Few texts for many rows are quick to write and take little space.
    """
    relations = pl.lit(0)
    for i, (value, is_over) in enumerate(zip(values, above, strict=True)):
        ties = is_over & (value == pl.col(f"threshold_{i}"))
        relation = pl.when(ties).then(_TIES).when(is_over).then(_OVER).otherwise(_UNDER)
        relations = relations * len(_RELATIONS) + relation
    texts = [pl.col(f"reason_{n}") for n in range(len(_RELATIONS) ** len(values))]
    reason = texts[0]
    for n, text in enumerate(texts[1:], 1):
        reason = pl.when(relations == n).then(text).otherwise(reason)
    return reason.cast(pl.String)


def _problem(parts: Parts) -> pl.Expr:
    """Return the reason why a row gets no label from the rule."""
    status, reason = pl.col("status"), pl.col("reason")
    reasons = [
        pl.when(status.is_null()).then(pl.lit("the scores give no status")),
        pl.when(status == "no_context").then(
            pl.coalesce(reason, pl.lit("the example has no context"))
        ),
        pl.when(status != "scored").then(pl.coalesce(reason, pl.format("status {}", status))),
    ]
    for rule in parts.rules:
        name, value = rule.statistic, number(rule)
        text = pl.format(f"{name} is {{}}, not a finite number", value)
        reasons.append(pl.when(value.is_null()).then(pl.lit(f"{name} is missing")))
        reasons.append(pl.when(~value.is_finite()).then(text))
    return pl.coalesce(reasons)


def cut_table(
    scores: pl.LazyFrame, parts: Parts, ranks: Ranks, cuts: Sequence[Sequence[GroupCut]]
) -> pl.DataFrame:
    """Return a row for each part, with all that `label_rows` needs; `cuts` are [group][rule].

    `reach_i` is the distance from the cut of rule i within which its nearest rows are sought.
    """
    bounds = {
        str(i): (i, [b for group in cuts for b in group[i].bounds]) for i in range(len(parts.rules))
    }
    columns: list[pl.Series] = []
    for i in range(len(parts.rules)):
        each = [(group[i], threshold) for group in cuts for threshold in group[i].thresholds]
        # A factor, because polars rounds differently when it divides by a constant.
        slopes = [math.pi / math.sqrt(3) / cut.scale for cut, _ in each]
        reaches = [_reach(values, t) for values, (_, t) in zip(ranks.parts[i], each, strict=True)]
        columns += [
            pl.Series(f"threshold_{i}", [t for _, t in each], dtype=pl.Float64),
            pl.Series(f"slope_{i}", slopes, dtype=pl.Float64),
            pl.Series(f"reach_{i}", reaches, dtype=pl.Float64),
        ]
    columns += _reason_texts(parts.rules, cuts)
    return bound_table(scores, parts, bounds).with_columns(columns)


def _reason_texts(rules: Sequence[CutRule], cuts: Sequence[Sequence[GroupCut]]) -> list[pl.Series]:
    """Return the texts of `_reason`, in each part; `cuts` are [group][rule]."""
    shown = [
        [
            f"{threshold:g} ({group[i].cuts[0].how}{', by length' * (rule.length_bins > 1)})"
            for group in cuts
            for threshold in group[i].thresholds
        ]
        for i, rule in enumerate(rules)
    ]
    texts = []
    for relations in itertools.product(range(len(_RELATIONS)), repeat=len(rules)):
        passed = tuple(relation != _UNDER for relation in relations)
        opening = f"{_VERDICTS[passed]}: " if len(rules) > 1 else ""
        clauses = [
            f"{rule.statistic} {_RELATIONS[relation]}"
            for rule, relation in zip(rules, relations, strict=True)
        ]
        texts.append(
            [
                opening + "; ".join(map(" ".join, zip(clauses, of_part, strict=True)))
                for of_part in zip(*shown, strict=True)
            ]
        )
    kind = pl.Enum(sorted(set(itertools.chain.from_iterable(texts))))
    return [pl.Series(f"reason_{n}", values, dtype=kind) for n, values in enumerate(texts)]


def _reach(ranked: FloatArray, threshold: float) -> float:
    """Return the distance within which `REACH` values on each side of the threshold are."""
    if len(ranked) <= 2 * REACH:
        return math.inf
    at = int(np.searchsorted(ranked, threshold, "right"))
    low, high = ranked[max(0, at - REACH)], ranked[min(len(ranked), at + REACH) - 1]
    return max(threshold - float(low), float(high) - threshold)


def bound_table(
    scores: pl.LazyFrame, parts: Parts, bounds: Mapping[str, tuple[int, Sequence[Bound]]]
) -> pl.DataFrame:
    """Return a row for each part, with the bounds that `is_above` needs.

    `bounds` maps a name to the number of its rule and a bound for each part.
    """
    wanted: defaultdict[int, set[tuple[int, float, int]]] = defaultdict(set)
    for rule, of_parts in bounds.values():
        wanted[rule] |= {(p, b.value, b.n_below) for p, b in enumerate(of_parts) if b.n_ties}
    last = {rule: _last_below(scores, parts, rule, ties) for rule, ties in wanted.items() if ties}
    return pl.DataFrame(
        column
        for name, (rule, of_parts) in bounds.items()
        for column in _bound_columns(name, of_parts, last.get(rule, {}))
    )


def _bound_columns(
    name: str, bounds: Sequence[Bound], last: Mapping[tuple[int, float, int], Mapping[str, Any]]
) -> list[pl.Series]:
    """Return a bound in each part and, if rows tie at it, the last of them that is below it."""
    values = pl.Series(f"bound_{name}", [bound.value for bound in bounds], dtype=pl.Float64)
    if not any(bound.n_ties for bound in bounds):
        return [values]
    rows = [last.get((p, b.value, b.n_below), {}) for p, b in enumerate(bounds)]
    places = [
        pl.Series(f"last_{name}_{column}", [row.get(column) for row in rows], dtype=kind)
        for column, kind in _TIE_TYPES.items()
    ]
    return [values, *places]


_TIE_TYPES: Final = {
    name: pl.String() if name in ("key", "id", "source") else pl.Int64() for name in TIE_ORDER
}


def _last_below(
    scores: pl.LazyFrame, parts: Parts, rule: int, wanted: set[tuple[int, float, int]]
) -> dict[tuple[int, float, int], dict[str, Any]]:
    """For each wanted part, value and n: the n-th of the rows that tie at the value.

    Reads the rows twice: first the keys of all tied rows, then the rows with the n-th key.
    """
    schema = {"part": pl.UInt32, "value": pl.Float64, "n": pl.Int64}
    ties = pl.DataFrame(sorted(wanted), schema=schema, orient="row")
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
    nth = {(p, v, n): keys[p, v][n - 1] for p, v, n in wanted}
    keyed = pl.DataFrame(
        [(p, v, k) for (p, v, _), k in nth.items()], schema=[*at, "key"], orient="row"
    )
    keyed = keyed.unique().cast({"part": pl.UInt32, "value": pl.Float64, "key": pl.String})
    same = tied.join(keyed.lazy(), on=[*at, "key"], how="semi").sort(*TIE_ORDER)
    groups = same.collect(engine="streaming").partition_by(*at, "key", as_dict=True)
    last = {}
    for (part, value, n), key in nth.items():
        before = keys[part, value].search_sorted(key, "left")
        last[part, value, n] = groups[part, value, key].row(n - 1 - before, named=True)
    return last
