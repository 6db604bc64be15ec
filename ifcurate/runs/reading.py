"""A finished run once more: the examples it scored, and the labels it has."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import polars as pl

from ifcurate.data.formats import Layout
from ifcurate.data.readers.rows import Source
from ifcurate.data.sources import Examples, fingerprint_source
from ifcurate.errors import RunError
from ifcurate.runs.run import Run
from ifcurate.storage.files import read_table, read_table_manifest
from ifcurate.storage.manifest import Manifest, read_manifest
from ifcurate.storage.tables import SPLIT

__all__ = [
    "read_split",
    "read_split_manifest",
    "run_examples",
    "run_sources",
    "split_paths",
    "stale_folders",
]


def run_sources(run: Run) -> list[Source]:
    """The run's inputs, checked to be what was scored.

    Raises `RunError` when a file has changed or is gone.
    """
    sources = []
    for known in run.manifest.identity["inputs"]:
        inputs = {key: value for key, value in known.items() if key != "layout"}
        source = Source(
            inputs["name"],
            inputs["format"],
            inputs.get("compression", ""),
            inputs.get("subset", ""),
            inputs.get("split", ""),
        )
        if source.format != "hub" and not source.path.exists():
            raise RunError(
                f"{source.name}: the scored data is not there any more (from {Path.cwd()}); "
                "put it back, or run from the folder that you scored in"
            )
        if fingerprint_source(source) != inputs:
            raise RunError(
                f"{source.name}: has changed since it was scored; score it again, "
                "or put the old file back"
            )
        sources.append(source)
    return sources


def run_examples(run: Run) -> Examples:
    """The run's examples once more, read as they were. Raises as `run_sources`."""
    identity = run.manifest.identity
    layouts = [known["layout"] for known in identity["inputs"]]
    return Examples(
        tuple(run_sources(run)),
        tuple(map(Layout.from_record, layouts)),
        identity["limit"],
    )


def split_paths(run: Run, name: str = "") -> tuple[Path, Path]:
    """The table and the manifest of a split; those of the nameless one by default.

    Raises `RunError` for a name that is no file name.
    """
    if name and not re.fullmatch(r"[\w-]+", name):
        raise RunError(f"split {name!r}: not a name; use letters, digits, hyphens and underscores")
    stem = f"split-{name}" if name else "split"
    return run.folder / f"{stem}.parquet", run.folder / f"{stem}.json"


def read_split(run: Run, name: str = "") -> tuple[pl.DataFrame, Manifest] | None:
    """The run's SPLIT table with its manifest; None when there is none for these scores."""
    manifest = read_split_manifest(run, name)
    if manifest is None:
        return None
    return read_table(split_paths(run, name)[0], SPLIT), manifest


def read_split_manifest(run: Run, name: str = "") -> Manifest | None:
    """What the run's split was made of and what it found; None as of `read_split`."""
    table, path = split_paths(run, name)
    if not path.exists() or not table.exists():
        return None
    manifest = read_manifest(path)
    # It may be of scores that have been made again since; and a split that was killed between
    # its two files leaves the table of one and the words of another.
    with contextlib.suppress(pl.exceptions.PolarsError, OSError):  # reading it says what is wrong
        if manifest.id != read_table_manifest(table).get("id"):
            return None
    return manifest if manifest.identity.get("scores") == run.manifest.id else None


def stale_folders(run: Run, split: str = "") -> list[Path]:
    """The folders in the run's that were filtered by an earlier split of this name."""
    found = []
    for path in sorted((run.folder / "filtered").rglob("filter.json")):
        with contextlib.suppress(RunError):
            made = read_manifest(path)
            if made.stale and made.identity.get("split_name", "") == split:
                found.append(path.parent)
    return found
