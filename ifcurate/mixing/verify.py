"""Check a mixture against its manifest: every file's hash, every count, every row's hash."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from ifcurate.errors import IfcurateError, RunError
from ifcurate.mixing.mixture import DATA, DROPPED_NAME, MANIFEST
from ifcurate.mixing.rows import MIXTURE, TEXT, digest_texts, read_record
from ifcurate.mixing.tokens import load_counter
from ifcurate.phrases import count
from ifcurate.storage.files import file_digest
from ifcurate.storage.manifest import Manifest, fingerprint, read_manifest

__all__ = ["Verification", "verify_mixture"]


@dataclass(slots=True)
class Verification:
    """What was checked, and what is wrong."""

    checked: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=list)  # with the reason

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify_mixture(folder: str | Path) -> Verification:
    """Recompute all hashes and counts of a mixture from its files.

    Its exports, folders inside it with a manifest of their own, are checked too. Raises
    `RunError` when there is no manifest.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        raise RunError(f"{folder}: holds no mixture; found no {MANIFEST}; name a mixture's folder")
    manifest = read_manifest(folder / MANIFEST)
    found = Verification()
    _check_digests(folder, manifest, found)
    for path in sorted(folder.glob("*/export.json")):
        _check_digests(path.parent, read_manifest(path), found)
    try:
        _check_rows(folder, manifest, found)
    except (OSError, pl.exceptions.PolarsError, KeyError) as error:
        found.problems.append(f"{folder / DATA}: cannot be read: {str(error).splitlines()[0]}")
    return found


def _check_digests(folder: Path, manifest: Manifest, found: Verification) -> None:
    for name, digest in manifest.digests.items():
        path = folder / name
        if not path.is_file():
            found.problems.append(f"{path}: is missing; the manifest names it")
        elif file_digest(path) != digest:
            found.problems.append(f"{path}: has other bytes than the manifest says")
        found.checked.append(f"bytes of {path.name}")
    unnamed = [n for n in manifest.outputs.values() if n not in manifest.digests]
    found.problems += [f"{folder / name}: has no hash in the manifest" for name in unnamed]


def _check_rows(folder: Path, manifest: Manifest, found: Verification) -> None:
    """Counts and row hashes of the data itself, and that both tables name this manifest."""
    rows = pl.scan_parquet(folder / DATA)
    for name in (DATA, DROPPED_NAME):
        inside = json.loads(pl.read_parquet_metadata(folder / name).get("ifcurate", "{}"))
        known = inside.pop("id", None)
        if known != manifest.id or inside != manifest.identity or known != fingerprint(inside):
            found.problems.append(f"{folder / name}: was made by another mixture than {MANIFEST}")
    recounted = _recount(rows, pl.read_parquet(folder / DROPPED_NAME), manifest)
    for name in sorted(recounted.keys() | (manifest.counts.keys() - {"read"})):
        has, says = recounted.get(name, 0), manifest.counts.get(name, 0)
        if has != says:
            found.problems.append(f"count {name!r}: is {has:,}, and the manifest says {says:,}")
    found.checked.append(count(len(recounted), "count"))
    n_rows = 0
    for frame in _frames(rows):
        wrong = [r for r in frame.iter_rows(named=True) if not _same_hash(r)]
        for row in wrong[:3]:
            place = f"{row['ifcurate_source']} row {row['ifcurate_row']}"
            found.problems.append(f"{place}: its texts do not have the hash that stands beside it")
        n_rows += frame.height
    found.checked.append(f"texts of {count(n_rows, 'row')}")
    _check_tokens(rows, manifest, found)


def _frames(rows: pl.LazyFrame, size: int = 65_536) -> Iterator[pl.DataFrame]:
    n_rows = rows.select(pl.len()).collect().item()
    for start in range(0, n_rows, size):
        yield rows.slice(start, size).collect()


def _recount(rows: pl.LazyFrame, dropped: pl.DataFrame, manifest: Manifest) -> dict[str, int]:
    """The manifest's counts, from the tables."""
    sums = (
        rows.group_by("ifcurate_component")
        .agg(pl.len().alias("rows"), pl.col("ifcurate_tokens").cast(pl.Int64).sum())
        .collect()
    )
    counted = "tokens" in manifest.counts
    found = {"rows": int(sums["rows"].sum()), "dropped": dropped.height}
    if counted:
        found["tokens"] = int(sums["ifcurate_tokens"].sum())
    for component, n, tokens in sums.iter_rows():
        found[f"rows:{component}"] = n
        if counted:
            found[f"tokens:{component}"] = tokens
    for reason, n in dropped["reason"].value_counts().iter_rows():
        found[f"dropped:{reason}"] = n
    return found


def _same_hash(row: dict[str, Any]) -> bool:
    with contextlib.suppress(IfcurateError, ValueError, KeyError):
        text = read_record(row)
        return digest_texts(text).hex() == row["ifcurate_hash"] and text.as_messages() == [
            tuple(message.values()) for message in row["messages"]
        ]
    return False


def _check_tokens(rows: pl.LazyFrame, manifest: Manifest, found: Verification) -> None:
    """The token counts again, where the tokenizer can be loaded."""
    known = manifest.identity.get("tokenizer")
    if not known:
        return
    try:
        counter = load_counter(known["name"])
    except IfcurateError as error:
        found.not_checked.append(f"tokens: {error}")
        return
    if counter.fingerprint != known["fingerprint"]:
        found.not_checked.append(f"tokens: {known['name']} is another tokenizer than it was")
        return
    whole = manifest.identity["options"]["count"] == "whole"
    response = pl.col("messages").list.last().struct.field("content")
    for frame in _frames(rows.select((TEXT if whole else response).alias("text"), *MIXTURE)):
        counts = pl.Series(counter.count(frame["text"].to_list()), dtype=pl.Int32)
        n_wrong = int((counts != frame["ifcurate_tokens"]).sum())
        if n_wrong:
            found.problems.append(f"tokens: {count(n_wrong, 'row')} with another number of tokens")
    found.checked.append("tokens of every row")
