"""JSON over HTTP to one server, with patience: retries, a deadline, and room for others.

A request is tried again when the server is busy (429), fails (5xx), hangs or
drops the connection, after a wait that doubles each time and is drawn at random
from 0 to that (full jitter), or as long as the server's Retry-After says.
"Too many requests" also halves how many are sent at a time; successes widen that
again one by one.

The standard library does this alone: huggingface_hub brings another HTTP package
with its major versions (requests, httpx, httpx2), so none can be relied on.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from ssl import SSLCertVerificationError
from typing import Any, Final

from ifcurate.engines.server.connections import ApiKey, Connections, Endpoint
from ifcurate.errors import ModelError

__all__ = ["HttpClient", "Patience", "ServerError", "StoppedError", "Throttle"]

_SPARE_BYTES: Final = 1 << 20  # an answer's size beside what its tokens need
_ERROR_BYTES: Final = 1 << 14  # read of the body of a refusal


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is given; all times in seconds."""

    attempts: int = 6  # tries of one request; "too many requests" does not count
    first_wait: float = 0.5  # before the second try, at most; doubles from try to try
    longest_wait: float = 30.0
    timeout: float = 120.0  # for one answer
    deadline: float = 900.0  # for one request with all its tries


class ServerError(ModelError):
    """The server refused, failed for good, or sent what cannot be used."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status  # of HTTP, when it was a refusal


class StoppedError(ServerError):
    """Given up because of something else: another request's failure, or an interrupt."""


class _TryAgainError(Exception):
    """One try failed in a way that may pass."""

    def __init__(self, reason: str, wait: float | None = None, *, busy: bool = False) -> None:
        super().__init__(reason)
        self.wait = wait  # what the server asked for, seconds
        self.busy = busy


class Throttle:
    """How many requests may be in flight: at most `limit`, fewer after "too many requests"."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.allowed = limit
        self.most = 0  # that were in flight at one time
        self._in_flight = 0
        self._successes = 0
        self._resume_at = 0.0
        self._changed = threading.Condition()

    def enter(self, stop: threading.Event) -> bool:
        """Wait for room; false when stopped meanwhile."""
        with self._changed:
            while not stop.is_set():
                pause = self._resume_at - time.monotonic()
                if self._in_flight < self.allowed and pause <= 0:
                    self._in_flight += 1
                    self.most = max(self.most, self._in_flight)
                    return True
                self._changed.wait(min(pause, 0.5) if pause > 0 else 0.5)
        return False

    def leave(self, *, succeeded: bool) -> None:
        """Give the place back."""
        with self._changed:
            self._in_flight -= 1
            if succeeded and self.allowed < self.limit:
                self._successes += 1
                if self._successes >= self.allowed:
                    self.allowed += 1
                    self._successes = 0
            self._changed.notify_all()

    def slow_down(self, wait: float) -> None:
        """The server has too much to do: half as many, and none for `wait` seconds."""
        with self._changed:
            now = time.monotonic()
            if now >= self._resume_at:  # all that were in flight are told so: count it once
                self.allowed = max(1, self.allowed // 2)
                self._successes = 0
            self._resume_at = max(self._resume_at, now + wait)


class HttpClient:
    """Sends JSON to one server and reads JSON back; to be used from several threads."""

    def __init__(
        self, endpoint: Endpoint, *, key: ApiKey, patience: Patience, concurrency: int
    ) -> None:
        self.endpoint = endpoint
        self.throttle = Throttle(concurrency)
        self.counts: Counter[str] = Counter()
        self._counting = threading.Lock()
        self._patience = patience
        self._key = key
        self._connections = Connections(endpoint, connect_timeout=min(10.0, patience.timeout))
        self._random = random.Random()  # noqa: S311  (waits, no secrets)

    @property
    def sends_key_in_the_open(self) -> bool:
        """Whether a key leaves this machine unencrypted."""
        plain = self.endpoint.scheme == "http" and not self.endpoint.is_loopback
        return bool(self._key) and plain

    def close(self) -> None:
        """Close every connection; requests under way fail."""
        self._connections.close()

    def close_overdue(self) -> None:
        """Cut the connections whose answer is late, however slowly it drips in."""
        self._connections.close_overdue()

    def request(
        self,
        path: str,
        body: dict[str, Any] | None,
        stop: threading.Event,
        *,
        answer_bytes: int = 0,
    ) -> dict[str, Any]:
        """The answer to a GET (`body` None) or POST of `path`, tried until it is had.

        `answer_bytes` is about how large it may be. Raises `ServerError`.
        """
        end = 0.0
        tries = failures = 0
        while True:
            if not self.throttle.enter(stop):
                raise StoppedError(f"{self.endpoint}: stopped")
            end = end or time.monotonic() + self._patience.deadline  # from the first try on
            succeeded = False
            wait = 0.0
            try:
                answer = self._try(path, body, end, _SPARE_BYTES + answer_bytes)
                succeeded = True
                return answer
            except _TryAgainError as problem:
                tries += 1
                failures += not problem.busy
                wait = self._next_wait(problem, tries, failures, end)
                if problem.busy:
                    self.throttle.slow_down(wait)
                    wait = 0.0  # `enter` waits
            finally:
                self.throttle.leave(succeeded=succeeded)
            stop.wait(wait)

    def _count(self, name: str) -> None:
        with self._counting:
            self.counts[name] += 1

    def error(self, what: str, found: str, remedy: str, status: int | None = None) -> ServerError:
        """An error in the usual form; without the key, whatever the server wrote."""
        text = f"{self.endpoint}: {what}; found {found}" + (f"; {remedy}" if remedy else "")
        return ServerError(self._key.removed_from(text), status)

    def _next_wait(self, problem: _TryAgainError, tries: int, failures: int, end: float) -> float:
        """Seconds until the next try. Raises `ServerError` when there is to be none."""
        patience = self._patience
        on = "see the server's own log; the same command goes on where this stopped"
        if failures >= patience.attempts:
            raise self.error("the server fails", f"{problem} at the last of {failures} tries", on)
        wait = self._random.uniform(
            0, min(patience.longest_wait, patience.first_wait * 2 ** min(tries - 1, 16))
        )
        if problem.wait is not None:
            wait = problem.wait + self._random.uniform(0, patience.first_wait)
        if time.monotonic() + wait >= end:
            asked = "" if problem.wait is None else f" (it asks to wait {problem.wait:.0f} s)"
            raise self.error(
                f"no answer within {patience.deadline:.0f} s", f"{problem}{asked} at last", on
            )
        self._count("retries")
        return wait

    def _try(
        self, path: str, body: dict[str, Any] | None, end: float, most_bytes: int
    ) -> dict[str, Any]:
        due = min(end, time.monotonic() + self._patience.timeout)
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        for fresh in (False, True):
            try:
                return self._exchange(path, data, due, most_bytes, fresh=fresh)
            except _StaleError:
                continue
        raise AssertionError("a fresh connection is never stale")

    def _exchange(
        self, path: str, data: bytes | None, due: float, most_bytes: int, *, fresh: bool
    ) -> dict[str, Any]:
        connection = None
        used_before = reusable = False
        response = None
        try:
            connection, used_before = self._connections.borrow(due=due, fresh=fresh)
            connection.request(
                "GET" if data is None else "POST",
                self._connections.target(path),
                body=data,
                headers={
                    "Content-Type": "application/json",
                    "Accept": "application/json",
                    "User-Agent": "ifcurate",
                    **self._connections.headers(),
                    **self._key.headers(),
                },
            )
            response = connection.getresponse()
            self._count("requests")
            if response.status != 200:
                raise self._refusal(response, path)
            text = response.read(most_bytes + 1)
            if len(text) > most_bytes:
                raise self.error(
                    "an answer far larger than asked for", f"over {most_bytes} bytes", ""
                )
            reusable = not response.will_close
            return self._parse(text)
        except SSLCertVerificationError as error:
            raise self.error(
                "its certificate is not trusted",
                error.verify_message,
                "check the URL, or name the authority's file in SSL_CERT_FILE",
            ) from None
        except (OSError, HTTPException) as error:
            late = time.monotonic() >= due
            if used_before and response is None and not late:
                raise _StaleError from None  # closed by the server while it was idle
            raise _TryAgainError(_spell(error, late, self._patience.timeout)) from None
        finally:
            if response is not None:
                response.close()
            if connection is not None:
                self._connections.give_back(connection, reusable=reusable)

    def _parse(self, text: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            start = self._readable(text[:60])
            raise _TryAgainError(f"an answer that is no JSON ({start!r}...)") from None
        if not isinstance(answer, dict):
            raise _TryAgainError(f"an answer that is no JSON object ({type(answer).__name__})")
        return answer

    def _refusal(self, response: HTTPResponse, path: str) -> Exception:
        status = response.status
        said = self._readable(response.read(_ERROR_BYTES))
        found = f"HTTP {status}" + (f" ({said})" if said else "")
        if status in (408, 425, 429) or status >= 500:
            wait = _retry_after(response.getheader("Retry-After"))
            busy = status == 429 or (status == 503 and wait is not None)
            return _TryAgainError(found, wait, busy=busy)
        if status in (401, 403):
            held = "a key was sent" if self._key else "no key was sent"
            return self.error(
                "the server wants another key",
                f"{found}, {held}",
                "set IFCURATE_API_KEY (or OPENAI_API_KEY) to a key of this server",
                status,
            )
        if status == 404:
            return self.error(
                f"no such page ({path}) or model",
                found,
                "check --base-url (it mostly ends in /v1) and --model",
                status,
            )
        if 300 <= status < 400:
            where = self._readable((response.getheader("Location") or "nowhere").encode())
            return self.error(
                "the server sends elsewhere, which is not followed",
                f"HTTP {status} to {where.split('?')[0]}",
                "give that as --base-url if you trust it",
                status,
            )
        return self.error("the server refused a request", found, "", status)

    def _readable(self, text: bytes) -> str:
        """A server's words in one line, shortened."""
        try:
            content = json.loads(text)
            for name in ("error", "message", "detail"):
                if isinstance(content, dict) and name in content:
                    content = content[name]
            words = content if isinstance(content, str) else json.dumps(content)
        except (ValueError, RecursionError):
            words = text.decode("utf-8", "replace")
        line = "".join(c if c.isprintable() else " " for c in words)
        # Before it is cut: a key cut in two would not be recognised.
        return self._key.removed_from(" ".join(line.split()))[:200]


class _StaleError(Exception):
    """A connection kept open had been closed by the server meanwhile."""


def _spell(error: Exception, late: bool, timeout: float) -> str:
    if late or isinstance(error, TimeoutError):
        return f"no answer within {timeout:g} s" if late else "no connection in time"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused (is the server running?)"
    text = str(error) or "the connection was dropped"
    return f"{type(error).__name__}: {text[:120]}"


def _retry_after(value: str | None) -> float | None:
    """Seconds from a Retry-After header (a number, or a date); None for anything else."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except ValueError:
            return None
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        seconds = (when - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if seconds == seconds and seconds < 1e9 else None
