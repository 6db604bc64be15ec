"""H13: a date or an amount that is shifted keeps every order relation of the text.

Amounts that may be parts of one sum, ranges, scales, versions, list numbers and
values with their other unit beside them are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..checks import Check, Refusal
from ..edit.edits import Edit
from ..edit.substitution import Substitution
from ..recognise.spans import NUMERIC
from ..recognise.values import date_mentions, date_of_value, date_order, number_mentions, number_of

__all__ = ["check_order"]

_SUMS = re.compile(
    r"%|\bper ?cent|\btotal|\bsum\b|\btax|\bdiscount|\bdifference|\bdoubl|\bhalf|\btwice|"
    r"\bexchange rate|\bconver|\bper (?:hour|day|week|month|year|person)|\beach\b|\bchange\b",
    re.I,
)
_AFTER = re.compile(r" ?(?:-|–|to|and|or|/) ?[$€£]?\d|/|:\d| out of| of \d")
_BEFORE = re.compile(
    r"['’]s \Z|\d ?(?:-|–|to|and|/) ?[$€£]?\Z|[#№v]\Z|/\Z|\d:\Z|"
    r"(?:version|chapter|page|no\.|level|grade|route|windows|step|section|figure|table|top) ?\Z",
    re.I,
)


_RANGE = re.compile(r"\d(?:st|nd|rd|th)? ?(?:and|to|or|until|-|–|&) ?\Z")
#: "7.8 million euros ($10.7 million)", "$5 (4 euros)"
_PAIR_BEFORE = re.compile(r"\d[^.()]{0,30}\([^)]{0,8}\Z")
_PAIR_AFTER = re.compile(r"[^.()\d]{0,25}\([^)\d]{0,10}\d")


def check_order(plan: Substitution, before: Mapping[str, str], edits: Sequence[Edit]) -> None:
    """Raise `Refusal` where an order would change or the amount may be computed from others."""
    if plan.new_type:
        return
    if plan.type == "DATE":
        _check_date_order(plan, before, edits)
    elif plan.type in NUMERIC:
        _check_amounts(plan, before, edits)


def _check_amounts(plan: Substitution, before: Mapping[str, str], edits: Sequence[Edit]) -> None:
    """The order with every other amount; units, ranges and sums."""
    old = number_of(plan.span).value
    new = float(plan.substitute)
    others = sorted({n.value for t in before.values() for n in number_mentions(t)} - {old})
    for value in others:
        if _changes_order(value, old, new):
            raise Refusal(Check.NUMBERS, f"the order of {old:g} and {value:g} would change")
    for edit in edits:
        _check_unit(before[edit.path], edit)
    if plan.type == "YEAR":
        return
    _check_sums(old, others[:60])
    if plan.type == "MONEY" and any(_SUMS.search(text) for text in before.values()):
        raise Refusal(Check.NUMBERS, "the amount may be the result of a sum")


def _changes_order(value: float, old: float, new: float) -> bool:
    return (value < old) != (value < new) or value == new


def _check_sums(old: float, others: Sequence[float]) -> None:
    have = set(others)
    for value in others:
        if value in (0, 1):
            continue
        sums = {old + value, old - value, value - old, old * value, old / value, value / old}
        if sums & (have - {value}) or value in (old * 2, old / 2, old * 10, old / 10):
            raise Refusal(Check.NUMBERS, f"{old:g} and {value:g} may be parts of one sum")


def _check_unit(text: str, edit: Edit) -> None:
    around = text[max(0, edit.start - 12) : edit.start]
    tail = text[edit.end : edit.end + 30]
    if _AFTER.match(tail) or _BEFORE.search(around):
        raise Refusal(Check.NUMBERS, "a range, a scale, a version or a list number")
    if _PAIR_BEFORE.search(text[max(0, edit.start - 40) : edit.start]) or _PAIR_AFTER.match(tail):
        raise Refusal(Check.NUMBERS, "an amount with its other currency or unit beside it")
    if re.match(r" ?(?:°|degrees?)? ?[A-Za-z]{0,12} ?\([^)]{0,20}\d", tail):
        raise Refusal(Check.NUMBERS, "a value with its other unit beside it")
    if re.search(r"(?:\n|\A)[ \t]*\Z", around) and re.match(r"[.)]\s", tail):
        raise Refusal(Check.NUMBERS, "a list marker")


def _check_date_order(plan: Substitution, before: Mapping[str, str], edits: Sequence[Edit]) -> None:
    old = date_mentions(plan.original)[0]
    new = date_of_value(plan.substitute)
    for text in before.values():
        for other in date_mentions(text):
            if not other.matches(old) and date_order(old, other) != date_order(new, other):
                raise Refusal(Check.NUMBERS, f"the order with {other.text!r} would change")
    for edit in edits:
        if _RANGE.search(before[edit.path], max(0, edit.start - 12), edit.start):
            raise Refusal(Check.NUMBERS, f"a range that ends with {edit.old!r}")
        for found in date_mentions(edit.new):
            if found.weekday_fits is False:
                raise Refusal(Check.NUMBERS, f"{edit.new!r} is not on that weekday")
