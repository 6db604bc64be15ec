"""The parts of a run that is not finished: the scored rows that are safe on disk.

Rows are scored in chunks and written in parts of one or more chunks. A part is two or
three files and a marker with their checksums, which is written last. A part without a complete
marker, or with files that do not match it, is scored again.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl
from pydantic import BaseModel, ConfigDict

from ifcurate.data.parse_rows import Piece
from ifcurate.data.readers.files import RawRow
from ifcurate.scoring.scorer import Chunk, join_chunks
from ifcurate.storage.files import file_digest, write_json, write_json_lines, write_table

_OURS: Final = re.compile(
    r"\.?(\d+\.(scores\.parquet|tokens\.parquet|bad\.jsonl|done\.json)|begin\.json)"
    r"(\.\d+\.partial)?"
)

_MOST_ROWS: Final = 8192  # held in memory before they are written
_MOST_BYTES: Final = 64 << 20  # of quarantined rows that wait to be written


class Part(BaseModel):
    """The marker of a finished part: consecutive chunks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first: int  # number of the first chunk
    n_chunks: int
    n_rows: int  # of the input
    counts: dict[str, int]  # per status, and "quarantined"
    tokens: int  # scored, both variants
    known: int  # examples whose numbers came from a cache
    broken: tuple[str, ...]  # sources that were not read to the end, with the place and the reason
    files: dict[str, str]  # kind -> digest

    @property
    def chunks(self) -> range:
        """The numbers of its chunks."""
        return range(self.first, self.first + self.n_chunks)


#: How many rows were read, their tables, and the rows that are quarantined.
Scored = tuple[int, Chunk, list[RawRow]]


@dataclass
class Pending:
    """Chunks that are scored and not yet on disk."""

    first: int = 0
    n_chunks: int = 0  # whose rows are all scored
    done: list[Scored] = field(default_factory=list)  # their pieces
    open: list[Scored] = field(default_factory=list)  # pieces of a chunk that has further rows
    since: float = 0.0
    bytes: int = 0  # of quarantined rows

    def follows(self, number: int) -> bool:
        """Return whether rows of this chunk can be added: a part has consecutive chunks."""
        return not self.done or number == self.first + self.n_chunks

    def add(self, number: int, piece: Piece, chunk: Chunk) -> None:
        """Add a scored piece of chunk `number` of the run, which `follows`."""
        if not self.done and not self.open:
            self.first = number
            self.since = time.monotonic()
        bad = piece.bad
        self.bytes += sum(row.size for row in bad)
        self.open.append((len(piece.rows), chunk, bad))
        if piece.ends:
            self.n_chunks += 1
            self.done += self.open
            self.open = []

    def is_due(self, seconds: float) -> bool:
        """Return whether it is time to write: `seconds` have passed, or many rows are waiting."""
        if not self.done or self.open:
            return False
        waited = time.monotonic() - self.since >= seconds
        n_rows = sum(rows for rows, _, _ in self.done)
        return waited or n_rows >= _MOST_ROWS or self.bytes >= _MOST_BYTES


class Parts:
    """The folder of parts of one run."""

    def __init__(self, folder: Path, *, tokens: bool, look: bool = True) -> None:
        """Open the folder. Without `look`, existing parts are neither read nor removed."""
        self.folder = folder
        self.tokens = tokens
        self.kinds = ("scores.parquet", *(["tokens.parquet"] if tokens else []), "bad.jsonl")
        self._found: dict[int, Part] = {}
        if look:
            self.refresh()

    def path(self, first: int, kind: str) -> Path:
        """Return a file of the part that begins with chunk `first`."""
        return self.folder / f"{first:06d}.{kind}"

    def __iter__(self) -> Iterator[Part]:
        """Return all parts, in order."""
        return iter(sorted(self._found.values(), key=lambda part: part.first))

    def paths(self, kind: str) -> list[Path]:
        """Return the files of this kind, in order."""
        return [self.path(part.first, kind) for part in self]

    def refresh(self) -> None:
        """Find the complete parts, and remove the files of broken ones."""
        parts: dict[int, Part] = {}
        end = 0
        markers = sorted(self.folder.glob("*.done.json"))
        for path in markers:
            part = self._read(path)
            if part is not None and part.first >= end:
                parts[part.first] = part
                end = part.chunks.stop
            else:
                path.unlink(missing_ok=True)
        mine = {self.path(first, kind) for first in parts for kind in (*self.kinds, "done.json")}
        for path in self.folder.glob("*"):
            if path not in mine and _OURS.fullmatch(path.name) and path.name != "begin.json":
                path.unlink(missing_ok=True)
        self._found = parts

    def _read(self, path: Path) -> Part | None:
        try:
            part = Part.model_validate_json(path.read_bytes())
            if set(part.files) != set(self.kinds) or self.path(part.first, "done.json") != path:
                return None
            for kind, digest in part.files.items():
                if file_digest(self.path(part.first, kind)) != digest:
                    return None
        except (OSError, ValueError):
            return None
        return part

    def commit(self, pending: Pending) -> tuple[Part, pl.DataFrame]:
        """Write the complete pending chunks, and remove them. Returns the part and its SCORES.

        Raises `DataError` when the part cannot be written; its chunks stay pending.
        """
        first = pending.first
        n_rows, chunks, rows = zip(*pending.done, strict=True)
        whole = join_chunks(chunks)
        bad = [row for some in rows for row in some]
        write_table(whole.scores, self.path(first, "scores.parquet"), {})
        if whole.tokens is not None:
            write_table(whole.tokens, self.path(first, "tokens.parquet"), {})
        write_json_lines(self.path(first, "bad.jsonl"), (row.as_record() for row in bad))
        counts = Counter(whole.scores["status"].to_list())
        if bad:
            counts["quarantined"] = len(bad)
        scored = whole.scores.filter(pl.col("status") == "scored")
        part = Part(
            first=first,
            n_chunks=pending.n_chunks,
            n_rows=sum(n_rows),
            counts=counts,
            tokens=sum(int(scored[f"n_tokens_{v}_context"].sum()) for v in ("with", "without")),
            known=whole.n_known,
            broken=tuple(row.loss for row in bad if row.loss),
            files={kind: file_digest(self.path(first, kind)) for kind in self.kinds},
        )
        write_json(self.path(first, "done.json"), part.model_dump())
        self._found[first] = part
        pending.n_chunks, pending.done, pending.bytes = 0, [], 0
        return part, whole.scores

    def remove(self) -> None:
        """Remove the parts, and the folder when nothing else is in it."""
        with contextlib.suppress(OSError):
            for path in self.folder.iterdir():
                if _OURS.fullmatch(path.name):
                    path.unlink(missing_ok=True)
            self.folder.rmdir()
