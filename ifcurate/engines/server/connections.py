"""Connections to one server: kept open between requests, cut when an answer is late.

HTTP_PROXY, HTTPS_PROXY and NO_PROXY are honoured as by `urllib`, loopback
addresses are always reached directly. Redirects are not followed: they would
carry the key to a place that nobody named.
"""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import threading
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from ipaddress import ip_address
from typing import Final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from ifcurate.errors import ModelError

__all__ = ["ApiKey", "Connections", "Endpoint", "parse_base_url"]

_KEY_NAMES: Final = ("IFCURATE_API_KEY", "OPENAI_API_KEY")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server's base URL, without credentials."""

    scheme: str  # "http" or "https"
    host: str
    port: int
    path: str  # "/v1", no slash at the end

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def parse_base_url(url: str) -> Endpoint:
    """An endpoint from ``http://host:8000`` or ``https://host/v1`` (``/v1`` when there is no path).

    Raises `ModelError`, which never repeats the URL where that could hold a secret.
    """
    what = "write http://HOST:PORT/v1 or https://HOST/v1"
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise ModelError(f"base URL: not a URL; found {error}; {what}") from None
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ModelError(
            "base URL: must not hold credentials or a query; found one of them; put the key into "
            f"the environment variable {_KEY_NAMES[0]}, and {what}"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ModelError(f"base URL: not the address of a server; found {url.strip()!r}; {what}")
    path = parts.path.rstrip("/").removesuffix("/completions")
    return Endpoint(
        parts.scheme,
        parts.hostname,
        port or (443 if parts.scheme == "https" else 80),
        path or "/v1",
    )


class ApiKey:
    """A key that no repr, log or error shows."""

    def __init__(self, value: str = "") -> None:
        value = value.strip()
        if not (value.isascii() and value.isprintable()):
            raise ModelError(
                "API key: holds characters that no key has; found a line break or another sign "
                f"outside ASCII (not shown); set {_KEY_NAMES[0]} anew"
            )
        self._value = value

    @classmethod
    def from_environment(cls) -> ApiKey:
        """The first of IFCURATE_API_KEY and OPENAI_API_KEY that is set; else an empty one."""
        return cls(next((v for v in map(os.environ.get, _KEY_NAMES) if v), ""))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "ApiKey(***)" if self._value else "ApiKey()"

    def headers(self) -> dict[str, str]:
        """What a request carries of it."""
        return {"Authorization": f"Bearer {self._value}"} if self._value else {}

    def removed_from(self, text: str) -> str:
        """The text without the key, should a server repeat it."""
        return text.replace(self._value, "***") if self._value else text


class Connections:
    """Open connections to one endpoint, lent to one request at a time."""

    def __init__(self, endpoint: Endpoint, *, connect_timeout: float) -> None:
        self._endpoint = endpoint
        self._connect_timeout = connect_timeout
        self._lock = threading.Lock()
        self._idle: list[HTTPConnection] = []
        self._lent: dict[HTTPConnection, float] = {}  # to the time when its answer is late
        self._proxy = _proxy(endpoint)

    def borrow(self, *, due: float, fresh: bool) -> tuple[HTTPConnection, bool]:
        """A connection whose answer is due at that (monotonic) time; was it used before?

        Raises `OSError` when there is no connection to be had.
        """
        with self._lock:
            if fresh:
                while self._idle:
                    self._idle.pop().close()
            if self._idle:
                connection = self._idle.pop()
                self._lent[connection] = due
                return connection, True
        connection = self._make()
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        # From here on `close_overdue` watches: a slow answer must not look like a fault.
        connection.sock.settimeout(None)
        with self._lock:
            self._lent[connection] = due
        return connection, False

    def give_back(self, connection: HTTPConnection, *, reusable: bool) -> None:
        """Take a connection back, to be used again or closed."""
        with self._lock:
            self._lent.pop(connection, None)
            if reusable and connection.sock is not None:
                self._idle.append(connection)
                return
        connection.close()

    def close_overdue(self, *, everything: bool = False) -> None:
        """Cut off the connections whose answer is late (or all); their readers get an error."""
        now = time.monotonic()
        with self._lock:
            late = [c for c, due in self._lent.items() if everything or due <= now]
        for connection in late:
            sock = connection.sock
            if sock is not None:
                # The plain socket's: TLS's own shutdown would wait for the other side.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the idle ones and cut off the others."""
        self.close_overdue(everything=True)
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def target(self, path: str) -> str:
        """What stands in the request line: the path, or the whole URL for a plain proxy."""
        if self._proxy is not None and self._endpoint.scheme == "http":
            return f"{self._endpoint}{path}"
        return f"{self._endpoint.path}{path}"

    def headers(self) -> dict[str, str]:
        """What a plain proxy wants to be sent."""
        plain = self._proxy is not None and self._endpoint.scheme == "http"
        return dict(self._proxy[2]) if self._proxy and plain else {}

    def _make(self) -> HTTPConnection:
        endpoint = self._endpoint
        host, port = endpoint.host, endpoint.port
        if self._proxy is not None:
            host, port, headers = self._proxy
        kind = HTTPSConnection if endpoint.scheme == "https" else HTTPConnection
        connection = kind(host, port, timeout=self._connect_timeout)
        if self._proxy is not None and endpoint.scheme == "https":
            connection.set_tunnel(endpoint.host, endpoint.port, headers=headers)
        return connection


def _proxy(endpoint: Endpoint) -> tuple[str, int, dict[str, str]] | None:
    """Host, port and headers of the proxy for this endpoint, None to go straight."""
    url = getproxies().get(endpoint.scheme)
    if not url or endpoint.is_loopback or proxy_bypass(endpoint.host):
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if not parts.hostname:
        return None
    headers = {}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        token = base64.b64encode(pair.encode()).decode("ascii")
        headers["Proxy-Authorization"] = f"Basic {token}"
    return parts.hostname, parts.port or 80, headers
