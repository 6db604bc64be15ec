"""An order that depends on a key alone: what makes every choice repeatable."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

__all__ = ["draw"]


def draw(key: str, count: int) -> Iterator[int]:
    """Indices below `count` in an order that depends on `key` alone, each at most once."""
    if not count:
        return
    number = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=16).digest(), "big")
    at, step = number % count, 1 + (number >> 64) % max(1, count - 1)
    while _shared(step, count):
        step += 1
    for _ in range(count):
        yield at
        at = (at + step) % count


def _shared(a: int, b: int) -> bool:
    while b:
        a, b = b, a % b
    return a != 1
