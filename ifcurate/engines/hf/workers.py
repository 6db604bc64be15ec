"""Processes of one thread each that share the loaded model: one per core of a CPU.

They are forked from the process that holds the weights, so these exist once.
Several threads in one forward pass wait for each other at every operation;
processes do not. A thread of ours hands out the packs, so that a process that is
done has its next one at once, whatever the main thread is doing.
"""

from __future__ import annotations

import contextlib
import multiprocessing as mp
import os
import signal
import sys
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from multiprocessing.connection import Connection, wait
from typing import Any, Final

from ifcurate.engines.base import Float32Array
from ifcurate.engines.hf.packing import Pack
from ifcurate.engines.hf.runner import OutOfMemoryError
from ifcurate.errors import ModelError

__all__ = ["Answer", "WorkerPool", "can_fork"]

_JOIN_S: Final = 2.0

Run = Callable[[Pack], list[Float32Array]]
#: Of one pack; None when it ran out of memory.
Answer = Future[list[Float32Array] | None]


def can_fork() -> bool:
    """Whether processes can share memory by forking here."""
    return sys.platform == "linux" and "fork" in mp.get_all_start_methods()


class WorkerPool:
    """Forked processes that score packs; closed when it is no longer used."""

    def __init__(self, n_workers: int, run: Run) -> None:
        self._office = _Office(n_workers, run)
        # The office must not know the pool: it would keep it alive.
        self._finalizer = weakref.finalize(self, self._office.close, os.getpid())

    def __len__(self) -> int:
        return len(self._office.workers)

    def close(self) -> None:
        """End the processes; what was not answered is not computed."""
        self._finalizer()

    def submit(self, packs: Sequence[Pack]) -> list[Answer]:
        """Have packs scored, after those that were given before; see `run`."""
        return self._office.submit(packs)

    def run(self, packs: Sequence[Pack]) -> list[list[Float32Array] | None]:
        """Score packs, results in their order; None for one that ran out of memory.

        A process that the system ends (which is how Linux answers a lack of
        memory) counts as that, and is replaced. Raises `ModelError` when a
        process fails otherwise; the pool is closed then.
        """
        answers = self.submit(packs)
        try:
            return [answer.result() for answer in answers]
        except BaseException:
            self.close()
            raise


class _Office:
    """Who works, on what, and what waits. All but `submit` and `close` is the thread's alone."""

    def __init__(self, n_workers: int, run: Run) -> None:
        self._run = run
        self.workers: list[tuple[Any, Connection]] = []
        try:
            self._idle = [self._start() for _ in range(n_workers)]
        except OSError as error:
            _stop(self.workers)
            raise ModelError(
                f"scoring processes: cannot be started; found {error}, with {n_workers} wanted; "
                "use fewer --threads"
            ) from error
        self._busy: dict[Connection, tuple[Pack, Answer]] = {}
        self._waiting: deque[tuple[Pack, Answer]] = deque()
        self._bell, self._ring = mp.Pipe(duplex=False)
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="ifcurate-packs", daemon=True)
        self._thread.start()

    def submit(self, packs: Sequence[Pack]) -> list[Answer]:
        answers: list[Answer] = [Future() for _ in packs]
        self._waiting.extend(zip(packs, answers, strict=True))
        if self._closing:
            self._refuse_all("they have been ended")
        else:
            self._ring.send_bytes(b"!")
        return answers

    def close(self, owner: int) -> None:
        """End the thread, then the processes; nothing in a process forked from the owner."""
        if os.getpid() != owner:
            return
        self._closing = True
        self._ring.send_bytes(b"!")
        if threading.current_thread() is not self._thread:  # garbage is collected in any thread
            self._thread.join()
        for process, connection in self.workers:
            if connection in self._busy:
                process.terminate()  # nobody waits for its answer
        self._refuse_all("they were ended")
        for connection in (self._bell, self._ring):
            connection.close()
        _stop(self.workers)

    def _refuse_all(self, found: str) -> None:
        """Nobody may wait for ever."""
        refused = list(self._busy.values())
        self._busy.clear()
        # One by one: what `submit` adds meanwhile is not to be lost.
        with contextlib.suppress(IndexError):
            while True:
                refused.append(self._waiting.popleft())
        for _, answer in refused:
            with contextlib.suppress(InvalidStateError):  # cancelled
                answer.set_exception(
                    ModelError(
                        f"scoring processes: cannot go on; found that {found}; what is scored is "
                        "kept: start the same command again, with --threads 1 if it happens again"
                    )
                )

    def _serve(self) -> None:
        try:
            while not self._closing:
                while self._idle and self._waiting:
                    self._give(self._idle.pop(), *self._waiting.popleft())
                for ready in wait([self._bell, *self._busy]):
                    assert isinstance(ready, Connection)
                    if ready is self._bell:
                        self._bell.recv_bytes()
                    else:
                        self._take(ready)
        except Exception as error:  # such as a fork that the system refuses
            self._closing = True
            self._refuse_all(f"{type(error).__name__}: {error}")

    def _give(self, connection: Connection, pack: Pack, answer: Answer) -> None:
        if not answer.set_running_or_notify_cancel():
            self._idle.append(connection)
            return
        self._busy[connection] = pack, answer
        try:
            connection.send(pack)
        except OSError:  # it was ended while it had nothing to do
            fresh = self._replace(connection)
            self._busy[fresh] = self._busy.pop(connection)
            fresh.send(pack)

    def _take(self, connection: Connection) -> None:
        idle = connection
        try:
            kind, found = connection.recv()
        except (EOFError, OSError):
            idle = self._replace(connection)
            kind, found = "memory", None
        # Not earlier: what is busy is refused when there is no replacement.
        _, answer = self._busy.pop(connection)
        self._idle.append(idle)
        if kind == "error":
            answer.set_exception(found)
        else:
            answer.set_result(found)

    def _start(self) -> Connection:
        context = mp.get_context("fork")
        ours, theirs = context.Pipe()
        held = [c for _, c in self.workers] + [ours]
        process = context.Process(target=_work, args=(theirs, held, self._run), daemon=True)
        with warnings.catch_warnings():
            # The threads it warns of (torch's, Arrow's) do not hold what a worker needs.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        theirs.close()
        self.workers.append((process, ours))
        return ours

    def _replace(self, dead: Connection) -> Connection:
        for i, (process, connection) in enumerate(self.workers):
            if connection is dead:
                connection.close()
                process.join(_JOIN_S)
                del self.workers[i]
                break
        return self._start()


def _work(connection: Connection, inherited: list[Connection], run: Run) -> None:
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us, with the work saved
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for other in inherited:
        other.close()
    torch.set_num_threads(1)
    while True:
        try:
            pack = connection.recv()
        except (EOFError, ConnectionError):
            return
        if pack is None:
            return
        try:
            answer: tuple[str, Any] = ("done", run(pack))
        except OutOfMemoryError:
            answer = ("memory", None)
        except ModelError as error:
            answer = ("error", ModelError(str(error)))
        except Exception as error:
            said = f"{type(error).__name__}: {str(error)[:300]}"
            answer = (
                "error",
                ModelError(
                    f"scoring process: failed; found {said}; start the same command again with "
                    "--threads 1, and report it if it fails there too"
                ),
            )
        try:
            connection.send(answer)
        except OSError:
            return  # nobody waits for it any more


def _stop(workers: list[tuple[Any, Connection]]) -> None:
    for _, connection in workers:
        with contextlib.suppress(OSError, ValueError):
            connection.send(None)
        connection.close()
    for process, _ in workers:
        process.join(_JOIN_S)
        if process.is_alive():
            process.terminate()
            process.join(_JOIN_S)
    workers.clear()
