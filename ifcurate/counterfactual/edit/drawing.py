"""A reproducible random order of choices."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def drawn(key: str, items: Sequence[T]) -> Iterator[T]:
    """Each item once, in an order that depends only on `key` and the number of items."""
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
