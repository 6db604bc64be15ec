"""Dates, money and numbers: their places, values and notations.

A value is recognised in all its notations ("5 May 1950", "1950-05-05", "1,000", "1000.0") and
rewritten in the same notation. Ambiguous dates such as 03/04/2020 are not recognised.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from ..lexicon.wording import either, word_list
from .spans import Span

MONTHS = word_list("months")
_MONTH_OF = (
    {m.lower(): i + 1 for i, m in enumerate(MONTHS)}
    | {m[:3].lower(): i + 1 for i, m in enumerate(MONTHS)}
    | {"sept": 9}
)
_NAMES = "|".join([*MONTHS, "Sept", *(m[:3] for m in MONTHS if m != "May")])
_NAMES = f"{_NAMES}|{_NAMES.upper()}"
_MONTH = rf"(?P<month>{_NAMES})(?P<dot>\.(?= ?\d))?"
_DAY = r"(?P<day>0?[1-9]|[12]\d|3[01])(?P<suffix>st|nd|rd|th)?"
_YEAR = r"(?P<year>1[0-9]\d\d|20\d\d)"
_WEEKDAY = r"(?:(?P<weekday>Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day,? )?"
_DATES = [
    re.compile(p)
    for p in (
        r"(?<![\w/-])(?P<year>1\d{3}|20\d\d)-(?P<month>0[1-9]|1[0-2])-"
        r"(?P<day>0[1-9]|[12]\d|3[01])(?![\d/-])",
        rf"(?<!\w){_WEEKDAY}{_MONTH} {_DAY}(?:,? {_YEAR})?"
        r"(?!\w|,\d|[.:]\d|[-–/]\d| ?(?:-|–|to) ?\d)",
        rf"(?<![\w,.–-]){_WEEKDAY}{_DAY}(?: of)? {_MONTH}(?:,? {_YEAR})?(?!\w)",
        rf"(?<!\w){_MONTH} (?:of )?{_YEAR}(?!\w)",
    )
]
_IN_DIGITS, _IN_WORDS = _DATES[:1], _DATES[1:]
_MONTH_NAME = re.compile(rf"(?<!\w)(?:{_NAMES})(?![a-z])")
_MISREAD = re.compile(r"May 1 [a-z][^.!?\n]*\?")  # "May I ask ...?", scanned with an error
_DIGIT_DATE = re.compile(r"\d-\d")
_NUMBER = re.compile(
    r"(?<![\w.,])(?<!\d-)(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\w%])(?!\.\d)(?!,\d{3}(?!\d))"
)
_WORDS = {word: value for value, word in enumerate(word_list("number_words"))}
NUMBER_WORDS = tuple(_WORDS)
#: "three engines": a number in letters needs its noun; "one" is also a pronoun.
_IN_LETTERS = re.compile(
    rf"(?<![\w-])(?:{'|'.join(NUMBER_WORDS[2:])})"
    r"(?= (?!of |and |or |to )(?:[a-z-]+ ){0,2}?[a-z]{2,}s\b)",
    re.I,
)
_SYMBOL = re.compile(r"(?:US|A|C|NZ|HK)?[$€£¥₹] ?\Z")
_SCALE = re.compile(r"\A ?(thousand|million|billion|trillion)\b")
_UNIT_MONEY = re.compile(
    r"\A ?(?:(?:thousand|million|billion|trillion) )?"
    rf"(?:U\.?S\.? )?(?:{either('money_units')})\b"
)
_UNIT = re.compile(rf"\A ?-?(?:{either('units')})\b")


@dataclass(frozen=True, slots=True)
class DateMention:
    """A date as written, and its value; missing parts are None."""

    start: int
    end: int
    text: str
    year: int | None
    month: int
    day: int | None
    pieces: tuple[tuple[int, int, str], ...]  # (start, end, group) within `text`

    def matches(self, other: DateMention) -> bool:
        """Return whether both may be the same day or month."""
        return (
            self.month == other.month
            and (self.day == other.day or None in (self.day, other.day))
            and (self.year == other.year or None in (self.year, other.year))
        )

    @property
    def weekday_fits(self) -> bool | None:
        """Whether the written weekday is right; None without a weekday or a full date."""
        weekday = next((self.text[a:b] for a, b, g in self.pieces if g == "weekday"), None)
        if weekday is None or self.year is None or self.day is None:
            return None
        try:
            return date(self.year, self.month, self.day).strftime("%A").startswith(weekday)
        except ValueError:
            return False

    def rewritten(self, year: int, month: int, day: int) -> str:
        """Another date in the same notation; a weekday is kept."""
        out, last = [], 0
        iso = "-" in self.text[:5]
        for start, end, group in self.pieces:
            old = self.text[start:end]
            new = {
                "year": str(year),
                "month": _month_like(old, month),
                "day": str(day).zfill(2 if iso or old.startswith("0") else 1),
                "suffix": _ordinal(day),
                "dot": "" if MONTHS[month - 1] == "May" else old,
                "weekday": old,
            }[group]
            out += [self.text[last:start], new]
            last = end
        return "".join([*out, self.text[last:]])


def _ordinal(day: int) -> str:
    if 10 <= day % 100 <= 20:
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def _month_like(old: str, month: int) -> str:
    if old.isdigit():
        return str(month).zfill(len(old)) if old.startswith("0") or len(old) == 2 else str(month)
    name = MONTHS[month - 1]
    if old.lower() == "sept" or (len(old) == 3 and old.lower() != "may"):
        name = name[:3]
    return name.upper() if old.isupper() else name.lower() if old.islower() else name


def date_mentions(text: str) -> list[DateMention]:
    """Return all dates of a text in order; of overlapping ones the first, longest notation."""
    notations = _IN_DIGITS if _DIGIT_DATE.search(text) else []
    notations = notations + _IN_WORDS if _MONTH_NAME.search(text) else notations
    matches = [match for notation in notations for match in notation.finditer(text)]
    dates: list[DateMention] = []
    last = 0
    for match in sorted(matches, key=lambda m: (m.start(), -m.end())):
        if match.start() >= last and not _MISREAD.match(text, match.start()):
            dates.append(_date_of(match))
            last = match.end()
    return dates


def _date_of(match: re.Match[str]) -> DateMention:
    """Return the date of a match of one of the notations."""
    groups = match.groupdict()
    start, month = match.start(), groups["month"]
    year, day = (int(groups[g]) if groups.get(g) else None for g in ("year", "day"))
    named = int(month) if month.isdigit() else _MONTH_OF[month.lower()]
    pieces = sorted((*match.span(g), g) for g, text in groups.items() if text is not None)
    return DateMention(
        *(start, match.end(), match.group(), year, named, day),
        tuple((a - start, b - start, g) for a, b, g in pieces),
    )


def date_of_value(value: str) -> DateMention:
    """Return the date of a normal form such as "1950-5-5", "-5-5" or "1950-5-"."""
    year, month, day = (int(part) if part else None for part in value.split("-"))
    return DateMention(0, 0, "", year, month or 0, day, ())


def date_order(a: DateMention, b: DateMention) -> int | None:
    """-1, 0 or 1 for a before, equal to or after b; None if they cannot be compared."""
    if a.year is not None and b.year is not None and a.year != b.year:
        return -1 if a.year < b.year else 1
    if (a.year is None) != (b.year is None):
        return None
    left, right = (a.month, a.day or 0), (b.month, b.day or 0)
    return -1 if left < right else int(left > right)


@dataclass(frozen=True, slots=True)
class NumberMention:
    """A number as written; `kind` is MONEY, YEAR, QUANTITY or NUMBER by the text around it."""

    start: int
    end: int
    text: str
    value: float
    kind: str
    outer_start: int  # start including the currency sign
    outer_end: int  # end including scale and unit
    scale: str = ""

    def rewritten(self, value: float) -> str:
        """Another value in the same notation: letters, decimals, separators."""
        if self.text[0].isalpha():
            word = NUMBER_WORDS[int(value)] if value < len(NUMBER_WORDS) else f"{value:g}"
            return word.capitalize() if self.text[0].isupper() else word
        whole, _, decimals = self.text.partition(".")
        grouped = "," in whole
        return f"{value:{',' if grouped else ''}.{len(decimals)}f}"


def number_mentions(text: str) -> Iterator[NumberMention]:
    """Yield all plain numbers of a text: those in digits, then those in letters."""
    yield from (_digits(text, match) for match in _NUMBER.finditer(text))
    for match in _IN_LETTERS.finditer(text):
        start, end = match.span()
        value = float(_WORDS[match.group().lower()])
        yield NumberMention(start, end, match.group(), value, "NUMBER", start, end)


def number_of(span: Span) -> NumberMention:
    """Return the number of a span of an amount; also of "three" alone, without its noun."""
    end = len(span.text)
    value = float(span.value.split(" ")[0])
    return next(number_mentions(span.text), None) or NumberMention(
        0, end, span.text, value, "NUMBER", 0, end
    )


def _digits(text: str, match: re.Match[str]) -> NumberMention:
    start, end, written = match.start(), match.end(), match.group()
    symbol = _SYMBOL.search(text[max(0, start - 4) : start])
    tail = text[end : end + 40]
    scale, unit, quantity = _SCALE.match(tail), _UNIT_MONEY.match(tail), _UNIT.match(tail)
    kind, follows = "NUMBER", unit or scale
    if symbol or unit:
        kind = "MONEY"
    elif quantity:
        kind, follows = "QUANTITY", quantity
    elif not scale and _is_year(written):
        kind = "YEAR"
    outer_end = follows.end() + end if follows else end
    outer = start - len(symbol.group()) if symbol else start
    value = float(written.replace(",", ""))
    return NumberMention(
        start, end, written, value, kind, outer, outer_end, scale[1] if scale else ""
    )


def _is_year(written: str) -> bool:
    return len(written) == 4 and written.isdigit() and "1000" <= written < "2100"


def value_spans(path: str, text: str, *, numbers: bool = True) -> Iterator[Span]:
    """Dates, then (with `numbers`) money, years, quantities and numbers outside dates."""
    dates = date_mentions(text)
    for day in dates:
        parts = (day.year, day.month, day.day)
        value = "-".join("" if p is None else str(p) for p in parts)
        yield Span(path, day.start, day.end, "DATE", day.text, value=value)
    starts = [d.start for d in dates]
    for number in number_mentions(text) if numbers else ():
        at = bisect(starts, number.start) - 1
        if at < 0 or dates[at].end <= number.start:
            start, end = number.outer_start, number.outer_end
            value = f"{number.value:g} {number.scale}".strip()
            yield Span(path, start, end, number.kind, text[start:end], value=value)
