"""Other dates and amounts: shifted so that every order relation of the text still holds."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import date

from ..recognise.spans import Span
from ..recognise.values import DateMention, date_mentions, number_mentions
from .forms import Refusal, Substitution

__all__ = ["date_order", "shifted_values"]

_RELATIVE = re.compile(
    r"\b(?:aged?|years? old|years? later|years? after|years? before|days? (?:later|after|before)|"
    r"weeks? (?:later|after|before)|months? (?:later|after|before)|anniversary|birthday|"
    r"centur(?:y|ies)|decades?|christmas|easter|new year|thanksgiving|halloween|"
    r"the (?:same|next|previous|following) (?:day|year|month|week)|tomorrow|yesterday|"
    r"spring|summer|autumn|winter|quarter)\b",
    re.I,
)

_RELATIVE_YEAR = re.compile(
    r"\b(?:aged?|years? old|years? (?:later|after|before)|anniversary|"
    r"(?:same|next|previous|following) (?:year|decade))\b",
    re.I,
)


def shifted_values(span: Span, texts: Mapping[str, str], key: str) -> Iterator[Substitution]:
    """Values of the same notation, between the original's neighbours in the text.

    Raises `Refusal` (H13) where nothing can be shifted safely.
    """
    if span.type == "DATE":
        yield from _dates(span, texts, key)
    else:
        yield from _numbers(span, texts, key)


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")


def date_order(a: DateMention, b: DateMention) -> int | None:
    """-1, 0 or 1 for a before, with, after b; None when their parts do not compare."""
    if a.year is not None and b.year is not None and a.year != b.year:
        return -1 if a.year < b.year else 1
    if (a.year is None) != (b.year is None):
        return None
    left, right = (a.month, a.day or 0), (b.month, b.day or 0)
    return -1 if left < right else int(left > right)


def _refuse_relative(
    texts: Mapping[str, str], what: str, pattern: re.Pattern[str] = _RELATIVE
) -> None:
    """Ages, anniversaries, "the same year": they would have to move along."""
    for text in texts.values():
        if relative := pattern.search(text):
            raise Refusal("H13", f"{what} and {relative.group()!r} in one text")


def _dates(span: Span, texts: Mapping[str, str], key: str) -> Iterator[Substitution]:
    old = date_mentions(span.text)[0]
    _refuse_relative(texts, "a date")
    others = [d for t in texts.values() for d in date_mentions(t) if not d.matches(old)]
    months = {d.month for d in others} | {old.month}
    days = {d.day for d in others} | {old.day}
    years = {int(y) for t in texts.values() for y in re.findall(r"(?<!\d)(?:1\d|20)\d\d(?!\d)", t)}
    for attempt in range(60):
        number = _hash(f"{key}|{attempt}")
        month = 1 + number % 12
        day = 1 + (number >> 8) % 28 if old.day else 0
        year = 0
        if old.year:
            year = old.year + (-1 if number >> 16 & 1 else 1) * (1 + (number >> 17) % 6)
            if (
                year in years
                or year > 2029
                or any((y < year) != (y < old.year) for y in years if y != old.year)
            ):
                continue
        if month in months or (day and day in days):
            continue
        new = DateMention(0, 0, "", year or None, month, day or None, ())
        if any(date_order(old, d) != date_order(new, d) for d in others):
            continue
        if old.weekday_fits is False or (
            old.weekday_fits
            and day
            and (
                date(year, month, day).weekday()
                != date(old.year or 1, old.month, old.day or 1).weekday()
            )
        ):
            continue
        yield Substitution(
            "DATE", span.text, f"{year or ''}-{month}-{day or ''}", span.detail, source="shift"
        )


def _numbers(span: Span, texts: Mapping[str, str], key: str) -> Iterator[Substitution]:
    old = next(number_mentions(span.text), None)
    if old is None or old.value == 0:
        raise Refusal("H13", f"{span.text!r} is not one number")
    if span.type == "YEAR":
        _refuse_relative(texts, "a year", _RELATIVE_YEAR)
    others = {n.value for t in texts.values() for n in number_mentions(t)} - {old.value}
    below = max((v for v in others if v < old.value), default=old.value * 0.5)
    above = min((v for v in others if v > old.value), default=old.value * 1.6)
    low, high = max(below, old.value * 0.5), min(above, old.value * 1.6)
    if span.type == "YEAR":
        low, high = max(low, old.value - 8), min(high, old.value + 8)
    step = _grain(old.text)
    first, last = int(low / step) + 1, int(high / step - 1e-9)
    if last - first < 1:
        raise Refusal("H13", f"no room between the neighbours of {span.text!r}")
    for attempt in range(12):
        value = (first + _hash(f"{key}|{attempt}") % (last - first + 1)) * step
        written = old.rewritten(value)
        if len(written) == len(old.text) and float(written.replace(",", "")) != old.value:
            yield Substitution(
                span.type, span.text, written.replace(",", ""), span.detail, source="shift"
            )


def _grain(written: str) -> float:
    """The last digit that carries something: 12,500 -> 100, 19.99 -> 0.01, 42 -> 1."""
    whole, _, decimals = written.replace(",", "").partition(".")
    if decimals and int(decimals):
        return float(10.0 ** -len(decimals))
    zeros = len(whole) - len(whole.rstrip("0"))
    return float(10 ** min(zeros, max(0, len(whole) - 2)))
