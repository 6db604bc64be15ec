"""Other dates and amounts, shifted so that the order of all values in the text is kept."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping

from ..checks import Check, Refusal
from ..lexicon.wording import either
from ..recognise.spans import Span, Substitution
from ..recognise.values import NumberMention, date_mentions, number_mentions, number_of

_RELATIVE = re.compile(rf"\b(?:{either('relative_times')})\b", re.I)
_RELATIVE_YEAR = re.compile(rf"\b(?:{either('relative_years')})\b", re.I)


def shifted_values(span: Span, texts: Mapping[str, str], key: str) -> Iterator[Substitution]:
    """Values in the same notation, between the original's neighbours in the text.

    Raises `Refusal` (NUMBERS) if no value can be shifted safely.
    """
    if span.type == "DATE":
        yield from _dates(span, texts, key)
    else:
        yield from _numbers(span, texts, key)


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")


def _refuse_relative(
    texts: Mapping[str, str], what: str, pattern: re.Pattern[str] = _RELATIVE
) -> None:
    """Refuse ages, anniversaries, "the same year": they would have to change too."""
    for text in texts.values():
        if relative := pattern.search(text):
            raise Refusal(Check.NUMBERS, f"{what} and {relative.group()!r} in one text")


def _dates(span: Span, texts: Mapping[str, str], key: str) -> Iterator[Substitution]:
    """Yield dates with the same parts, at most six years away; the verifier chooses one."""
    old = date_mentions(span.text)[0]
    _refuse_relative(texts, "a date")
    for attempt in range(60):
        number = _hash(f"{key}|{attempt}")
        month = 1 + (old.month + number % 11) % 12
        day = 1 + (old.day + (number >> 8) % 27) % 28 if old.day else ""
        year = (
            old.year + (-1 if number >> 16 & 1 else 1) * (1 + (number >> 17) % 6)
            if old.year
            else ""
        )
        yield Substitution(span, f"{year}-{month}-{day}", source="shift")


def _numbers(span: Span, texts: Mapping[str, str], key: str) -> Iterator[Substitution]:
    old = number_of(span)
    if span.type == "YEAR":
        _refuse_relative(texts, "a year", _RELATIVE_YEAR)
    in_letters = old.text[0].isalpha()
    low, high = _neighbours(old, span, texts)
    step = 1 if in_letters else _grain(old.text)
    first, last = int(low / step) + 1, int(high / step - 1e-9)
    if last - first < 1:
        raise Refusal(Check.NUMBERS, f"no room between the neighbours of {span.text!r}")
    for attempt in range(12):
        value = (first + _hash(f"{key}|{attempt}") % (last - first + 1)) * step
        written = f"{value:g}" if in_letters else old.rewritten(value)
        if (in_letters or len(written) == len(old.text)) and (
            float(written.replace(",", "")) != old.value
        ):
            yield Substitution(span, written.replace(",", ""), source="shift")


def _neighbours(old: NumberMention, span: Span, texts: Mapping[str, str]) -> tuple[float, float]:
    """Return the bounds of a new value that keeps the order of all amounts."""
    others = {n.value for t in texts.values() for n in number_mentions(t)} - {old.value}
    room = (8, 8) if span.type == "YEAR" else (old.value * 0.5, old.value * 0.6)
    low = max([v for v in others if v < old.value] + [old.value - room[0]])
    high = min([v for v in others if v > old.value] + [old.value + room[1]])
    if old.text[0].isalpha():
        low, high = max(1, low, old.value - 6), min(20.5, high, old.value + 6)
    return low, high


def _grain(written: str) -> float:
    """Return the unit of the last significant digit: 12,500 -> 100, 19.99 -> 0.01, 42 -> 1."""
    whole, _, decimals = written.replace(",", "").partition(".")
    if decimals and int(decimals):
        return float(10.0 ** -len(decimals))
    zeros = len(whole) - len(whole.rstrip("0"))
    return float(10 ** min(zeros, max(0, len(whole) - 2)))
