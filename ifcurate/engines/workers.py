"""Processes of one thread each that share the loaded model: one per core of a CPU.

They are forked from the process that holds the weights, so these exist once.
Several threads in one forward pass wait for each other at every operation;
processes do not.
"""

from __future__ import annotations

import contextlib
import multiprocessing as mp
import signal
import sys
import warnings
import weakref
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, Final

from ifcurate.engines.base import Float32Array
from ifcurate.engines.hf_runner import OutOfMemoryError
from ifcurate.engines.packing import Pack
from ifcurate.errors import ModelError

__all__ = ["WorkerPool", "can_fork"]

_JOIN_S: Final = 2.0

Run = Callable[[Pack], list[Float32Array]]


def can_fork() -> bool:
    """Whether processes can share memory by forking here."""
    return sys.platform == "linux" and "fork" in mp.get_all_start_methods()


class WorkerPool:
    """Forked processes that score packs; closed when it is no longer used."""

    def __init__(self, n_workers: int, run: Run) -> None:
        self._run = run
        self._workers: list[tuple[Any, Connection]] = []
        for _ in range(n_workers):
            self._start()
        self._finalizer = weakref.finalize(self, _stop, self._workers)

    def __len__(self) -> int:
        return len(self._workers)

    def close(self) -> None:
        """End the processes."""
        self._finalizer()

    def run(self, packs: Sequence[Pack]) -> list[list[Float32Array] | None]:
        """Score packs, results in their order; None for one that ran out of memory.

        A process that the system ends (which is how Linux answers a lack of
        memory) counts as that, and is replaced. Raises `ModelError` when a
        process fails otherwise.
        """
        results: list[list[Float32Array] | None] = [None] * len(packs)
        waiting = list(range(len(packs)))[::-1]
        busy: dict[Connection, int] = {}
        for _, connection in list(self._workers):
            self._give(connection, waiting, packs, busy)
        try:
            while busy:
                for ready in wait(list(busy)):
                    assert isinstance(ready, Connection)
                    place = busy.pop(ready)
                    try:
                        kind, answer = ready.recv()
                    except (EOFError, ConnectionError):
                        ready = self._replace(ready)
                        kind, answer = "memory", None
                    if kind == "error":
                        raise ModelError(f"scoring process: failed; found {answer}; see above")
                    results[place] = answer
                    self._give(ready, waiting, packs, busy)
        except BaseException:
            # Answers still under way would be taken for those of the next call.
            self.close()
            raise
        return results

    def _give(
        self,
        connection: Connection,
        waiting: list[int],
        packs: Sequence[Pack],
        busy: dict[Connection, int],
    ) -> None:
        if waiting:
            place = waiting.pop()
            connection.send(packs[place])
            busy[connection] = place

    def _start(self) -> Connection:
        context = mp.get_context("fork")
        ours, theirs = context.Pipe()
        held = [c for _, c in self._workers] + [ours]
        process = context.Process(target=_work, args=(theirs, held, self._run), daemon=True)
        with warnings.catch_warnings():
            # The threads it warns of (torch's, Arrow's) do not hold what a worker needs.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        theirs.close()
        self._workers.append((process, ours))
        return ours

    def _replace(self, dead: Connection) -> Connection:
        for i, (process, connection) in enumerate(self._workers):
            if connection is dead:
                connection.close()
                process.join(_JOIN_S)
                del self._workers[i]
                break
        return self._start()


def _work(connection: Connection, inherited: list[Connection], run: Run) -> None:
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us, with the work saved
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
        except Exception as error:
            answer = ("error", f"{type(error).__name__}: {str(error)[:300]}")
        connection.send(answer)


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
