"""An event loop in a separate thread, with the connections to one server and their limit."""

from __future__ import annotations

import contextlib
import ssl
import threading
from typing import TYPE_CHECKING, Final

from ifcurate.engines.server.endpoint import Endpoint
from ifcurate.errors import ModelError
from ifcurate.phrases import missing_package

if TYPE_CHECKING:
    import anyio
    import httpx
    from anyio.from_thread import BlockingPortal

_CONNECT_SECONDS: Final = 10.0


class Loop:
    """An event loop in a separate thread, with the connections to one server."""

    http: httpx.AsyncClient
    turns: anyio.CapacityLimiter
    portal: BlockingPortal

    def __init__(self, endpoint: Endpoint, concurrency: int) -> None:
        """Raises `ModelError` when the packages for HTTP are not installed."""
        _require_packages()
        import anyio

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


def _require_packages() -> None:
    """Raise `ModelError` when the packages of the extra `server` are not installed."""
    try:
        import anyio  # noqa: F401
        import httpx  # noqa: F401
    except ImportError as error:
        raise ModelError(missing_package("engine server", "server", error)) from error
