"""Stop long work on a signal, after the current step."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def stop_on_signal(on_first: Callable[[], None] = lambda: None) -> Iterator[Callable[[], bool]]:
    """A function that returns whether Ctrl-C (SIGINT), SIGTERM or SIGHUP has arrived.

    SIGHUP arrives when a terminal closes. It stays ignored if it is ignored (`nohup`). The
    first signal calls `on_first`; the second raises `KeyboardInterrupt` at once. The interrupt has
    a note that says how to resume. Outside the main thread, signal handlers do not change.
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
        with contextlib.suppress(OSError):  # the terminal may be gone
            on_first()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    old = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield lambda: came
    except KeyboardInterrupt as error:
        error.add_note("finished work is kept; run the same command to resume")
        raise
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
