"""Processes of one thread each that share the loaded model: one per core of a CPU.

The processes are forked from the one that holds the weights, so the weights exist once.
Several threads in one forward pass wait for each other at every operation; processes
do not.

Each process is a separate `ProcessPoolExecutor`, driven by a thread of one
`ThreadPoolExecutor`. One executor with many processes is not enough: when a process
dies, all its tasks fail alike, and it is unknown which pack the process had. loky
replaces dead processes, but each new one needs a pickled copy of the model.

A process may die because memory runs out, or because somebody ends it. The pack is
then tried again, while no other pack is computed.
"""

from __future__ import annotations

import contextlib
import multiprocessing as mp
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import torch

from ifcurate.engines.base import Float32Array
from ifcurate.engines.hf.prefix_tree import Pack
from ifcurate.errors import ModelError
from ifcurate.memory import free_memory

_MOST_DEATHS: Final = 40  # most deaths of processes on one pack, for other reasons than memory
_START_AGAIN: Final = "the scored rows are kept: start the same command again, with --threads 1"
_ENDED: Final = f"scoring processes: they were ended; {_START_AGAIN}"

Run = Callable[[Pack], list[Float32Array]]


class OutOfMemoryError(Exception):
    """A pack did not fit into memory. The engine always handles it."""


class TooSlowError(Exception):
    """A pack took more time than its rows may take. The engine always handles it."""


def can_fork() -> bool:
    """Return whether processes can share memory by forking here."""
    return sys.platform == "linux" and "fork" in mp.get_all_start_methods()


@dataclass(frozen=True, slots=True)
class _Worker:
    executor: ProcessPoolExecutor
    first: Future[int]  # its process id

    def end(self) -> None:
        """End the process, even in the middle of a pack."""
        with contextlib.suppress(BrokenProcessPool, OSError):
            os.kill(self.first.result(), signal.SIGTERM)
        self.executor.shutdown()


class WorkerPool:
    """Forked processes that score packs, in the order given."""

    def __init__(
        self,
        n_workers: int,
        run: Run,
        needs: Callable[[Pack], int],
        *,
        row_timeout: float | None = None,
    ) -> None:
        """`needs` estimates the bytes that a pack takes; `row_timeout` is in seconds.

        Raises `ModelError`.
        """
        self._row_timeout = row_timeout
        self._run = run
        self._needs = needs
        self._workers: list[_Worker] = []
        self._free: SimpleQueue[int] = SimpleQueue()  # numbers of workers
        self._taking = threading.Lock()
        self._changing = threading.Lock()
        self._closed = False
        try:
            for number in range(n_workers):
                self._workers.append(_start(run))
                self._free.put(number)
        except OSError as error:
            for worker in self._workers:
                worker.end()
            raise ModelError(
                f"scoring processes: cannot be started; found {error}, with {n_workers} wanted; "
                "use fewer --threads"
            ) from error
        self._threads = ThreadPoolExecutor(n_workers, thread_name_prefix="ifcurate-packs")

    def submit(self, pack: Pack) -> Future[list[Float32Array]]:
        """Queue a pack for scoring.

        The future raises `OutOfMemoryError` when the pack does not fit into memory,
        `TooSlowError` when it takes too long, and `ModelError` when a process fails for
        another reason.
        """
        return self._threads.submit(self._score, pack)

    def close(self) -> None:
        """End the processes. Unfinished packs are not computed."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._changing:
            self._closed = True
            for worker in self._workers:
                worker.end()
        self._threads.shutdown()

    def _score(self, pack: Pack) -> list[Float32Array]:
        limit = self._row_timeout
        seconds = None if limit is None else limit * len(pack.members)
        for n_deaths in range(_MOST_DEATHS):
            kills = _memory_kills()
            with self._take(alone=n_deaths > 0) as number:
                worker = self._workers[number]
                worker.first.result()  # it has begun, so the time is the pack's
                try:
                    return worker.executor.submit(_run_pack, pack).result(seconds)
                except TimeoutError:
                    worker.end()
                    self._replace(number)
                    raise TooSlowError from None
                except BrokenProcessPool:
                    self._replace(number)
                except (ModelError, OutOfMemoryError, TooSlowError):
                    raise
                except Exception as error:
                    if self._closed:  # before the process got this pack
                        raise ModelError(_ENDED) from None
                    raise ModelError(
                        "scoring process: failed; found "
                        f"{type(error).__name__}: {str(error)[:300]}; start the same command "
                        "again with --threads 1, and report it if it fails there too"
                    ) from error
            short = _memory_kills() > kills or free_memory() < self._needs(pack)
            if n_deaths and short:
                raise OutOfMemoryError
        raise ModelError(
            f"scoring processes: {_MOST_DEATHS} died on the same rows, although memory was free; "
            f"{_START_AGAIN} if nobody ended them"
        )

    @contextlib.contextmanager
    def _take(self, *, alone: bool) -> Iterator[int]:
        """The number of a worker.

        With `alone`, no other worker computes anything inside the block.
        """
        with contextlib.ExitStack() as stack:
            with self._taking:
                taken = [self._free.get() for _ in (self._workers if alone else [0])]
            for number in taken:
                stack.callback(self._free.put, number)
            yield taken[0]

    def _replace(self, number: int) -> None:
        with self._changing:
            if self._closed:
                raise ModelError(_ENDED)
            self._workers[number].executor.shutdown()
            try:
                self._workers[number] = _start(self._run)
            except OSError as error:
                raise ModelError(
                    f"scoring processes: one was ended and cannot be replaced; found {error}; "
                    f"{_START_AGAIN}"
                ) from error


def _start(run: Run) -> _Worker:
    executor = ProcessPoolExecutor(
        1, mp_context=mp.get_context("fork"), initializer=_begin, initargs=(run,)
    )
    with warnings.catch_warnings():
        # Python warns about threads (torch's, Arrow's), but these hold no lock that a worker needs.
        warnings.simplefilter("ignore", DeprecationWarning)
        return _Worker(executor, executor.submit(os.getpid))


#: Used in a worker's process only. It is inherited by forking, so the model is not pickled.
_here: list[Run] = []


def _begin(run: Run) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us, with the work saved
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    _here[:] = [run]
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = mp.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _run_pack(pack: Pack) -> list[Float32Array]:
    return _here[0](pack)


def _memory_kills() -> int:
    """Return how many processes the system has killed so far because memory ran out."""
    total = 0
    for path in ("/proc/vmstat", "/sys/fs/cgroup/memory.events"):
        with contextlib.suppress(OSError, ValueError):
            lines = [line.split() for line in Path(path).read_text().splitlines()]
            total += sum(int(line[1]) for line in lines if line[0] == "oom_kill")
    return total
