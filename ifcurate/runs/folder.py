"""A run folder: its manifest, its owner, and the files that a run may remove."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ifcurate.errors import DataError, RunError
from ifcurate.phrases import count
from ifcurate.prompts.rules import without_rules
from ifcurate.runs.parts import Parts
from ifcurate.storage.files import file_digest, refuse_unwritable, writable
from ifcurate.storage.manifest import Manifest, find_manifest, read_manifest, utc_now
from ifcurate.storage.replacing import remove_partials

OUTPUTS: Final = {
    "scores": "scores.parquet",
    "tokens": "tokens.parquet",
    "quarantine": "quarantine.jsonl",
}
#: Subfolder of the tables that replace those of the run; complete when it has a manifest.
REPLACING: Final = ".replacing"
FROM_CACHE: Final = "scored before, taken from the cache"
FORMULA: Final = "context_gain = loss_without_context - loss_with_context, nats per response token"


@contextlib.contextmanager
def lock_run(folder: Path) -> Iterator[None]:
    """Lock a run, so that no other process works on it, and clean up after a killed process.

    Raises `RunError`, `DataError`.
    """
    import filelock

    lock = filelock.FileLock(folder / ".lock", timeout=0)
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            owned = lock.acquire()
        except filelock.Timeout as error:
            raise RunError(
                f"{folder}: another process is working on this run; wait for it or stop it"
            ) from error
    with owned:
        remove_partials(folder)
        replace_tables(folder)
        yield


def replace_tables(folder: Path) -> None:
    """Move the new tables of a run into place, the manifest last. Incomplete ones are removed."""
    new = folder / REPLACING
    if (new / "manifest.json").exists():
        with writable(folder):
            for path in sorted(new.iterdir(), key=lambda path: path.name == "manifest.json"):
                path.replace(folder / path.name)
    shutil.rmtree(new, ignore_errors=True)


def is_read_only(folder: Path) -> bool:
    """Return whether the folder holds a finished run and cannot be written to."""
    made = find_manifest(folder / "manifest.json")
    return made is not None and made.finished and not os.access(folder, os.W_OK)


def refuse_run(folder: Path) -> None:
    """Raise `DataError` where a run cannot be written, unless a finished one is there."""
    if not is_read_only(folder):
        refuse_unwritable(folder)


def refuse_foreign(folder: Path) -> None:
    """Raise `RunError` when the folder holds files with a run's names but no manifest."""
    manifest = folder / "manifest.json"
    if manifest.exists():
        read_manifest(manifest)  # raises an error if it is not a run's manifest
        return
    names = [n for n in ("parts", *OUTPUTS.values()) if (folder / n).exists()]
    if names:
        raise RunError(
            f"{folder}: holds {', '.join(names)} and no manifest of a run; they would be "
            "replaced; choose another folder with --out, or move them away"
        )


def remove_run(folder: Path) -> None:
    """Remove the files of a run, and nothing else: the folder may hold other files of the user."""
    if not (folder / "manifest.json").exists():
        return
    for name in OUTPUTS.values():
        (folder / name).unlink(missing_ok=True)
    Parts(folder / "parts", tokens=False).remove()
    (folder / "manifest.json").unlink()  # last: without it, the other files are nobody's


@contextlib.contextmanager
def open_run(
    folder: Path, identity: dict[str, Any], command: str, *, overwrite: bool
) -> Iterator[Manifest]:
    """Lock a run for this process, and return its manifest.

    `overwrite` removes the run that is in the folder. Raises `RunError` for files of another run
    or while another process works on it, `DataError` when the folder cannot be written.
    """
    refuse_foreign(folder)
    reads = is_read_only(folder) and not overwrite
    with contextlib.nullcontext() if reads else lock_run(folder):
        if overwrite:
            remove_run(folder)
        yield open_manifest(folder, identity, command)


def open_manifest(folder: Path, identity: dict[str, Any], command: str) -> Manifest:
    """Return the manifest in the folder, or a new one. Raises `RunError` for another run's."""
    path = folder / "manifest.json"
    if not path.exists():
        return Manifest.create("score", identity, formula=FORMULA, command=command)
    manifest = read_manifest(path)
    if differences := run_differences(without_rules(manifest.identity), without_rules(identity)):
        raise RunError(
            f"{folder}: holds another run ({'; '.join(differences[:4])}); scores of different runs "
            "are never mixed: choose another --out, or give --overwrite"
        )
    if manifest.identity != identity:
        raise RunError(
            f"{folder}: was scored by {manifest.made_by}, whose rules may find other contexts; "
            "scores of different rules are never mixed: use that version, or give --overwrite to "
            "score again (prompts that are the same are taken from the cache)"
        )
    if manifest.finished:
        if not (folder / "scores.parquet").exists():
            raise RunError(f"{folder}: scores.parquet is missing; give --overwrite to score again")
        manifest.updated_at = utc_now()  # the run was requested again, so it is the newest one
        with contextlib.suppress(DataError):  # the folder is read-only
            manifest.write(path)
    return manifest


def run_differences(old: Any, new: Any, place: str = "") -> list[str]:
    """Return where two identities differ, in words."""
    if old == new:
        return []
    entries = _paired_entries(old, new, place)
    if entries is None:
        return [f"{place}: there {_short(old)}, now {_short(new)}"]
    return [difference for entry in entries for difference in run_differences(*entry)]


def _paired_entries(old: Any, new: Any, place: str) -> list[tuple[Any, Any, str]] | None:
    """Return the entries of two objects or lists with their places; None for other values."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        return [(old.get(k), new.get(k), f"{place}.{k}" if place else k) for k in keys]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [(a, b, f"{place}[{i}]") for i, (a, b) in enumerate(zip(old, new, strict=True))]
    return None


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def seal_manifest(folder: Path, manifest: Manifest) -> None:
    """Mark the run as finished, with the digests of its files."""
    names = {what: name for what, name in OUTPUTS.items() if (folder / name).exists()}
    manifest.outputs = names
    manifest.digests = {name: file_digest(folder / name) for name in names.values()}
    manifest.finished = True
    manifest.updated_at = utc_now()
    manifest.write(folder / "manifest.json")


def cache_note(n: int) -> str:
    """Return the note of a run of which `n` examples were scored before."""
    return f"{count(n, 'example')} {FROM_CACHE}"
