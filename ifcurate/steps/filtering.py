"""The filter step on a run folder: kept and dropped rows in files, with a manifest.

The step is skipped when its result exists and was made from the same scores and split.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from ifcurate.data.readers.files import Source
from ifcurate.errors import RunError
from ifcurate.models import model_folder
from ifcurate.options.base import takes_options
from ifcurate.options.filter import FilterOptions
from ifcurate.runs.reading import run_sources
from ifcurate.runs.run import Run, run_flag
from ifcurate.runs.splits import missing_split, read_split_manifest, split_paths
from ifcurate.steps.decisions import SCORE_COLUMNS, kept_labels
from ifcurate.steps.kept_rows import FilteredFiles, filtered_paths, write_filtered
from ifcurate.steps.splitting import split_run
from ifcurate.storage.by_hand import fingerprint_overrides, read_overrides
from ifcurate.storage.files import file_digest, read_table_slices
from ifcurate.storage.manifest import Manifest, find_manifest
from ifcurate.storage.replacing import refuse_replacing, remove_partials
from ifcurate.storage.tables import LABELS, SCORES, SPLIT


@dataclass(frozen=True, slots=True)
class FilterResult:
    """The result of a filter step, and its folder."""

    manifest: Manifest
    folder: Path
    split: Manifest  # the split that it used
    made_split: bool = False  # the run had no split, so the default one was made
    skipped: bool = False  # the result existed already

    def files(self, kind: Literal["kept", "dropped"]) -> dict[str, Path]:
        """Source name -> file."""
        outputs = self.manifest.outputs.items()
        prefix = f"{kind}:"
        return {n.removeprefix(prefix): self.folder / f for n, f in outputs if n.startswith(prefix)}


def _labelled_scores(run: Run, split: Path) -> Iterator[pl.DataFrame]:
    """Yield the SPLIT table with the numbers of the scores, which have the same rows, in slices."""
    place = ("id", "source", "row", "turn")
    labels = read_table_slices(split, SPLIT, SPLIT.names())
    numbers = read_table_slices(run.scores_path, SCORES, (*place, *SCORE_COLUMNS))
    for left, right in itertools.zip_longest(labels, numbers):
        if left is None or right is None or not left.select(place).equals(right.select(place)):
            raise RunError(
                f"{run.folder}: {split.name} and scores.parquet do not have the same rows; "
                f"make the split again: ifcurate split{run_flag(run)}"
            )
        yield left.hstack(right.select(SCORE_COLUMNS))


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
    """Write the kept rows as they were read, and the dropped rows with their reasons.

    The files are in the folders `kept` and `dropped` of `out`. `split` is the name of a split
    of the run; without a name, the default split is made if there is none. A split that is
    older than labels set by hand is made again. A result of the same scores and split is
    left as it is. Another result is replaced only with `overwrite`, or when it is stale and
    in the run's folder.

    Raises `RunError` when the data changed since it was scored, `DataError` when the result
    cannot be written.
    """
    started = time.monotonic()
    kept = kept_labels(options)
    run.check_whole()
    existing = read_split_manifest(run, split)
    split_manifest, labels = _usable_split(run, existing, split, out)
    _refuse_unscored(run)
    _refuse_nothing(split_manifest, kept)
    label = f"keep-{options.keep}" if options.keep else f"drop-{options.drop}"
    folder = out or run.folder / "filtered" / split / label
    identity = {
        "scores": run.manifest.identity,
        "split": split_manifest.identity,
        "split_name": split,
        "keep_labels": sorted(kept),
    }
    old = find_manifest(folder / "filter.json")
    if old is not None and old.identity == identity and old.matches_files(folder):
        return FilterResult(old, folder, split_manifest, existing is None, skipped=True)
    sources = run_sources(run)
    # A stale result in the run's own folder may be replaced; elsewhere the user may rely on it.
    replaced = old if old and (old.identity == identity or (not out and old.stale)) else None
    _clear_folder(folder, sources, replaced, overwrite=overwrite)
    scores = _labelled_scores(run, labels)
    limit = run.manifest.identity["limit"]
    files = write_filtered(sources, scores, kept, folder, limit=limit)
    manifest = _filter_manifest(run, split_manifest, files, folder, identity)
    manifest.seconds = round(time.monotonic() - started, 3)
    manifest.command = command
    manifest.write(folder / "filter.json")
    run.touch()
    return FilterResult(manifest, folder, split_manifest, existing is None)


def _usable_split(
    run: Run, existing: Manifest | None, name: str, out: Path | None
) -> tuple[Manifest, Path]:
    """Return the manifest and the table of the split to use; the default is made if there is none.

    It is made in `out` when the run's folder cannot be written.
    """
    table = split_paths(run, name)[0]
    if existing is not None:
        return _follow_overrides(run, existing, name), table
    if name:
        raise missing_split(run, name)
    if out is not None and not os.access(run.folder, os.W_OK):
        return split_run(run, folder=out)[1], out / table.name
    return split_run(run)[1], table


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
    checks = {
        "set_by_hand": split.checks.get("set_by_hand"),
        "model_folder": model_folder(run.manifest.identity["engine"], run.manifest.command),
    }
    return Manifest.create(
        "filter",
        identity,
        counts={"rows": sum(sums.values()), **sums, **dict(sorted(files.counts.items()))},
        outputs=names,
        digests={name: file_digest(folder / name) for name in names.values()},
        formula=f"{run.manifest.formula}; {split.formula}",
        checks={name: value for name, value in checks.items() if value},
        finished=True,
    )


def _follow_overrides(run: Run, existing: Manifest, name: str) -> Manifest:
    """Return the run's split, made again with the same options when labels were set by hand since.

    Raises `RunError` when that would need the model.
    """
    overrides = fingerprint_overrides(read_overrides(run.folder))
    if existing.identity.get("overrides", "") == overrides:
        return existing
    options = dict(existing.identity["asked"])
    band = options.pop("rescore_band", None)
    if band is not None:
        raise RunError(
            f"{run.folder}: labels were set by hand since the split, which scored rows again; "
            f"make it again first: ifcurate split --rescore-band {band}{run_flag(run)}"
        )
    return split_run(run, name=name, **options)[1]


def _refuse_unscored(run: Run) -> None:
    """Raise `RunError` when no row was scored: there is nothing to filter."""
    counts = run.manifest.counts
    if counts.get("scored") or not counts.get("rows"):
        return
    why = ", ".join(f"{n:,} {name}" for name, n in counts.items() if n and name != "rows")
    raise RunError(
        f"{run.folder}: no row was scored, so there is nothing to filter; found {why}; see why "
        "with `ifcurate inspect`, and score again"
    )


def _refuse_nothing(split: Manifest, kept: Collection[str]) -> None:
    """Raise `RunError` when no row has a label that is kept."""
    if any(split.counts.get(label, 0) for label in kept):
        return
    counts = ((name, split.counts.get(name, 0)) for name in LABELS)
    labelled = ", ".join(f"{n:,} {name}" for name, n in counts if n)
    raise RunError(
        f"filter: no row would be kept; the split found {labelled or 'no row'}, and "
        f"{' and '.join(sorted(kept))} is kept; "
        "try --drop non-context-critical, or another split"
    )
