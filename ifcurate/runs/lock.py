"""One process at a time works on a run folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ifcurate.errors import DataError, RunError

__all__ = ["lock_run"]


@contextlib.contextmanager
def lock_run(folder: Path) -> Iterator[None]:
    """Be the only process that works on a run. Raises `RunError`, `DataError`."""
    import filelock

    lock = filelock.FileLock(folder / ".lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout as error:
        raise RunError(
            f"{folder}: another process is working on this run; wait for it or stop it"
        ) from error
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written: {error.strerror}; choose another folder with --out"
        ) from error
    try:
        yield
    finally:
        lock.release()
