"""JSON over HTTP to one server, with retries, a deadline and a limit of requests in flight.

A request is retried when the server is busy (429), fails (5xx), hangs or drops the
connection. The wait before a retry is random, from 0 to a bound that doubles each time
(full jitter), or it is the value of Retry-After. A request keeps its turn while it waits, so a
busy server gets fewer requests. Halving the number of requests in flight after each "too many
requests" gave no gain: with a server that accepts 4 of 16 requests at a time, 150 requests took
as long as without it, and 18.5 s in place of 5.6 s when the server sent `Retry-After: 1`.

httpx sends, and anyio runs it in a separate thread. httpx limits the time of each read and write,
not of the whole answer: a slow trickle of bytes, a huge Content-Length or endless 100-Continue
answers could block a run. So this module cancels a request when its time is over. tenacity was
tried for the retries. Its callbacks took more lines than the loop in `HttpClient._send`, because
the wait, the count of tries and the deadline depend on the kind of failure. The openai client
(3.54) keeps `prompt_logprobs` in its answers, but its timeout is that of httpx, and its tries have
no common deadline.

HTTP_PROXY, HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE are respected. Loopback addresses are
always reached directly. Redirects are not followed, because they could carry the key to
another server. huggingface_hub's own HTTP package changes with its major versions, so
httpx is a dependency of the extra `server`.
"""

from __future__ import annotations

import contextlib
import json
import random
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ssl import SSLCertVerificationError
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ifcurate.engines.server.connection import ApiKey, Endpoint, Loop
from ifcurate.errors import ModelError

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
AnswerOrNone = dict[str, Any] | None
_SPARE_BYTES: Final = 1 << 20  # bytes of an answer, in addition to those for its tokens
_ERROR_BYTES: Final = 1 << 14  # bytes that are read of the body of a refusal


@dataclass(frozen=True, slots=True)
class Patience:
    """Timeouts and the number of tries; all times in seconds."""

    attempts: int = 6  # tries of one request; "too many requests" does not count
    first_wait: float = 0.5  # longest wait before the second try; it doubles with each try
    longest_wait: float = 30.0
    timeout: float = 120.0  # for one answer
    deadline: float = 900.0  # for one request with all its tries


@dataclass(frozen=True, slots=True)
class Request:
    """A POST of `body` as JSON to `path`, or a GET when there is no body."""

    path: str
    body: dict[str, Any] | None = None
    answer_bytes: int = 0  # approximate limit of the answer's size
    seconds: float | None = None  # for one answer; a request that takes longer fails alone


class ServerError(ModelError):
    """The server refused, failed at the last try, or sent an unusable answer."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status  # HTTP status, if it is a refusal


class RequestTooSlowError(Exception):
    """The server did not answer one request within the seconds that it has."""


class _TryAgainError(Exception):
    """One try failed for a reason that may pass."""

    def __init__(self, reason: str, wait: float | None = None, *, busy: bool = False) -> None:
        super().__init__(reason)
        self.wait = wait  # seconds that the server asks for
        self.busy = busy


class HttpClient:
    """Sends JSON to one server and reads JSON back, from any thread."""

    def __init__(
        self, endpoint: Endpoint, *, key: ApiKey, patience: Patience, concurrency: int
    ) -> None:
        """Raises `ModelError` when the packages of the extra `server` are not installed."""
        self.endpoint = endpoint
        self.counts: Counter[str] = Counter()  # "requests", "retries"
        self._patience = patience
        self._key = key
        self._loop = Loop(endpoint, concurrency)
        self._finalizer = weakref.finalize(self, self._loop.close)

    @property
    def sends_key_in_the_open(self) -> bool:
        """Whether a key is sent unencrypted to another machine."""
        plain = self.endpoint.scheme == "http" and not self.endpoint.is_loopback
        return bool(self._key) and plain

    def close(self) -> None:
        """Close every connection; requests under way are cancelled."""
        self._finalizer()

    def submit(
        self,
        requests: Sequence[Request],
        read: Callable[[list[AnswerOrNone]], T],
        on_answer: Callable[[int], None] = lambda i: None,
    ) -> Future[T]:
        """Send requests in parallel, and give their answers, in order, to `read`.

        The answer to a request that took more than its own seconds is None. `on_answer` is called
        with the place of each request that is finished, from the client's thread.

        The future has the result of `read`. The first request that fails after all tries
        cancels the others, and its `ServerError` is the future's exception. Cancelling the
        future cancels all requests.
        """
        return self._loop.portal.start_task_soon(self._send_all, tuple(requests), read, on_answer)

    def request(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the answer to one request. Raises `ServerError`."""
        return wait_for(self.submit([Request(path, body)], lambda answers: answers[0] or {}))

    def listed_models(self) -> dict[str, dict[str, Any]]:
        """Return the models that the server lists, by name; an empty dict if it lists none."""
        try:
            answer = self.request("/models")
        except ServerError as error:
            if error.status in (404, 405, 501):
                return {}
            raise
        listed = answer.get("data")
        entries = listed if isinstance(listed, list) else []
        return {str(e["id"]): e for e in entries if isinstance(e, dict) and "id" in e}

    def only_model(self, listed: Mapping[str, Any], option: str) -> str:
        """Return the only model of a list. Raises `ServerError` for any other number."""
        if len(listed) == 1:
            return next(iter(listed))
        names = ", ".join(sorted(listed)[:6]) if listed else "no list of models"
        raise self.error("which model is not clear", names, f"name one with {option}")

    def error(self, what: str, found: str, remedy: str, status: int | None = None) -> ServerError:
        """Return an error in the usual form. The key is removed from the server's text."""
        text = f"{self.endpoint}: {what}; found {found}" + (f"; {remedy}" if remedy else "")
        return ServerError(self._key.removed_from(text), status)

    async def _send_all(
        self,
        requests: Sequence[Request],
        read: Callable[[list[AnswerOrNone]], T],
        on_answer: Callable[[int], None],
    ) -> T:
        import anyio

        answers: list[AnswerOrNone] = [None for _ in requests]

        async def send(i: int) -> None:
            # A request keeps its turn while it waits for a retry, so the first final
            # failure is found early.
            async with self._loop.turns:
                with contextlib.suppress(RequestTooSlowError):
                    answers[i] = await self._send(requests[i])
                on_answer(i)

        try:
            async with anyio.create_task_group() as group:
                for i in range(len(requests)):
                    group.start_soon(send, i)
        except BaseExceptionGroup as failed:
            raise next(_causes(failed)) from None
        return read(answers)

    async def _send(self, request: Request) -> dict[str, Any]:
        """One answer, within the tries that `Patience` allows."""
        import anyio

        patience = self._patience
        failures = 0  # "too many requests" does not count
        end = time.monotonic() + patience.deadline  # of all tries
        longest = patience.first_wait
        while True:
            try:
                return await self._try(request, end)
            except _TryAgainError as error:
                problem = error
            failures += not problem.busy
            if problem.wait is None:
                wait = random.uniform(0, longest)  # noqa: S311  (no secret)
            else:
                wait = problem.wait + random.uniform(0, patience.first_wait)  # noqa: S311
            longest = min(2 * longest, patience.longest_wait)
            self._check_patience(problem, failures, end - time.monotonic() - wait)
            self.counts["retries"] += 1
            await anyio.sleep(wait)

    def _check_patience(self, problem: _TryAgainError, failures: int, left: float) -> None:
        """Raise `ServerError` after the last try; `left` seconds remain for further tries."""
        remedy = "see the server's own log; the same command resumes the run"
        if failures >= self._patience.attempts:
            what_happened = f"{problem} at the last of {failures} tries"
            raise self.error("the server fails", what_happened, remedy)
        if left <= 0:
            request = "" if problem.wait is None else f" (it asks to wait {problem.wait:.0f} s)"
            what = f"no answer within {self._patience.deadline:g} s"
            raise self.error(what, f"{problem}{request} at last", remedy)

    async def _try(self, request: Request, end: float) -> dict[str, Any]:
        """One answer, within the time for it. Raises `_TryAgainError` or `ServerError`."""
        import anyio
        import httpx

        timeout = min(request.seconds or self._patience.timeout, end - time.monotonic())
        try:
            with anyio.fail_after(max(0.0, timeout)):
                return await self._exchange(request)
        except TimeoutError:
            if request.seconds is not None:
                raise RequestTooSlowError from None
            raise _TryAgainError(f"no answer within {self._patience.timeout:g} s") from None
        except httpx.RequestError as error:
            for cause in _causes(error):
                if isinstance(cause, SSLCertVerificationError):
                    raise self.error(
                        "its certificate is not trusted",
                        cause.verify_message,
                        "check the URL, or name the authority's file in SSL_CERT_FILE",
                    ) from None
            raise _TryAgainError(_spell(error)) from None

    async def _exchange(self, request: Request) -> dict[str, Any]:
        data = None
        if request.body is not None:
            data = json.dumps(request.body, separators=(",", ":")).encode()
        async with self._loop.http.stream(
            "GET" if data is None else "POST",
            f"{self.endpoint}{request.path}",
            content=data,
            headers=self._key.headers(),
        ) as response:
            self.counts["requests"] += 1
            good = response.status_code == 200
            most = _SPARE_BYTES + request.answer_bytes if good else _ERROR_BYTES
            text = bytearray()
            async for part in response.aiter_bytes():
                text += part
                if len(text) > most:
                    break
        if not good:
            raise self._refusal(response, bytes(text[:most]), request.path)
        if len(text) > most:
            raise self.error("an answer far larger than requested", f"over {most} bytes", "")
        return self._parse(bytes(text))

    def _parse(self, text: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            start = self._readable(text[:60])
            raise _TryAgainError(f"an answer that is not JSON ({start!r}...)") from None
        if not isinstance(answer, dict):
            raise _TryAgainError(f"an answer that is not a JSON object ({type(answer).__name__})")
        return answer

    def _refusal(self, response: httpx.Response, text: bytes, path: str) -> Exception:
        status = response.status_code
        message = self._readable(text)
        problem = f"HTTP {status}" + (f" ({message})" if message else "")
        if status in (408, 425, 429) or status >= 500:
            wait = _retry_after(response.headers.get("Retry-After"))
            busy = status == 429 or (status == 503 and wait is not None)
            return _TryAgainError(problem, wait, busy=busy)
        if status in (401, 403):
            key = "a key was sent" if self._key else "no key was sent"
            return self.error(
                "the server wants another key",
                f"{problem}, {key}",
                "set IFCURATE_API_KEY (or OPENAI_API_KEY) to a key of this server",
                status,
            )
        if status == 404:
            return self.error(
                f"no such page ({path}) or model",
                problem,
                "check --base-url (it usually ends in /v1) and --model",
                status,
            )
        if 300 <= status < 400:
            where = self._readable(response.headers.get("Location", "nowhere").encode())
            return self.error(
                "the server redirects, which is not followed",
                f"HTTP {status} to {where.split('?')[0]}",
                "give that as --base-url if you trust it",
                status,
            )
        return self.error("the server refused a request", problem, "", status)

    def _readable(self, text: bytes) -> str:
        """Return a server's message on one line, shortened."""
        try:
            content = json.loads(text)
            for name in ("error", "message", "detail"):
                if isinstance(content, dict) and name in content:
                    content = content[name]
            words = content if isinstance(content, str) else json.dumps(content)
        except (ValueError, RecursionError):
            words = text.decode("utf-8", "replace")
        line = "".join(c if c.isprintable() else " " for c in words)
        # The key is removed before the text is shortened, which could cut it in two.
        return self._key.removed_from(" ".join(line.split()))[:200]


def wait_for(future: Future[T]) -> T:
    """Return the result of a future. An interrupted wait cancels the future."""
    try:
        return future.result()
    finally:
        future.cancel()


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes; for a group, those of its members."""
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _causes(member)
        return
    yield error
    for cause in (error.__cause__, error.__context__):
        if cause is not None:
            yield from _causes(cause)
            return


def _spell(error: httpx.RequestError) -> str:
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return "no connection in time"
    if any(isinstance(cause, ConnectionRefusedError) for cause in _causes(error)):
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
