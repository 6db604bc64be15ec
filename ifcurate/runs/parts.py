"""The parts of a run that is under way: what is scored, safe on disk, and found again.

Rows are scored in chunks and committed in parts of one or more chunks. A part is
two or three files and a marker, written last, with the checksums of the files;
parts without a whole marker, or that do not match it, are scored again.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from ifcurate.data.row_results import BadRow
from ifcurate.scoring.scorer import Chunk
from ifcurate.storage.files import atomic_file, file_digest, write_json, write_table

_OURS: Final = re.compile(
    r"\.?(\d+\.(scores\.parquet|tokens\.parquet|bad\.jsonl|done\.json)|begin\.json)"
    r"(\.\d+\.partial)?"
)

__all__ = ["Part", "Parts", "Pending"]

_MOST_ROWS: Final = 8192  # that are held in memory before they are written


@dataclass(frozen=True, slots=True)
class Part:
    """The marker of a finished part: chunks `first` to `first + len(rows) - 1`."""

    first: int
    rows: tuple[int, ...]  # read, per chunk
    examples: tuple[int, ...]  # rows of the SCORES table, per chunk
    bad: tuple[int, ...]  # rows set aside, per chunk
    counts: dict[str, int]  # per status, and "quarantined"
    tokens: int  # scored, both variants
    known: int  # examples whose numbers came from a cache
    broken: tuple[str, ...]  # sources that were not read whole: where it stopped, and why
    files: dict[str, str]  # kind -> digest

    @property
    def end(self) -> int:
        """The chunk after its last."""
        return self.first + len(self.rows)

    @property
    def n_rows(self) -> int:
        """Rows of the input in it."""
        return sum(self.rows)


@dataclass
class Pending:
    """Chunks that are scored and not yet on disk."""

    first: int = 0
    rows: list[int] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    bad: list[list[BadRow]] = field(default_factory=list)
    since: float = 0.0

    def add(self, number: int, rows: int, chunk: Chunk, bad: list[BadRow]) -> None:
        """Take in chunk `number`, which follows those that are here."""
        if not self.rows:
            self.first = number
            self.since = time.monotonic()
        self.rows.append(rows)
        self.chunks.append(chunk)
        self.bad.append(bad)

    def is_due(self, seconds: float) -> bool:
        """Whether it is time to write: `seconds` have passed, or much is waiting."""
        waited = time.monotonic() - self.since >= seconds
        return bool(self.rows) and (waited or sum(self.rows) >= _MOST_ROWS)


class Parts:
    """The folder of parts of one run."""

    def __init__(self, folder: Path, *, tokens: bool, look: bool = True) -> None:
        """With `look` off nothing that is there is looked at, or removed."""
        self.folder = folder
        self.tokens = tokens
        self.kinds = ("scores.parquet", *(["tokens.parquet"] if tokens else []), "bad.jsonl")
        self._found = self._look() if look else {}

    def path(self, first: int, kind: str) -> Path:
        """A file of the part that begins with chunk `first`."""
        return self.folder / f"{first:06d}.{kind}"

    def at(self, number: int) -> Part | None:
        """The part that begins with this chunk."""
        return self._found.get(number)

    def __iter__(self) -> Iterator[Part]:
        """All parts, in order."""
        return iter(sorted(self._found.values(), key=lambda part: part.first))

    def paths(self, kind: str) -> list[Path]:
        """The files of this kind, in order."""
        return [self.path(part.first, kind) for part in self]

    def refresh(self) -> None:
        """Look again: others have written."""
        self._found = self._look()

    def _look(self) -> dict[int, Part]:
        """The whole parts; what is left of others is removed."""
        found: dict[int, Part] = {}
        end = 0
        markers = sorted(self.folder.glob("*.done.json"))
        for path in markers:
            part = self._read(path)
            if part is not None and part.first >= end:
                found[part.first] = part
                end = part.end
            else:
                path.unlink(missing_ok=True)
        mine = {self.path(first, kind) for first in found for kind in (*self.kinds, "done.json")}
        for path in self.folder.glob("*"):
            if path not in mine and _OURS.fullmatch(path.name) and path.name != "begin.json":
                path.unlink(missing_ok=True)
        return found

    def _read(self, path: Path) -> Part | None:
        try:
            value = json.loads(path.read_bytes())
            names = ("rows", "examples", "bad", "broken")
            part = Part(**{**value, **{name: tuple(value[name]) for name in names}})
            if set(part.files) != set(self.kinds) or self.path(part.first, "done.json") != path:
                return None
            for kind, digest in part.files.items():
                if file_digest(self.path(part.first, kind)) != digest:
                    return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return part

    def commit(self, pending: Pending) -> pl.DataFrame:
        """Write what is pending as a part, and empty it. Returns its SCORES table.

        Raises `DataError` when it cannot be written; then it stays pending.
        """
        first = pending.first
        scores = pl.concat([chunk.scores for chunk in pending.chunks])
        write_table(scores, self.path(first, "scores.parquet"), {})
        if "tokens.parquet" in self.kinds:
            tokens = [chunk.tokens for chunk in pending.chunks if chunk.tokens is not None]
            write_table(pl.concat(tokens), self.path(first, "tokens.parquet"), {})
        bad = [row for rows in pending.bad for row in rows]
        with atomic_file(self.path(first, "bad.jsonl")) as stream:
            for item in bad:
                line = json.dumps(item.as_record(), ensure_ascii=False)
                stream.write(line.encode("utf-8", "backslashreplace") + b"\n")
        counts: Counter[str] = Counter(scores["status"].to_list())
        if bad:
            counts["quarantined"] = len(bad)
        scored = scores["status"] == "scored"
        sizes = [scores[f"n_tokens_{v}_context"].filter(scored).sum() for v in ("with", "without")]
        part = Part(
            first=first,
            rows=tuple(pending.rows),
            examples=tuple(chunk.scores.height for chunk in pending.chunks),
            bad=tuple(len(rows) for rows in pending.bad),
            counts=dict(counts),
            tokens=int(sum(sizes)),
            known=sum(chunk.n_known for chunk in pending.chunks),
            broken=tuple(row.loss for row in bad if row.loss),
            files={kind: file_digest(self.path(first, kind)) for kind in self.kinds},
        )
        marker = {name: getattr(part, name) for name in Part.__slots__}
        write_json(self.path(first, "done.json"), marker)
        self._found[first] = part
        pending.rows, pending.chunks, pending.bad = [], [], []
        return scores

    def remove(self) -> None:
        """Remove the parts, and the folder when nothing else is in it."""
        with contextlib.suppress(OSError):
            for path in self.folder.iterdir():
                if _OURS.fullmatch(path.name):
                    path.unlink(missing_ok=True)
            self.folder.rmdir()
