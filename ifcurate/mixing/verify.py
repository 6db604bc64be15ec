"""Check a mixture against its manifest: every file's hash, every count, every row's hash."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from ifcurate.errors import IfcurateError
from ifcurate.mixing.mixture import DATA, DROPPED_NAME, MANIFEST, TEXT, count_rows, find_mixture
from ifcurate.mixing.texts import as_messages, digest_texts, read_example
from ifcurate.mixing.tokens import load_counter
from ifcurate.phrases import count, first_line
from ifcurate.storage.files import file_digest, read_table_manifest
from ifcurate.storage.manifest import Manifest, fingerprint, read_manifest


@dataclass(slots=True)
class Verification:
    """What was checked, and what is wrong."""

    checked: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=list)  # what was not checked, with the reason

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify_mixture(folder: str | Path) -> Verification:
    """Recompute all hashes and counts of a mixture from its files.

    Also checks its exports: folders inside it that have a manifest. Raises `RunError` when
    there is no manifest.
    """
    folder, manifest = find_mixture(folder)
    report = Verification()
    _check_digests(folder, manifest, report)
    for path in sorted(folder.glob("*/export.json")):
        made = read_manifest(path)
        _check_digests(path.parent, made, report, f"{path.parent.name}/")
        if made.identity.get("mixture") != manifest.identity:
            report.problems.append(
                f"{path.parent}: has the rows of an earlier mixture; export again with --overwrite"
            )
    try:
        _check_rows(folder, manifest, report)
    except (OSError, ValueError, KeyError, pl.exceptions.PolarsError) as error:
        report.problems.append(f"{folder / DATA}: cannot be read: {first_line(error)}")
    return report


def _check_digests(
    folder: Path, manifest: Manifest, report: Verification, inside: str = ""
) -> None:
    for name, digest in manifest.digests.items():
        path = folder / name
        if not path.is_file():
            report.problems.append(f"{path}: is missing; the manifest names it")
        elif file_digest(path) != digest:
            report.problems.append(f"{path}: differs from the hash in its manifest")
        report.checked.append(f"bytes of {inside}{name}")
    unnamed = [n for n in manifest.outputs.values() if n not in manifest.digests]
    report.problems += [f"{folder / name}: has no hash in the manifest" for name in unnamed]


def _check_rows(folder: Path, manifest: Manifest, report: Verification) -> None:
    """Compare both tables with their manifest: counts, hashes of rows, tokens."""
    with (folder / DATA).open("rb") as stream, (folder / DROPPED_NAME).open("rb") as other:
        rows, dropped = pl.scan_parquet(stream), pl.read_parquet(other)
    for name in (DATA, DROPPED_NAME):
        _check_identity(folder / name, manifest, report)
    recounted = count_rows(rows, dropped, (), tokens="tokens" in manifest.counts)
    _check_counts(recounted, manifest, report)
    _check_hashes(rows, report)
    _check_tokens(rows, manifest, report)


def _check_identity(path: Path, manifest: Manifest, report: Verification) -> None:
    identity = read_table_manifest(path)
    own = identity.pop("id", None)
    if own != manifest.id or identity != manifest.identity or own != fingerprint(identity):
        report.problems.append(f"{path}: belongs to another mixture than {MANIFEST}")


def _check_counts(recounted: dict[str, int], manifest: Manifest, report: Verification) -> None:
    for name in sorted(recounted.keys() | (manifest.counts.keys() - {"read"})):
        actual, stated = recounted.get(name, 0), manifest.counts.get(name, 0)
        if actual != stated:
            report.problems.append(
                f"count {name!r}: is {actual:,}, and the manifest says {stated:,}"
            )
    report.checked.append(count(len(recounted), "count"))


def _check_hashes(rows: pl.LazyFrame, report: Verification) -> None:
    n_rows = 0
    for frame in _frames(rows):
        wrong = [row for row in frame.iter_rows(named=True) if not _same_hash(row)]
        for row in wrong[:3]:
            place = f"{row['ifcurate_source']} row {row['ifcurate_row']}"
            report.problems.append(f"{place}: its texts do not match its ifcurate_hash")
        n_rows += frame.height
    report.checked.append(f"texts of {count(n_rows, 'row')}")


def _frames(rows: pl.LazyFrame, size: int = 65_536) -> Iterator[pl.DataFrame]:
    n_rows = rows.select(pl.len()).collect().item()
    for start in range(0, n_rows, size):
        yield rows.slice(start, size).collect()


def _same_hash(row: dict[str, Any]) -> bool:
    with contextlib.suppress(IfcurateError, ValueError, KeyError):
        example = read_example(row)
        messages = [tuple(message.values()) for message in row["messages"]]
        return digest_texts(example, example.row).hex() == row["ifcurate_hash"] and (
            as_messages(example) == messages
        )
    return False


def _check_tokens(rows: pl.LazyFrame, manifest: Manifest, report: Verification) -> None:
    """Count the tokens again, if the tokenizer can be loaded."""
    known = manifest.identity.get("tokenizer")
    if not known:
        return
    try:
        counter = load_counter(known["name"])
    except IfcurateError as error:
        report.not_checked.append(f"tokens: {error}")
        return
    if counter.fingerprint != known["fingerprint"]:
        report.not_checked.append(f"tokens: the tokenizer {known['name']} has changed")
        return
    whole = manifest.identity["options"]["count"] == "whole"
    for frame in _frames(rows):
        read = (read_example(row).response for row in frame.iter_rows(named=True))
        texts = frame.select(TEXT)[:, 0].to_list() if whole else list(read)
        counts = pl.Series(counter.count(texts), dtype=pl.Int32)
        n_wrong = int((counts != frame["ifcurate_tokens"]).sum())
        if n_wrong:
            report.problems.append(f"tokens: {count(n_wrong, 'row')} with another number of tokens")
    report.checked.append("tokens of every row")
