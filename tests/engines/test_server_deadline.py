"""A request ends in time, whatever a server sends to keep it open."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable

import pytest

from ifcurate.engines.server.client import HttpClient, Patience, ServerError
from ifcurate.engines.server.connection import ApiKey, parse_base_url
from ifcurate.errors import ModelError
from tests.engines.fake_server import raw_server

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
SHORT = Patience(attempts=2, first_wait=0.01, longest_wait=0.02, timeout=0.2, deadline=0.5)


def endless(
    start: bytes, part: bytes, pause: float
) -> Callable[[socket.socket, threading.Event], None]:
    def answer(connection: socket.socket, ended: threading.Event) -> None:
        connection.sendall(start)
        while not ended.wait(pause):
            connection.sendall(part)

    return answer


HOSTILE = {
    "huge Content-Length, then silence": endless(
        HEAD + b"Content-Length: 999999999999\r\n\r\n{", b"", 0.05
    ),
    "huge Content-Length, dripping": endless(
        HEAD + b"Content-Length: 999999999999\r\n\r\n{", b" ", 0.02
    ),
    "endless 100-Continue, slow": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.02),
    "endless 100-Continue, fast": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 0),
    "endless headers": endless(HEAD, b"X-More: 1\r\n", 0.02),
    "endless chunks": endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", 0.02),
    "status line that never ends": endless(b"", b"H", 0.02),
}


def ask(url: str, patience: Patience) -> None:
    client = HttpClient(parse_base_url(url), key=ApiKey(), patience=patience, concurrency=2)
    try:
        client.request("/models")
    finally:
        client.close()


@pytest.mark.parametrize("name", HOSTILE)
def test_the_deadline_of_a_request_is_absolute(name: str) -> None:
    with raw_server(HOSTILE[name]) as url:
        started = time.monotonic()
        with pytest.raises(ServerError, match=r"at the last of 2 tries|no answer within"):
            ask(url, SHORT)
        assert time.monotonic() - started < 1.5


def test_an_answer_without_end_is_cut_at_its_bound() -> None:
    flood = endless(HEAD + b"Content-Length: 999999999999\r\n\r\n", b" " * (1 << 16), 0)
    with raw_server(flood) as url, pytest.raises(ServerError, match="far larger than requested"):
        ask(url, Patience(attempts=1, timeout=20))


@pytest.mark.parametrize(
    "wait", ["-1", "-99999999999", "-inf", "1e400", "nan", "Thu, 01 Jan 1970 00:00:00 GMT"]
)
def test_a_negative_or_absurd_retry_after_neither_crashes_nor_stalls(wait: str) -> None:
    def refuse(connection: socket.socket, ended: threading.Event) -> None:
        connection.sendall(
            f"HTTP/1.1 503 Busy\r\nRetry-After: {wait}\r\nContent-Length: 0\r\n"
            "Connection: close\r\n\r\n".encode()
        )

    started = time.monotonic()
    with (
        raw_server(refuse) as url,
        pytest.raises(ServerError, match=r"HTTP 503|no answer within 0.5 s"),
    ):
        ask(url, SHORT)
    assert time.monotonic() - started < 1.5


def test_packages_that_are_missing_are_an_error_with_the_line_to_install_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(ModelError, match=r"package httpx; install it: pip install .*\[server\]"):
        ask("http://127.0.0.1:9/v1", SHORT)
