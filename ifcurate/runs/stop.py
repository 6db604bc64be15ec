"""Stopping a long piece of work at a good moment."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["stop_on_signal"]


@contextlib.contextmanager
def stop_on_signal(on_first: Callable[[], None] = lambda: None) -> Iterator[Callable[[], bool]]:
    """A function that says whether Ctrl-C (SIGINT) or SIGTERM has come.

    The first calls `on_first`; the second raises `KeyboardInterrupt` at once.
    Outside the main thread signals do what they did before.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came = False

    def handle(number: int, frame: Any) -> None:
        nonlocal came
        if came:
            raise KeyboardInterrupt
        came = True
        on_first()

    old = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: came
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
