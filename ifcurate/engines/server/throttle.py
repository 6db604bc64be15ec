"""The limit of requests that a server gets at a time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator

__all__ = ["Throttle"]


class Throttle:
    """At most `limit` requests in flight, fewer after "too many requests".

    It belongs to one event loop. anyio's `CapacityLimiter` counts the requests.
    """

    def __init__(self, limit: int) -> None:
        import anyio

        self._limit = limit
        self._limiter = anyio.CapacityLimiter(limit)
        self._successes = 0
        self._resume_at = 0.0

    @property
    def allowed(self) -> int:
        """How many may be in flight now."""
        return int(self._limiter.total_tokens)

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place, and hold it inside. A block that raises is not a success."""
        import anyio

        async with self._limiter:
            while (pause := self._resume_at - time.monotonic()) > 0:
                await anyio.sleep(pause)
            yield
            self._successes += 1
            if self.allowed < self._limit and self._successes >= self.allowed:
                self._limiter.total_tokens += 1
                self._successes = 0

    def slow_down(self, wait: float) -> None:
        """The server is busy: allow half as many requests, and none for `wait` seconds."""
        now = time.monotonic()
        if now >= self._resume_at:  # every request in flight is refused: halve once for all
            self._limiter.total_tokens = max(1, self.allowed // 2)
            self._successes = 0
        self._resume_at = max(self._resume_at, now + wait)
