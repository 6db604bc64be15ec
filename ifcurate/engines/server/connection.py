"""A server's address, the key that is sent to it, and the connections to it."""

from __future__ import annotations

import contextlib
import os
import ssl
import threading
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from ifcurate.errors import ModelError
from ifcurate.phrases import missing_package

if TYPE_CHECKING:
    import anyio
    import httpx
    from anyio.from_thread import BlockingPortal

_CONNECT_SECONDS: Final = 10.0
_PORTS: Final = {"http": 80, "https": 443}
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
    """Return an endpoint from ``http://host:8000`` (then ``/v1``) or ``https://host/v1``.

    Raises `ModelError`, which never repeats the URL where that could hold a secret.
    """
    what = "write http://HOST:PORT/v1 or https://HOST/v1"
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise ModelError(f"base URL: not a URL; found {error}; {what}") from None
    secrets = (parts.username, parts.password, parts.query or None, parts.fragment or None)
    if any(secret is not None for secret in secrets):
        raise ModelError(
            "base URL: must not hold credentials or a query; found one of them; put the key into "
            f"the environment variable {_KEY_NAMES[0]}, and {what}"
        )
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ModelError(f"base URL: not the address of a server; found {url.strip()!r}; {what}")
    path = parts.path.rstrip("/").removesuffix("/completions") or "/v1"
    return Endpoint(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], path)


class ApiKey:
    """A key that no repr, log or error shows."""

    def __init__(self, value: str = "") -> None:
        value = value.strip()
        if not (value.isascii() and value.isprintable()):
            raise ModelError(
                "API key: has characters that no key can have; found a line break or a character "
                f"outside ASCII (not shown); set {_KEY_NAMES[0]} again"
            )
        self._value = value

    @classmethod
    def from_environment(cls) -> ApiKey:
        """Return the first of IFCURATE_API_KEY and OPENAI_API_KEY that is set.

        Else an empty one.
        """
        return cls(next((v for v in map(os.environ.get, _KEY_NAMES) if v), ""))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "ApiKey(***)" if self._value else "ApiKey()"

    def headers(self) -> dict[str, str]:
        """Return the headers of a request that carry the key."""
        return {"Authorization": f"Bearer {self._value}"} if self._value else {}

    def removed_from(self, text: str) -> str:
        """Return the text with the key replaced, for servers that repeat it."""
        return text.replace(self._value, "***") if self._value else text


class Loop:
    """An event loop in a separate thread, with the connections to one server."""

    http: httpx.AsyncClient
    turns: anyio.CapacityLimiter
    portal: BlockingPortal

    def __init__(self, endpoint: Endpoint, concurrency: int) -> None:
        """Raises `ModelError` when the packages for HTTP are not installed."""
        try:
            import anyio
            import httpx  # noqa: F401
        except ImportError as error:
            raise ModelError(missing_package("engine server", "server", error)) from error
        self.http = _open_checked(endpoint, concurrency)
        self._ready = threading.Event()
        self._thread = threading.Thread(
            target=anyio.run, args=(self._run, concurrency), daemon=True, name="ifcurate-server"
        )
        self._thread.start()
        self._ready.wait()

    async def _run(self, concurrency: int) -> None:
        import anyio
        from anyio.from_thread import BlockingPortal

        self.turns = anyio.CapacityLimiter(concurrency)
        async with self.http, BlockingPortal() as self.portal:
            self._ready.set()
            await self.portal.sleep_until_stopped()

    def close(self) -> None:
        """Cancel all requests, close the connections and end the thread."""
        # RuntimeError: the loop has already ended, or the loop's own thread closes it.
        with contextlib.suppress(RuntimeError):
            self.portal.call(self.portal.stop, True)
            self._thread.join()


def _open_checked(endpoint: Endpoint, concurrency: int) -> httpx.AsyncClient:
    try:
        return open_http(endpoint, concurrency)
    except (ImportError, OSError, ValueError) as error:
        # The error's text may hold the proxy's password.
        raise ModelError(
            f"{endpoint}: the proxy or the certificates named in the environment cannot be used; "
            f"found {type(error).__name__}; check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and "
            "SSL_CERT_FILE (a SOCKS proxy needs pip install socksio)"
        ) from error


def open_http(endpoint: Endpoint, concurrency: int) -> httpx.AsyncClient:
    """Connections to an endpoint, through the environment's proxy unless it is on loopback."""
    import httpx

    return httpx.AsyncClient(
        headers={
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "ifcurate",
        },
        # The certificates of the system and SSL_CERT_FILE; httpx would use certifi's.
        verify=ssl.create_default_context(),
        trust_env=not endpoint.is_loopback,  # proxies
        # The caller limits the time of a whole answer, and cancels.
        timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=concurrency),
    )
