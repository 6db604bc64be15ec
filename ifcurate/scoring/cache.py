"""Scores of earlier runs, by content: what was scored once is not scored again.

An SQLite file. A key is the hash of the token ids of both variants
(`PromptPair.key`) together with all else that the numbers come from, the engine's
identity and the token-gain threshold; so an edited row has another key, and so has
a row under another template, model, revision or dtype. A value is the numbers of a
SCORES row, bit by bit. Nothing of the text is stored.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import polars as pl

from ifcurate.errors import DataError
from ifcurate.scoring.scorer import NUMBERS, Numbers, Scorer

__all__ = ["CACHE_NAME", "ScoreCache"]

CACHE_NAME: Final = "scores-cache.sqlite"
MAX_BYTES: Final = 2 * 1024**3  # some 15 million examples
_VERSION: Final = 1
_VALUE: Final = struct.Struct(f"<i{len(NUMBERS) - 1}d")
_ASKED_AT_ONCE: Final = 500
_BUSY_SECONDS: Final = 60.0


class ScoreCache:
    """The store, for one engine and its settings. Several processes may use one file."""

    def __init__(self, path: Path, space: Mapping[str, Any], *, max_bytes: int = MAX_BYTES) -> None:
        """Open or make the file. Raises `DataError` when it cannot be used."""
        self.path = path
        self._max_bytes = max_bytes
        text = json.dumps(space, sort_keys=True)
        self._space = hashlib.blake2b(text.encode(), digest_size=16).digest()
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _VERSION):
                self._db.close()
                raise sqlite3.DatabaseError(f"it has version {version}, not {_VERSION}")
            # A rollback journal, not a write-ahead log: that one breaks on network file systems.
            self._db.execute("PRAGMA journal_mode = DELETE")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS scores (n INTEGER PRIMARY KEY AUTOINCREMENT, "
                "key BLOB NOT NULL UNIQUE, value BLOB NOT NULL)"
            )
            self._db.execute(f"PRAGMA user_version = {_VERSION}")

    @classmethod
    def for_scorer(cls, path: Path, scorer: Scorer, **options: Any) -> ScoreCache:
        """The store for what this scorer computes."""
        engine = asdict(scorer.engine.identity)
        space = {"engine": engine, "token_gain": scorer.settings.token_gain, "numbers": NUMBERS}
        return cls(path, space, **options)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise DataError(
                f"{self.path}: the cache of scores cannot be used: {error}; remove the file, "
                "name another folder with --cache-dir, or go without: --no-cache"
            ) from error

    def _key(self, key: str) -> bytes:
        return hashlib.blake2b(key.encode(), key=self._space, digest_size=16).digest()

    def mark(self) -> int:
        """A number that later additions are above."""
        with self._errors():
            found = self._db.execute("SELECT max(n) FROM scores").fetchone()[0]
        return int(found or 0)

    def find(self, keys: Sequence[str], *, before: int | None = None) -> dict[str, Numbers]:
        """The numbers of those keys that are there; with `before` (a mark), that were there then.

        Raises `DataError` when the file cannot be read.
        """
        hashed = {self._key(key): key for key in keys}
        wanted = list(hashed)
        limit = 2**62 if before is None else before
        found: dict[str, Numbers] = {}
        with self._errors():
            for start in range(0, len(wanted), _ASKED_AT_ONCE):
                some = wanted[start : start + _ASKED_AT_ONCE]
                marks = ",".join("?" * len(some))
                query = f"SELECT key, value FROM scores WHERE key IN ({marks}) AND n <= ?"  # noqa: S608
                for key, value in self._db.execute(query, (*some, limit)):
                    found[hashed[key]] = _VALUE.unpack(value)
        return found

    def add(self, scores: pl.DataFrame) -> None:
        """Keep the numbers of the scored rows of a SCORES table; known keys stay as they are.

        The oldest make room when the file becomes too large. Raises `DataError`.
        """
        scored = scores.filter(pl.col("status") == "scored").select("key", *NUMBERS)
        rows = [(self._key(key), _VALUE.pack(*values)) for key, *values in scored.iter_rows()]
        rows = sorted(dict(rows).items())
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany(
                    "INSERT OR IGNORE INTO scores (key, value) VALUES (?, ?)", rows
                )
                self._make_room()
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise

    def _make_room(self) -> None:
        """Remove the older tenth when the file is full; its pages are used again."""
        page, pages, free = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_size", "page_count", "freelist_count")
        )
        if page * (pages - free) > self._max_bytes:
            low, high = self._db.execute("SELECT min(n), max(n) FROM scores").fetchone()
            self._db.execute("DELETE FROM scores WHERE n <= ?", (low + (high - low) // 10,))

    def __len__(self) -> int:
        with self._errors():
            return int(self._db.execute("SELECT count(*) FROM scores").fetchone()[0])

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def __enter__(self) -> ScoreCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
