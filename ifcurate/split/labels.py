"""Labels: which rows are above every cut, with value, confidence and reason.

A row is context-critical when it is above the cut of its part by every rule.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from ifcurate.split.cuts import CutRule, GroupCut, IntArray
from ifcurate.split.groups import BoolArray, Group, Part, number
from ifcurate.split.two_groups import FloatArray
from ifcurate.storage.tables import LABELS, SPLIT

CRITICAL, NON_CRITICAL, NO_CONTEXT, NOT_SCORED = LABELS

#: What the two rules of `both` find, by (hard without the context, helped by it).
_VERDICTS: Final[dict[tuple[bool, ...], str]] = {
    (True, True): "hard without the context and helped by it",
    (True, False): "hard, but not helped by the context",
    (False, True): "known without the context",
    (False, False): "known without the context, and not helped by it",
}
#: The relation of a value to its cut, in words, by number.
_RELATIONS: Final = ("ties with", "is above", "is not above")
_TIES, _OVER, _UNDER = range(3)


def label_rows(
    n_rows: int,
    groups: Sequence[Group],
    rules: Sequence[CutRule],
    above: Sequence[Sequence[Sequence[BoolArray]]],
) -> pl.DataFrame:
    """Return the label of each of the `n_rows` of a table, with the numbers behind it.

    `above` is [group][part][rule]. The columns are group, statistic, label, value, threshold,
    confidence and reason, null for unusable rows. With two rules, statistic, value, threshold and
    confidence are those of the deciding rule: a rule that the row fails, or else the rule with
    the lower chance.
    """
    value, threshold, confidence = (np.full(n_rows, np.nan) for _ in range(3))
    group_of, reason_of = (np.full(n_rows, -1, np.int32) for _ in range(2))
    rule_of, label_of = (np.full(n_rows, -1, np.int8) for _ in range(2))
    reasons: list[str] = []
    for g, group in enumerate(groups):
        for b, part in enumerate(group.parts):
            at = part.places
            thresholds = np.array([cut.thresholds[b] for cut in group.cuts])
            chances = [
                _chance(v, cut.thresholds[b], cut.scale)
                for v, cut in zip(part.values, group.cuts, strict=True)
            ]
            critical = np.logical_and.reduce(above[g][b])
            deciding = _decide(chances, above[g][b])
            chance = np.choose(deciding, chances)
            value[at] = np.choose(deciding, part.values)
            threshold[at] = thresholds[deciding]
            confidence[at] = np.clip(np.where(critical, chance, 1 - chance), 0.5, 1.0)
            group_of[at] = g
            rule_of[at] = deciding
            label_of[at] = ~critical
            reason_of[at] = len(reasons) + _relations(part, thresholds, above[g][b])
            reasons += _reasons(rules, group.cuts, b)
    return pl.DataFrame(
        {
            "group": _take([group.name for group in groups], group_of),
            "statistic": _take([rule.statistic for rule in rules], rule_of),
            "label": _take([CRITICAL, NON_CRITICAL], label_of),
            "value": pl.Series(value, nan_to_null=True),
            "threshold": pl.Series(threshold, nan_to_null=True),
            "confidence": pl.Series(confidence, nan_to_null=True),
            "reason": _take(reasons, reason_of),
        }
    )


def split_table(
    scores: pl.LazyFrame, rules: Sequence[CutRule], labelled: pl.DataFrame
) -> pl.LazyFrame:
    """Return the SPLIT table of scores; `labelled` comes from `label_rows`."""
    no_label = pl.when(pl.col("status") == "no_context").then(pl.lit(NO_CONTEXT))
    rows = scores.select(
        "id",
        "source",
        "row",
        "turn",
        no_label.otherwise(pl.lit(NOT_SCORED)).alias("no_label"),
        _problem(rules).alias("problem"),
    )
    table = pl.concat([rows, labelled.lazy()], how="horizontal").with_columns(
        pl.col("label").cast(pl.String).fill_null(pl.col("no_label")),
        pl.col("reason").cast(pl.String).fill_null(pl.col("problem")),
    )
    return table.select(pl.col(name).cast(kind) for name, kind in SPLIT.items())


def _take(names: Sequence[str], places: npt.NDArray[np.signedinteger]) -> pl.Series:
    """Return the name at each place, null for the place -1. An Enum takes few bytes for each."""
    kind = pl.Enum(list(dict.fromkeys(names)))
    return pl.Series([*names, None], dtype=kind).gather(places)


def _chance(values: FloatArray, threshold: float, scale: float) -> FloatArray:
    """Return the chance that a value is above the cut; see `ifcurate.split.cuts`."""
    slope = math.pi / math.sqrt(3) / scale
    with np.errstate(over="ignore"):  # an infinite distance is clipped like a long one
        chance: FloatArray = 1 / (1 + np.exp(-np.clip((values - threshold) * slope, -500, 500)))
    return chance


def _decide(chances: Sequence[FloatArray], above: Sequence[BoolArray]) -> IntArray:
    """Return the number of the rule that decides each label; of a single rule, once for all."""
    if len(chances) == 1:
        return np.array(0)
    first, second = (chance - ~is_above for chance, is_above in zip(chances, above, strict=True))
    return (first > second).astype(np.int64)


def _relations(part: Part, thresholds: FloatArray, above: Sequence[BoolArray]) -> IntArray:
    """Return the number of each row's text in `_reasons`."""
    relations = np.zeros(len(part.places), np.int64)
    for values, threshold, is_above in zip(part.values, thresholds, above, strict=True):
        ties = is_above & (values == threshold)
        relation = np.where(ties, _TIES, np.where(is_above, _OVER, _UNDER))
        relations = relations * len(_RELATIONS) + relation
    return relations


def _reasons(rules: Sequence[CutRule], cuts: Sequence[GroupCut], part: int) -> list[str]:
    """Return the reasons of labels in words, for each relation of the rules to their cuts.

    The texts have the cuts and not the row's own numbers, which are columns of the scores.
    Few texts for many rows are quick to write and take little space.
    """
    cuts_in_words = [
        f"{cut.thresholds[part]:g} ({cut.cuts[0].how}{', by length' * (rule.length_bins > 1)})"
        for rule, cut in zip(rules, cuts, strict=True)
    ]
    texts = []
    for relations in itertools.product(range(len(_RELATIONS)), repeat=len(rules)):
        passed = tuple(relation != _UNDER for relation in relations)
        clauses = [
            f"{rule.statistic} {_RELATIONS[relation]} {cut}"
            for rule, relation, cut in zip(rules, relations, cuts_in_words, strict=True)
        ]
        texts.append((f"{_VERDICTS[passed]}: " if len(rules) > 1 else "") + "; ".join(clauses))
    return texts


def _problem(rules: Sequence[CutRule]) -> pl.Expr:
    """Return the reason why a row gets no label from the rule."""
    status, reason = pl.col("status"), pl.col("reason")
    reasons = [
        pl.when(status.is_null()).then(pl.lit("the scores give no status")),
        pl.when(status == "no_context").then(
            pl.coalesce(reason, pl.lit("the example has no context"))
        ),
        pl.when(status != "scored").then(pl.coalesce(reason, pl.format("status {}", status))),
    ]
    for rule in rules:
        name, value = rule.statistic, number(rule)
        text = pl.format(f"{name} is {{}}, not a finite number", value)
        reasons.append(pl.when(value.is_null()).then(pl.lit(f"{name} is missing")))
        reasons.append(pl.when(~value.is_finite()).then(text))
    return pl.coalesce(reasons)
