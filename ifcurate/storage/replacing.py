"""A command replaces or removes only files that it wrote itself."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from ifcurate.errors import DataError
from ifcurate.storage.manifest import read_manifest

_PARTIAL: Final = re.compile(r"\..+\.\d+\.partial")


def refuse_replacing(
    files: Iterable[Path],
    *,
    ours: Container[Path] = (),
    command: str,
    overwrite: bool = False,
    instead: str = "choose another folder with --out",
) -> None:
    """Raise `DataError` for a file that exists, unless it is in `ours`.

    `ours` are the files that the same command wrote for the same data and settings. `instead`
    is what the user can do without replacing the file.
    """
    for path in files:
        if not overwrite and path not in ours and os.path.lexists(path):
            raise DataError(
                f"{path}: exists already and was not written by `ifcurate {command}` for the "
                f"same data and settings; give --overwrite to replace it, or {instead}"
            )


def refuse_other(path: Path, identity: Mapping[str, Any], *, overwrite: bool = False) -> None:
    """Raise `DataError` when there is a finished result of another identity, by its manifest."""
    if overwrite or not path.exists():
        return
    manifest = read_manifest(path)
    if manifest.finished and manifest.identity != identity:
        raise DataError(
            f"{path.parent}: holds the result of other data or settings; give --overwrite to "
            "replace it, or choose another folder with --out"
        )


def remove_partials(folder: Path) -> None:
    """Remove the partial files of killed processes from a folder.

    A file that a running process writes is locked (`files.atomic_file`) and stays, also if the
    process runs on another machine.
    """
    for path in folder.glob(".*.partial"):
        if _PARTIAL.fullmatch(path.name):
            with contextlib.suppress(OSError), path.open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
