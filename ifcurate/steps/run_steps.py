"""The steps after scoring, on a run folder: split and filter.

Each writes its table or files beside the scores, with a manifest of its own
that says all that decided them; a step whose manifest and files already say the
same is not done again.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from ifcurate.data.readers.rows import Source
from ifcurate.errors import DataError, RunError
from ifcurate.options.base import takes_options
from ifcurate.options.filter import FilterOptions
from ifcurate.options.split import SplitOptions
from ifcurate.phrases import count
from ifcurate.runs.reading import run_examples, run_sources
from ifcurate.runs.run import Run
from ifcurate.runs.splits import read_split_manifest, split_paths
from ifcurate.split.cuts import Cut
from ifcurate.split.rules import SplitPlan, SplitSummary
from ifcurate.steps.decisions import SCORE_COLUMNS, Decision
from ifcurate.steps.filtering import (
    FilteredFiles,
    filtered_paths,
    write_filtered,
)
from ifcurate.steps.rescoring import Rescore, check_band, find_band, rescore_rows
from ifcurate.storage.files import (
    file_digest,
    read_table_manifest,
    read_table_slices,
    readable_table,
    scan_table,
    sink_table,
)
from ifcurate.storage.manifest import Manifest, read_manifest, software_versions, utc_now
from ifcurate.storage.overrides import (
    BY_HAND,
    apply_overrides,
    fingerprint_overrides,
    read_overrides,
)
from ifcurate.storage.replacing import refuse_replacing, remove_partials
from ifcurate.storage.tables import LABELS, SPLIT

__all__ = [
    "FilterResult",
    "filter_run",
    "mark_stale",
    "split_run",
]


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


def _manifest(step: str, identity: dict[str, Any], **more: Any) -> Manifest:
    now = utc_now()
    return Manifest(
        step=step,
        identity=identity,
        created_at=now,
        updated_at=now,
        versions=software_versions(),
        **more,
    )


def _refuse_shard(run: Run) -> None:
    shard = run.manifest.identity.get("shard")
    if shard:
        raise RunError(
            f"{run.folder}: holds shard {shard['index']} of {shard['of']}, not all rows; "
            "merge the shards first: ifcurate merge FOLDERS"
        )


def _touch(run: Run) -> None:
    """Make the run the newest: it is the one that was worked on last."""
    run.manifest.updated_at = utc_now()
    with contextlib.suppress(DataError):  # a run that cannot be written can be filtered elsewhere
        run.manifest.write(run.folder / "manifest.json")


@takes_options(SplitOptions)
def split_run(
    run: Run,
    *,
    options: SplitOptions,
    rescore: Rescore | None = None,
    name: str = "",
    overwrite: bool = False,
    command: str = "",
) -> tuple[SplitSummary, Manifest]:
    """Label the run's rows; writes `split.parquet` and `split.json`.

    With `name` they are `split-NAME.parquet` and `split-NAME.json`: several splits can
    stand side by side. A split of ours is replaced, and what was filtered by it is marked
    as stale; another file of these names is only replaced with `overwrite`.

    The labels are those of `split_scores`. With `rescore` the rows near the cut are
    scored again in float32, and cut again with these numbers. Raises `RunError` when the
    run is unfinished, `DataError` when nothing can be split; with `rescore` what
    `rescoring.rescore_rows` raises.
    """
    started = time.monotonic()
    _refuse_shard(run)
    run.check_finished()
    if rescore is not None:
        check_band(rescore.band, run.folder, run.manifest.identity["engine"])
    plan = SplitPlan.create(options)
    path, manifest_path = split_paths(run, name)
    ours = (path, manifest_path) if _is_split(path, manifest_path) else ()
    refuse_replacing((path, manifest_path), ours=ours, command="split", overwrite=overwrite)
    remove_partials(run.folder)
    scores = run.scan_scores(place=True)
    before, again = None, None
    with readable_table(run.scores_path):
        cuts = plan.find_cuts(scores)
    identity = {"scores": run.manifest.id, "asked": options.given(), "parameters": plan.parameters}
    if rescore is not None:
        before = cuts.table(scores)
        places = find_band(run, cuts.cuts, rescore.band)
        again = rescore_rows(run, places, rescore, lambda: run_examples(run))
        scores = again.replace_numbers(scores)
        cuts = plan.find_cuts(scores)
        asked = {**options.given(), "rescore_band": rescore.band}
        identity |= {"asked": asked, "rescored_by": dict(again.engine)}
    overrides = read_overrides(run.folder)
    if overrides:
        identity["overrides"] = fingerprint_overrides(overrides)
    manifest = _manifest(
        "split",
        identity,
        outputs={"split": path.name},
        formula="context-critical where " + _rule_in_words(plan.rule, cuts.cuts),
        notes=[note for cut in cuts.cuts for note in cut.notes],
        finished=True,
        command=command,
    )
    table = cuts.table(scores)
    written = apply_overrides(again.mark_reasons(table) if again else table, overrides)
    sink_table(written, path, {"id": manifest.id, **identity})
    found = cuts.summary(scores, _count_labels(path))
    manifest.counts = found.counts()
    if before is not None and again is not None:
        labels = [frame.select("label").collect(engine="streaming") for frame in (before, table)]
        n_changed = int((labels[0]["label"] != labels[1]["label"]).sum())
        manifest.checks = {"rescored": again.as_dict(n_changed)}
    if overrides:
        n_by_hand = _count_by_hand(path)
        manifest.checks["set_by_hand"] = n_by_hand
        manifest.formula += f"; {count(n_by_hand, 'label')} set by hand"
    manifest.seconds = round(time.monotonic() - started, 3)
    manifest.write(manifest_path)
    mark_stale(run, name, manifest)
    _touch(run)
    return found, manifest


def _is_split(table: Path, manifest: Path) -> bool:
    """Whether both are what a split of ours wrote, or are not there."""
    try:
        made = not manifest.exists() or read_manifest(manifest).step == "split"
        return made and (not table.exists() or "scores" in read_table_manifest(table))
    except (RunError, OSError, ValueError, pl.exceptions.PolarsError):
        return False


def mark_stale(run: Run, name: str, split: Manifest) -> list[Path]:
    """Say in their manifests which filtered folders of the run are of an earlier split.

    Returns these folders.
    """
    found = []
    for path in sorted((run.folder / "filtered").rglob("filter.json")):
        with contextlib.suppress(RunError, DataError):
            made = read_manifest(path)
            if made.identity.get("split_name", "") != name:
                continue
            if made.identity.get("split") != split.identity:
                made.stale = f"the split was made again at {split.created_at}"
                made.write(path)
                found.append(path.parent)
            elif made.stale:
                made.stale = ""
                made.write(path)
    return found


def _count_labels(path: Path) -> dict[str, int]:
    labels = scan_table(path, SPLIT).group_by("label").len().collect(engine="streaming")
    return dict(labels.iter_rows())


def _count_by_hand(path: Path) -> int:
    by_hand = scan_table(path, SPLIT).select(pl.col("reason").str.starts_with(BY_HAND).sum())
    return int(by_hand.collect(engine="streaming").item())


def _rule_in_words(rule: str, cuts: Sequence[Cut]) -> str:
    """The cuts as the manifest states them, groups and length bins named.

    A row must pass all tests of its own group and bin; a group's cut that its bins
    replace is none of them.
    """
    binned = {cut.group for cut in cuts if cut.length_bin}
    tests: dict[tuple[str, str], list[str]] = {}
    for cut in cuts:
        if cut.threshold is not None and (cut.length_bin or cut.group not in binned):
            place = ("" if cut.group == "all" else cut.group, cut.length_bin)
            tests.setdefault(place, []).append(f"{cut.statistic} > {cut.threshold:.6g}")
    if not tests:
        return f"nothing to cut [rule {rule}]"
    told = []
    for place, passed in tests.items():
        where = ", ".join(filter(None, place))
        told.append(" and ".join(passed) + (f" ({where})" if where else ""))
    return f"{'; '.join(told)} [rule {rule}]"


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
    _refuse_shard(run)
    run.check_finished()
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
    _touch(run)
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
    return _manifest(
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
