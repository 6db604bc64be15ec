"""The filter step on a run folder: kept and dropped rows in files, with a manifest.

A step whose manifest and files already say the same is not done again.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from ifcurate.data.readers.rows import Source
from ifcurate.errors import RunError
from ifcurate.options.base import takes_options
from ifcurate.options.filter import FilterOptions
from ifcurate.runs.reading import run_sources
from ifcurate.runs.run import Run
from ifcurate.runs.splits import read_split_manifest, split_paths
from ifcurate.steps.decisions import SCORE_COLUMNS, Decision
from ifcurate.steps.kept_rows import (
    FilteredFiles,
    filtered_paths,
    write_filtered,
)
from ifcurate.steps.splitting import split_run
from ifcurate.storage.files import (
    file_digest,
    read_table_slices,
)
from ifcurate.storage.manifest import Manifest, read_manifest
from ifcurate.storage.overrides import (
    fingerprint_overrides,
    read_overrides,
)
from ifcurate.storage.replacing import refuse_replacing, remove_partials
from ifcurate.storage.tables import LABELS, SPLIT

__all__ = ["FilterResult", "filter_run"]


@dataclass(frozen=True, slots=True)
class FilterResult:
    """What a filter step kept and dropped, and where it is."""

    manifest: Manifest
    folder: Path
    split: Manifest  # the split that it used
    made_split: bool = False  # there was none, so the default was made
    skipped: bool = False  # it was there already

    def files(self, kind: Literal["kept", "dropped"]) -> dict[str, Path]:
        """Source name -> file."""
        named = self.manifest.outputs.items()
        mark = f"{kind}:"
        return {n.removeprefix(mark): self.folder / f for n, f in named if n.startswith(mark)}


def _labelled_scores(run: Run, split: Path) -> Iterator[pl.DataFrame]:
    """The SPLIT table with the numbers of the scores, which has the same rows, in stretches."""
    place = ("id", "source", "row", "turn")
    labels = read_table_slices(split, tuple(SPLIT))
    numbers = read_table_slices(run.scores_path, (*place, *SCORE_COLUMNS))
    for mine, other in itertools.zip_longest(labels, numbers):
        if mine is None or other is None or not mine.select(place).equals(other.select(place)):
            raise RunError(
                f"{run.folder}: {split.name} and scores.parquet do not have the same rows; "
                "make the split again: ifcurate split"
            )
        yield mine.hstack(other.select(SCORE_COLUMNS))


@takes_options(FilterOptions)
def filter_run(
    run: Run,
    *,
    options: FilterOptions,
    out: Path | None = None,
    split: str = "",
    overwrite: bool = False,
    command: str = "",
) -> FilterResult:
    """Write the kept rows as they were read, the dropped ones with their reasons.

    They are in the folders `kept` and `dropped` of `out`. Uses the run's split of the name
    `split`, or makes the default one where there is none without a name; a split that is
    older than labels set by hand is made again. What is there already, made from the same,
    is left. What is made from something else is only replaced with `overwrite`, or when it
    lies in the run's folder and is stale. Raises `RunError` when the data changed since it
    was scored, `DataError` when the result cannot be written.
    """
    started = time.monotonic()
    decision = Decision.create(options)
    run.check_whole()
    found = read_split_manifest(run, split)
    split_manifest = _usable_split(run, found, split)
    _refuse_nothing(split_manifest, decision)
    label = f"keep-{options.keep}" if options.keep else f"drop-{options.drop}"
    folder = out or run.folder / "filtered" / split / label
    identity = {
        "scores": run.manifest.identity,
        "split": split_manifest.identity,
        "split_name": split,
        "keep_labels": sorted(decision.keep_labels),
    }
    old = _read_filter(folder)
    if old is not None and old.identity == identity and _is_whole(folder, old):
        return FilterResult(old, folder, split_manifest, found is None, skipped=True)
    sources = run_sources(run)
    # A stale result in the run's own folder may be replaced; elsewhere the user may rely on it.
    replaced = old if old and (old.identity == identity or (not out and old.stale)) else None
    _clear_folder(folder, sources, replaced, overwrite=overwrite)
    scores = _labelled_scores(run, split_paths(run, split)[0])
    limit = run.manifest.identity["limit"]
    files = write_filtered(sources, scores, decision, folder, limit=limit)
    manifest = _filter_manifest(run, split_manifest, files, folder, identity)
    manifest.seconds = round(time.monotonic() - started, 3)
    manifest.command = command
    manifest.write(folder / "filter.json")
    run.touch()
    return FilterResult(manifest, folder, split_manifest, found is None)


def _usable_split(run: Run, found: Manifest | None, name: str) -> Manifest:
    """The manifest of the split to use; the default split is made where none has a name."""
    if found is not None:
        return _follow_overrides(run, found, name)
    if name:
        raise RunError(
            f"{run.folder}: has no split {name!r} of its scores; "
            f"make it: ifcurate split --as {name}"
        )
    return split_run(run)[1]


def _clear_folder(
    folder: Path, sources: Sequence[Source], old: Manifest | None, *, overwrite: bool
) -> None:
    """Refuse to replace files other than those of `old`, and remove partial files."""
    paths = itertools.chain.from_iterable(filtered_paths(sources, folder).values())
    refuse_replacing(
        [folder / "filter.json", *paths],
        ours=[folder / name for name in ("filter.json", *old.digests)] if old else (),
        command="filter",
        overwrite=overwrite,
    )
    for place in (folder, folder / "kept", folder / "dropped"):
        remove_partials(place)


def _filter_manifest(
    run: Run, split: Manifest, files: FilteredFiles, folder: Path, identity: dict[str, Any]
) -> Manifest:
    sums = {kind: files.counts[kind] for kind in ("kept", "dropped", "quarantined")}
    names = {what: str(path.relative_to(folder)) for what, path in files.files.items()}
    return Manifest.create(
        "filter",
        identity,
        counts={"rows": sum(sums.values()), **sums, **dict(sorted(files.counts.items()))},
        outputs=names,
        digests={name: file_digest(folder / name) for name in names.values()},
        formula=f"{run.manifest.formula}; {split.formula}",
        checks={k: n for k, n in split.checks.items() if k == "set_by_hand"},
        finished=True,
    )


def _follow_overrides(run: Run, found: Manifest, name: str) -> Manifest:
    """The run's split, made again with the same options when labels were set by hand since.

    Raises `RunError` when that would need the model.
    """
    if found.identity.get("overrides", "") == fingerprint_overrides(read_overrides(run.folder)):
        return found
    asked = dict(found.identity["asked"])
    if "rescore_band" in asked:
        raise RunError(
            f"{run.folder}: labels were set by hand since the split, which scored rows again; "
            f"make it again first: ifcurate split --rescore-band {asked['rescore_band']}"
        )
    return split_run(run, name=name, **asked)[1]


def _refuse_nothing(split: Manifest, decision: Decision) -> None:
    """Raise `RunError` when no row has a label that is kept."""
    if any(split.counts.get(label, 0) for label in decision.keep_labels):
        return
    counts = ((name, split.counts.get(name, 0)) for name in LABELS)
    found = ", ".join(f"{n:,} {name}" for name, n in counts if n)
    raise RunError(
        f"filter: no row would be kept; the split found {found or 'no row'}, and "
        f"{' and '.join(sorted(decision.keep_labels))} is kept; "
        "try --drop non-context-critical, or another split"
    )


def _read_filter(folder: Path) -> Manifest | None:
    """The manifest of a filtering of ours."""
    try:
        manifest = read_manifest(folder / "filter.json")
    except RunError:
        return None
    return manifest if manifest.step == "filter" else None


def _is_whole(folder: Path, manifest: Manifest) -> bool:
    """Whether all its files are there as they were written."""
    try:
        return all(file_digest(folder / f) == d for f, d in manifest.digests.items())
    except OSError:
        return False
