"""A chat server on loopback that gives the answers it is told to give."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["ChatServer", "serve"]


class ChatServer:
    """`answers` in their order, the last one again and again; all requests are kept.

    Instead of answers a function may be given, from the user's message to an answer.
    """

    def __init__(
        self,
        answers: Sequence[Any] | Callable[[str], Any],
        *,
        delay: float = 0.0,
        schema: bool = True,
    ):
        self.answers = answers
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        self.delay = delay
        self.schema = schema
        self.seen: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""

    def reply(self, body: dict[str, Any]) -> tuple[int, Any]:
        if not self.schema and "response_format" in body:
            return 400, {"error": {"message": "response_format is not supported"}}
        with self._lock:
            self.seen.append(body)
            number = len(self.seen)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(self.delay)
        with self._lock:
            self.at_once -= 1
        if callable(self.answers):
            answer = self.answers(body["messages"][1]["content"])
        else:
            answer = self.answers[min(number, len(self.answers)) - 1]
        content = answer if isinstance(answer, str) else json.dumps(answer)
        return 200, {"choices": [{"message": {"role": "assistant", "content": content}}]}


@contextlib.contextmanager
def serve(
    answers: Sequence[Any] | Callable[[str], Any], *, delay: float = 0.0, schema: bool = True
) -> Iterator[ChatServer]:
    """The server while it runs; its `url` ends in /v1."""
    state = ChatServer(answers, delay=delay, schema=schema)

    class Handler(BaseHTTPRequestHandler):
        def _send(self, status: int, value: Any) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(data)

        def do_GET(self) -> None:
            self._send(200, {"data": [{"id": "planner"}]})

        def do_POST(self) -> None:
            state.headers.append(dict(self.headers))
            length = int(self.headers["Content-Length"])
            self._send(*state.reply(json.loads(self.rfile.read(length))))

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
