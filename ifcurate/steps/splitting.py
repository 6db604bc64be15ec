"""The split step on a run folder: labels beside the scores, with a separate manifest."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from ifcurate.errors import DataError, RunError
from ifcurate.options.base import takes_options
from ifcurate.options.split import SplitOptions
from ifcurate.phrases import count
from ifcurate.runs.run import Run
from ifcurate.runs.splits import split_paths
from ifcurate.split.cuts import rule_in_words
from ifcurate.split.rules import SplitCuts, SplitPlan, SplitSummary
from ifcurate.steps.decisions import write_options
from ifcurate.steps.rescored import Rescored
from ifcurate.storage.by_hand import (
    BY_HAND,
    apply_overrides,
    fingerprint_overrides,
    read_overrides,
)
from ifcurate.storage.files import read_table_manifest, readable_table, scan_table, sink_tables
from ifcurate.storage.manifest import Manifest, read_manifest
from ifcurate.storage.replacing import refuse_replacing, remove_partials
from ifcurate.storage.tables import SPLIT

#: Scores the rows near these cuts of a run again, as `ifcurate.steps.rescoring.Rescore.score` does.
RowScorer = Callable[[Run, SplitCuts], Rescored]


@takes_options(SplitOptions)
def split_run(
    run: Run,
    *,
    options: SplitOptions,
    rescore: RowScorer | None = None,
    name: str = "",
    folder: Path | None = None,
    overwrite: bool = False,
    command: str = "",
) -> tuple[SplitSummary, Manifest]:
    """Label the run's rows, and write `split.parquet` and `split.json`.

    `folder` is where the files are written, by default the run's folder.
    With `name`, the files are `split-NAME.parquet` and `split-NAME.json`, so that a run can
    have several splits. An earlier split is replaced, and the folders that were filtered by
    it are marked as stale. Another file of these names is replaced only with `overwrite`.

    The labels are those of `split_scores`. With `rescore`, the rows near the cut are scored
    again in float32, and the cut is made again with these numbers.

    Raises `RunError` when the run is unfinished, `DataError` when the scores cannot be split,
    and with `rescore` those of `Rescore.score`.
    """
    started = time.monotonic()
    run.check_whole()
    plan = SplitPlan.create(options)
    place = folder or run.folder
    path, manifest_path = (place / own.name for own in split_paths(run, name))
    _refuse_other_files(path, manifest_path, overwrite=overwrite)
    remove_partials(place)
    scores = run.scan_scores(place=True)
    with readable_table(run.scores_path):
        cuts = plan.find_cuts(scores)
    identity = {"scores": run.manifest.id, "asked": options.given(), "parameters": plan.parameters}
    before, again = cuts, None
    if rescore is not None:
        again = rescore(run, cuts)
        cuts = plan.find_cuts(again.replace_numbers(scores))
        given = {**options.given(), "rescore_band": again.band}
        identity |= {"asked": given, "rescored_by": dict(again.engine)}
    overrides = read_overrides(run.folder)
    if overrides:
        identity["overrides"] = fingerprint_overrides(overrides)
    manifest = Manifest.create(
        "split",
        identity,
        outputs={"split": path.name},
        formula=rule_in_words(plan.rule, cuts.cuts),
        notes=[note for cut in cuts.cuts for note in cut.notes],
        finished=True,
        command=command,
    )
    table = cuts.table()
    written = apply_overrides(again.mark_reasons(table) if again else table, overrides)
    sink_tables({path: written}, {"id": manifest.id, **identity})
    counts, n_by_hand = _count_labels(path)
    summary = cuts.summary(counts)
    manifest.counts = summary.counts()
    if "max_overlap" in plan.parameters:
        most = plan.parameters["max_overlap"]
        left_out = count(summary.n_left_out, "row")
        manifest.formula += f"; {left_out} left out with context_overlap above {most:g}"
    if again is not None:
        manifest.checks = {"rescored": again.as_dict(_count_changed(before, cuts))}
    if overrides:
        manifest.checks["set_by_hand"] = n_by_hand
        manifest.formula += f"; {count(n_by_hand, 'label')} set by hand"
    manifest.seconds = round(time.monotonic() - started, 3)
    manifest.write(manifest_path)
    mark_stale(run, name, manifest)
    run.touch()
    return summary, manifest


def _refuse_other_files(table: Path, manifest: Path, *, overwrite: bool) -> None:
    """Raise `DataError` for files of these names that no split wrote."""
    refuse_replacing(
        (table, manifest),
        ours=(table, manifest) if _is_split(table, manifest) else (),
        command="split",
        overwrite=overwrite,
        instead="name this split with --as",
    )


def _count_changed(before: SplitCuts, after: SplitCuts) -> int:
    """Return the number of rows whose labels differ by two cuts of the same rows."""
    labels, other = (cuts.labelled["label"].cast(pl.String) for cuts in (before, after))
    return int(labels.ne_missing(other).sum())


def _is_split(table: Path, manifest: Path) -> bool:
    """Return whether each file was written by a split, or does not exist."""
    try:
        made = not manifest.exists() or read_manifest(manifest).step == "split"
        return made and (not table.exists() or "scores" in read_table_manifest(table))
    except (RunError, OSError, ValueError, pl.exceptions.PolarsError):
        return False


def mark_stale(run: Run, name: str, split: Manifest) -> list[Path]:
    """Mark the manifests of folders that were filtered by an earlier split.

    Returns these folders.
    """
    stale = []
    for path in sorted((run.folder / "filtered").rglob("filter.json")):
        with contextlib.suppress(RunError, DataError):
            made = read_manifest(path)
            if made.identity.get("split_name", "") != name:
                continue
            if made.identity.get("split") != split.identity:
                when = split.created_at[:16].replace("T", " ")
                again = _filter_again(run, made)
                made.stale = f"the split was made again at {when} UTC; filter again: {again}"
                made.write(path)
                stale.append(path.parent)
            elif made.stale:
                made.stale = ""
                made.write(path)
    return stale


def _filter_again(run: Run, filtered: Manifest) -> str:
    """Return the command that filters the folder again."""
    split = filtered.identity.get("split_name", "")
    choice = write_options(filtered.identity["keep_labels"])
    words = [
        f"--run {shlex.quote(str(run.folder))}",
        *([f"--split {split}"] if split else []),
        choice,
    ]
    return f"ifcurate filter {' '.join(words)}"


def _count_labels(path: Path) -> tuple[dict[str, int], int]:
    """Return how many rows have each label, and how many labels were set by hand."""
    by_hand = pl.col("reason").str.starts_with(BY_HAND).sum()
    labels = scan_table(path, SPLIT).group_by("label").agg(pl.len(), by_hand)
    counted = labels.collect(engine="streaming")
    return dict(counted.select("label", "len").iter_rows()), int(counted["reason"].sum())
