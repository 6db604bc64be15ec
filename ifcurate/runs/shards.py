"""Merge the shards of a run (`--shard I/N`) into the whole run.

A shard holds every N-th chunk of the rows. Merging sorts the rows of all shards by their places in
the data, in which each shard already has its rows. The merged tables equal those of a run without
shards, byte for byte.
"""

from __future__ import annotations

import functools
import heapq
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from ifcurate.errors import RunError
from ifcurate.prompts.rules import without_rules
from ifcurate.runs.folder import FROM_CACHE, cache_note, open_run, run_differences, seal_manifest
from ifcurate.runs.join import join_tables, repeat_for_tokens
from ifcurate.runs.run import Run
from ifcurate.storage.files import atomic_file, scan_table
from ifcurate.storage.manifest import Manifest, read_manifest
from ifcurate.storage.tables import SCORES, TOKENS

_SOURCE_ROWS: Final = 1 << 40  # more rows than a source has


def merge_runs(
    folders: Sequence[Path], out: Path, *, overwrite: bool = False, command: str = ""
) -> Run:
    """Join the shards of a run into `out`; `overwrite` replaces another run there.

    Raises `RunError` when a shard is missing, unfinished, damaged or of another
    run, saying which; `DataError` when `out` cannot be written.
    """
    shards = _put_in_order([_open(folder) for folder in folders])
    identity = _without_shard(shards[0].manifest)
    with open_run(out, identity, command, overwrite=overwrite) as manifest:
        if manifest.finished:
            return Run(out, manifest)
        _describe(manifest, shards)
        manifest.write(out / "manifest.json")  # the files below are a run's, also after a kill
        join_tables(
            out,
            _interleave(map(_scores, shards)),
            {"id": manifest.id, **manifest.identity},
            tokens=_interleave(map(_tokens, shards)) if identity["tokens"] else None,
        )
        with atomic_file(out / "quarantine.jsonl") as stream:
            for _, line in heapq.merge(*map(_bad_rows, shards), key=lambda row: row[0]):
                stream.write(line)
        seal_manifest(out, manifest)
    return Run(out, manifest)


def merged_identity(folder: Path) -> dict[str, Any]:
    """Return the identity of the run that a shard is part of. Raises `RunError`."""
    return _without_shard(read_manifest(folder / "manifest.json"))


def _without_shard(manifest: Manifest) -> dict[str, Any]:
    return {k: v for k, v in manifest.identity.items() if k != "shard"}


def _open(folder: Path) -> Run:
    manifest = read_manifest(folder / "manifest.json")
    shard = manifest.identity.get("shard")
    if not shard:
        raise RunError(f"{folder}: not a shard but a whole run; name folders made with --shard")
    if not manifest.finished:
        raise RunError(
            f"{folder}: shard {shard['index']} of {shard['of']} is not finished; "
            "run its `ifcurate score --shard` again to resume it"
        )
    for name in manifest.changed_files(folder):
        raise RunError(
            f"{folder}: {name} is missing or damaged; score shard {shard['index']} of "
            f"{shard['of']} again with --overwrite"
        )
    return Run(folder, manifest)


def _put_in_order(shards: list[Run]) -> list[Run]:
    """Return the shards in their order. Raises `RunError` unless they are all shards of one run."""
    if not shards:
        raise RunError("merge: no folder was given; name the folders of all shards")
    _check_same_run(shards)
    by_index: dict[int, Run] = {}
    of = shards[0].manifest.identity["shard"]["of"]
    for shard in shards:
        index = shard.manifest.identity["shard"]["index"]
        if index in by_index:
            raise RunError(
                f"{shard.folder}: shard {index} of {of} is also {by_index[index].folder}; "
                "name each shard once"
            )
        by_index[index] = shard
    missing = [str(i) for i in range(1, of + 1) if i not in by_index]
    if missing:
        which = f"shard {missing[0]}" if len(missing) == 1 else f"shards {', '.join(missing)}"
        raise RunError(
            f"merge: {which} of {of} missing; found {', '.join(map(str, sorted(by_index)))}; "
            "score the missing ones, or name their folders too"
        )
    return [by_index[i] for i in sorted(by_index)]


def _check_same_run(shards: list[Run]) -> None:
    first = shards[0]
    for shard in shards[1:]:
        one, other = (without_rules(s.manifest.identity) for s in (first, shard))
        other["shard"] = {**other["shard"], "index": one["shard"]["index"]}
        if differences := run_differences(one, other):
            raise RunError(
                f"{shard.folder}: of another run than {first.folder} "
                f"({'; '.join(differences[:4])}); shards of different runs are never merged"
            )
        if _without_shard(first.manifest) != _without_shard(shard.manifest):
            raise RunError(
                f"{shard.folder}: scored by {shard.manifest.made_by}, and {first.folder} by "
                f"{first.manifest.made_by}, whose rules may find other contexts; score all "
                "shards with one version, the others with --overwrite"
            )


def _describe(manifest: Manifest, shards: list[Run]) -> None:
    """Write what the shards say of their work into the manifest of the whole run."""
    counts: Counter[str] = Counter()
    for shard in shards:
        counts.update(shard.manifest.counts)
    rows = counts.pop("rows", 0)
    manifest.counts = {"rows": rows, **dict(sorted(counts.items()))}
    manifest.checks = _join_checks(shards)
    notes = dict.fromkeys(note for shard in shards for note in shard.manifest.notes)
    manifest.notes = [note for note in notes if not note.endswith(FROM_CACHE)]
    if known := manifest.checks.get("from_cache"):
        manifest.notes.append(cache_note(known))
    manifest.seconds = round(sum(shard.manifest.seconds for shard in shards), 3)


def _join_checks(shards: list[Run]) -> dict[str, Any]:
    """Return the checks of all shards: sums, joined lists, and the last of other values."""
    checks: dict[str, Any] = {}
    for shard in shards:
        for name, value in shard.manifest.checks.items():
            mine = checks.get(name)
            joined = isinstance(mine, int | list) and type(mine) is type(value)
            checks[name] = mine + value if joined else value
    return checks


def _interleave(tables: Iterable[pl.LazyFrame]) -> pl.LazyFrame:
    """Return the rows of all tables in the order of their places."""
    whole = functools.reduce(lambda one, other: one.merge_sorted(other, "place"), tables)
    return whole.drop("place")


def _starts(shard: Run) -> dict[str, int]:
    """Return the place of each source's first row in the order of all rows."""
    return {name: i * _SOURCE_ROWS for i, name in enumerate(shard.data)}


def _scores(shard: Run) -> pl.LazyFrame:
    """Return the SCORES of a shard, with the place of each row."""
    place = pl.col("source").replace_strict(_starts(shard), return_dtype=pl.Int64) + pl.col("row")
    return scan_table(shard.folder / "scores.parquet", SCORES).with_columns(place=place)


def _tokens(shard: Run) -> pl.LazyFrame:
    """Return the TOKENS of a shard, with the place of the row that each belongs to."""
    tokens = scan_table(shard.folder / "tokens.parquet", TOKENS)
    return pl.concat([tokens, repeat_for_tokens(_scores(shard), "place")], how="horizontal")


def _bad_rows(shard: Run) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a shard's quarantine file, each with the place of its row."""
    starts = _starts(shard)
    with (shard.folder / "quarantine.jsonl").open("rb") as stream:
        for line in stream:
            record = json.loads(line)
            yield starts[record["source"]] + record["row"], line
