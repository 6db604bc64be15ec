"""What the server engine's requests are made of: addresses, keys, proxies."""

from __future__ import annotations

import sys

import httpx
import pytest

from ifcurate.engines.server.client import HttpClient, Patience
from ifcurate.engines.server.connection import ApiKey, open_http, parse_base_url
from ifcurate.errors import ModelError
from tests.engines.test_server import KEY, no_key

__all__ = ["no_key"]  # the fixture


@pytest.mark.parametrize(
    ("url", "key", "open_"),
    [
        ("http://gpu7:8000", KEY, True),
        ("http://gpu7:8000", "", False),
        ("https://gpu7", KEY, False),
        ("http://localhost:8000", KEY, False),
    ],
)
def test_a_key_that_travels_unencrypted_is_noticed(url: str, key: str, open_: bool) -> None:
    client = HttpClient(parse_base_url(url), key=ApiKey(key), patience=Patience(), concurrency=1)
    assert client.sends_key_in_the_open is open_


def test_the_openai_key_is_used_when_there_is_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert ApiKey.from_environment().headers() == {"Authorization": f"Bearer {KEY}"}
    monkeypatch.delenv("OPENAI_API_KEY")
    assert ApiKey.from_environment().headers() == {}
    with pytest.raises(ModelError, match="line break") as caught:
        ApiKey("sk-abc\nX-Injected: 1")
    assert "sk-abc" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://gpu7:8000", "http://gpu7:8000/v1"),
        ("http://gpu7:8000/v1/", "http://gpu7:8000/v1"),
        ("https://api.example.org/x/v1/completions", "https://api.example.org:443/x/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_base_urls(url: str, expected: str) -> None:
    assert str(parse_base_url(url)) == expected


@pytest.mark.parametrize(
    "url",
    [
        "http://user:hunter2@host/v1",
        "https://host/v1?api_key=hunter2",
        "ftp://host/hunter2",
        "localhost:8000",
        "http://host:port/v1",
        "",
    ],
)
def test_base_urls_that_are_none(url: str) -> None:
    with pytest.raises(ModelError, match="base URL") as caught:
        parse_base_url(url)
    assert "hunter2" not in str(caught.value) or url.startswith("ftp")


@pytest.mark.parametrize(("url", "used"), [("http://gpu7:80", True), ("http://127.0.0.1", False)])
def test_proxies_are_used_but_not_for_this_machine(
    url: str, used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://me:pw@proxy.example:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    endpoint = parse_base_url(url)
    http = open_http(endpoint, 1)
    route = http._transport_for_url(httpx.URL(str(endpoint)))
    assert ("Proxy" in type(getattr(route, "_pool")).__name__) is used  # noqa: B009


@pytest.mark.parametrize("proxy", ["nonsense://me:hunter2@proxy:1", "socks5://me:hunter2@proxy:1"])
def test_a_proxy_that_cannot_be_used_is_an_error_and_no_hang(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, proxy)
    with pytest.raises(ModelError, match=r"gpu7:8000/v1: the proxy.*check HTTP_PROXY") as caught:
        HttpClient(
            parse_base_url("http://gpu7:8000"), key=ApiKey(), patience=Patience(), concurrency=1
        )
    assert "hunter2" not in str(caught.value)
