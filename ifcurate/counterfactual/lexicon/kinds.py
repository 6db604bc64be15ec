"""The types of a name by the tables alone, and the made-up names.

Made-up names are built from syllables. Their number is finite, so that a made-up name can be
recognised. None of them is in the lexicon.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TypeVar

from .tables import LEXICON
from .wording import PARTICLES, fold, word_sets

_TYPES = dict.fromkeys(("first_m", "first_f", "last"), "PERSON")
_TYPES |= {"company": "ORG", "country": "COUNTRY", "city": "CITY"}
_PARTS = word_sets("made_up")


@lru_cache(maxsize=8)
def fictional_names(kind: str) -> tuple[str, ...]:
    """Return all made-up names of a kind: first_m, first_f, last, city, country or company."""
    starts, ends = (_PARTS[f"{kind}_{part}"] for part in ("starts", "ends"))
    return tuple(start + end for end in ends for start in starts)


@lru_cache(maxsize=1)
def fictional_titles() -> tuple[str, ...]:
    """Made-up titles of works: "Silent Harbor"."""
    first, second = (_PARTS[f"title_{part}"] for part in ("first", "second"))
    return tuple(f"{a} {b}" for b in second for a in first)


@lru_cache(maxsize=1)
def _made_up() -> dict[str, str]:
    """Return the type of every made-up title and word."""
    types = {the + title: "WORK" for title in fictional_titles() for the in ("", "The ")}
    for kind, type_ in _TYPES.items():
        types |= dict.fromkeys(fictional_names(kind), type_)
    return types


def fictional_type(name: str) -> str:
    """PERSON, CITY, COUNTRY, ORG or WORK for a made-up name, "" for any other text."""
    types = _made_up()
    if name in types:
        return types[name]
    words = [w for w in name.split(" ") if len(w.rstrip(".")) > 2]
    return "PERSON" if words and all(types.get(w) == "PERSON" for w in words) else ""


def types_by_table(name: str) -> set[str]:
    """Return all types that a name can have by the tables, also as a made-up name.

    A name of several parts is a PERSON if its first part is a first name and its last part a
    family name.
    """
    types = {fictional_type(name)} - {""}
    if _is_person(fold(name)):
        types.add("PERSON")
    if LEXICON.is_city(name):
        types.add("CITY")
    if LEXICON.country(name)[0]:
        types.add("COUNTRY")
    if fold(name) in LEXICON.class_of:
        types.add("LOC")
    return types


def _is_person(key: str) -> bool:
    words = [w for w in key.split(" ") if w not in PARTICLES]
    words = [w for w in words if not re.fullmatch(r"(?:jr|sr|[ivx]+|[a-z])\.?|(?:[a-z]\.)+", w)]
    if not words:
        return False
    first, last = words[0].split("-")[0], words[-1]
    if len(words) == 1:
        return first in LEXICON.gender or first in LEXICON.surnames
    return first in LEXICON.gender and (last in LEXICON.surnames or last in LEXICON.gender)


T = TypeVar("T")


def drawn(key: str, items: Sequence[T]) -> Iterator[T]:
    """Yield each item once, in an order that depends only on `key` and the number of items."""
    if not items:
        return
    count = len(items)
    number = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=16).digest(), "big")
    at, step = number % count, 1 + (number >> 64) % max(1, count - 1)
    while math.gcd(step, count) != 1:
        step += 1
    for _ in range(count):
        yield items[at]
        at = (at + step) % count
