"""Names of the Hub without a network: an error at once, or the copy in the cache."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ifcurate.data.sources import read_examples
from ifcurate.engines.hf.source import find_model
from ifcurate.errors import IfcurateError
from ifcurate.mixing.tokens import load_counter
from ifcurate.options.score import LoadOptions

ASKS: dict[str, Callable[[], object]] = {
    "model": lambda: find_model("org/none", LoadOptions()),
    "tokenizer": lambda: load_counter("org/none"),
    "data": lambda: read_examples("org/none"),
}


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Give the address of the Hub, and look for it."""
    constants = pytest.importorskip("huggingface_hub.constants")
    config = pytest.importorskip("datasets.config")

    def look(endpoint: str) -> None:
        for module in (constants, config):
            monkeypatch.setattr(module, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.delenv("HF_HUB_OFFLINE")
        monkeypatch.setattr("ifcurate.network.getproxies", dict)

    return look


@pytest.fixture
def hub() -> Iterator[tuple[str, list[str]]]:
    """A Hub that takes its time and knows nothing, and the requests that it got."""
    asked: list[str] = []

    class Unknown(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            time.sleep(0.2)
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Unknown)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("what", ASKS)
def test_without_a_network_nothing_is_tried_again(
    what: str, online: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    online("http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("waits to try again"))
    with pytest.raises(IfcurateError, match=r"org/none.* cannot be (downloaded|loaded)"):
        ASKS[what]()


def test_a_slow_hub_is_asked(online: Callable[[str], None], hub: tuple[str, list[str]]) -> None:
    endpoint, asked = hub
    online(endpoint)
    with pytest.raises(IfcurateError, match="org/none"):
        ASKS["model"]()
    assert any("org/none" in path for path in asked)
