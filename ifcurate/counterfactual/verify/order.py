"""H13: a new date or amount keeps the order of all values in the text.

Amounts that may be parts of a sum are refused, as are ranges, scales, versions, list numbers and
values with another unit beside them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..edit.edits import Edit
from ..lexicon.wording import either
from ..recognise.spans import NUMERIC
from ..recognise.values import date_mentions, date_of_value, date_order, number_mentions, number_of
from .cases import Case

_SUMS = re.compile(rf"%|\b(?:{either('sum_words')})", re.I)
_AFTER = re.compile(r" ?(?:-|–|to|and|or|/) ?[$€£]?\d|/|:\d| out of| of \d| ?[a-z]*s['’]")
_BEFORE = re.compile(
    r"['’]s \Z|\d ?(?:-|–|to|and|/) ?[$€£]?\Z|[#№v]\Z|/\Z|\d:\Z|"
    rf"(?:{either('number_labels')}) ?\Z",
    re.I,
)


_RANGE = re.compile(r"\d(?:st|nd|rd|th)? ?(?:and|to|or|until|-|–|&) ?\Z")
#: "7.8 million euros ($10.7 million)", "$5 (4 euros)"
_YEAR = re.compile(r"(?<!\d)(?:1\d|20)\d\d(?!\d)")
_PAIR_BEFORE = re.compile(r"\d[^.()]{0,30}\([^)]{0,8}\Z")
_PAIR_AFTER = re.compile(
    r"[^.()\d]{0,25}\([^)\d]{0,10}\d| ?(?:°|degrees?)? ?[A-Za-z]{0,12} ?\([^)]{0,20}\d"
)
#: "three Great Powers, Russia, the United Kingdom and France"
_LISTED = re.compile(
    r"(?: [\w'’-]+){1,4}[,:] ((?:[^,.;:\n]{1,40}, ){0,9}?[^,.;:\n]{1,80}?,? and \w)"
)


def check_order(case: Case) -> Iterator[str]:
    """H13: the order of values does not change, and no amount is computed from others."""
    plan = case.plan
    if plan.type == "DATE" and not plan.new_type:
        yield from _check_dates(case)
    elif plan.type in NUMERIC and not plan.new_type:
        old = number_of(plan.span).value
        others = {n.value for t in case.before.values() for n in number_mentions(t)} - {old}
        for value in sorted(others):
            if (value < old) != (value < float(plan.substitute)):
                yield f"the order of {old:g} and {value:g} would change"
        for edit in case.edits:
            yield from _check_unit(case.before[edit.path], edit, old)
        if plan.type != "YEAR":
            yield from _check_sums(case, old, sorted(others)[:60])


def _check_sums(case: Case, old: float, others: Sequence[float]) -> Iterator[str]:
    """Yield the amount is not part of a sum with others, and no word hints at one."""
    for value in others:
        if value in (0, 1):
            continue
        sums = {old + value, old - value, value - old, old * value, old / value, value / old}
        multiples = {old * 2, old / 2, old * 10, old / 10}
        if sums & {*others} - {value} or value in multiples:
            yield f"{old:g} and {value:g} may be parts of one sum"
    if case.plan.type == "MONEY" and any(_SUMS.search(text) for text in case.before.values()):
        yield "the amount may be the result of a sum"


def _check_unit(text: str, edit: Edit, old: float) -> Iterator[str]:
    """No text beside an amount would have to change with it."""
    around, tail = text[max(0, edit.start - 12) : edit.start], text[edit.end : edit.end + 30]
    if _AFTER.match(tail) or _BEFORE.search(around):
        yield 'a range, a scale, a version, a list number or a name such as "30 Years\' War"'
    if _PAIR_BEFORE.search(text[max(0, edit.start - 40) : edit.start]) or _PAIR_AFTER.match(tail):
        yield "an amount in another currency or unit is beside it"
    listed = _LISTED.match(text, edit.end)
    if listed and len(re.split(r",? and |, ", listed[1])) == old:
        yield f"the text lists all {edit.old}"


def _check_dates(case: Case) -> Iterator[str]:
    old = date_mentions(case.plan.original)[0]
    new = date_of_value(case.plan.substitute)
    for other in (d for text in case.before.values() for d in date_mentions(text)):
        if not other.matches(old) and date_order(old, other) != date_order(new, other):
            yield f"the order with {other.text!r} would change"
    for year in (int(y) for text in case.before.values() for y in _YEAR.findall(text)):
        if not (old.year and new.year) or year == old.year:
            continue
        if year == new.year or (year < old.year) != (year < new.year):
            yield f"the order with {year} would change"
    for edit in case.edits:
        if _RANGE.search(case.before[edit.path], max(0, edit.start - 12), edit.start):
            yield f"a range that ends with {edit.old!r}"
        if any(d.weekday_fits is False for d in date_mentions(edit.new)):
            yield f"{edit.new!r} is not on that weekday"
