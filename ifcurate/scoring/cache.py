"""A cache of the scores of earlier runs, by content.

It is an SQLite file. A key is a hash of the token ids of both variants (`PromptPair.key`),
the engine's identity and the token-gain threshold. An edited row therefore has another key. So does
a row with another template, model, revision or dtype. A value holds the numbers of a SCORES row,
bit by bit. No text is stored.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import sqlite3
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import polars as pl

from ifcurate.errors import DataError
from ifcurate.scoring.scorer import Scorer
from ifcurate.scoring.tables import Numbers
from ifcurate.storage.files import write_json
from ifcurate.storage.tables import NUMBERS

CACHE_NAME: Final = "scores-cache.sqlite"
MAX_BYTES: Final = 2 * 1024**3  # about 15 million examples
_VERSION: Final = 1
_VALUE: Final = struct.Struct(f"<i{len(NUMBERS) - 1}d")
_QUERY_KEYS: Final = 500  # keys of one query
_BUSY_SECONDS: Final = 60.0


class ScoreCache:
    """The store, for one engine and its settings. Several processes may use one file.

    If the file fails while it is used, nothing more is found or added, and `problem` says why.
    """

    def __init__(self, path: Path, space: Mapping[str, Any], *, max_bytes: int = MAX_BYTES) -> None:
        """Open or make the file. Raises `DataError` when it cannot be used."""
        self.path = path
        self.problem = ""
        self._last = 2**62  # the number of the last entry that is read
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
            # A rollback journal: a write-ahead log breaks on network file systems.
            self._db.execute("PRAGMA journal_mode = DELETE")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS scores (n INTEGER PRIMARY KEY AUTOINCREMENT, "
                "key BLOB NOT NULL UNIQUE, value BLOB NOT NULL)"
            )
            self._db.execute(f"PRAGMA user_version = {_VERSION}")

    @classmethod
    def for_scorer(cls, path: Path, scorer: Scorer, **options: Any) -> ScoreCache:
        """Return the store for what this scorer computes."""
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
                "name another folder with --cache-dir, or give --no-cache"
            ) from error

    def _key(self, key: str) -> bytes:
        return hashlib.blake2b(key.encode(), key=self._space, digest_size=16).digest()

    @contextlib.contextmanager
    def _tolerated(self) -> Iterator[None]:
        try:
            with self._errors():
                yield
        except DataError as error:
            self.problem = str(error)

    def freeze(self, path: Path) -> None:
        """Read no later entries than at the first call with this file. Raises `DataError`.

        So an interrupted run, which resumes, makes the same decisions as an undisturbed one.
        """
        try:
            self._last = int(json.loads(path.read_bytes())["cache_mark"])
        except (OSError, ValueError, KeyError, TypeError):
            with self._errors():
                self._last = self._db.execute("SELECT max(n) FROM scores").fetchone()[0] or 0
            write_json(path, {"cache_mark": self._last})

    def find(self, keys: Sequence[str]) -> dict[str, Numbers]:
        """Return the numbers of the known keys."""
        hashed = {self._key(key): key for key in keys}
        numbers: dict[str, Numbers] = {}
        if self.problem:
            return numbers
        with self._tolerated():
            wanted = iter(hashed)
            while some := list(itertools.islice(wanted, _QUERY_KEYS)):
                marks = ",".join("?" * len(some))
                query = f"SELECT key, value FROM scores WHERE key IN ({marks}) AND n <= ?"  # noqa: S608
                for key, value in self._db.execute(query, (*some, self._last)):
                    numbers[hashed[key]] = _VALUE.unpack(value)
        return numbers

    def add(self, scores: pl.DataFrame) -> None:
        """Add the numbers of the scored rows of a SCORES table; known keys do not change.

        When the file becomes too large, the oldest entries are removed.
        """
        if self.problem:
            return
        scored = scores.filter(pl.col("status") == "scored").select("key", *NUMBERS)
        rows = [(self._key(key), _VALUE.pack(*values)) for key, *values in scored.iter_rows()]
        rows = sorted(dict(rows).items())
        with self._tolerated():
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
        """Remove the oldest tenth when the file is full; SQLite reuses its pages."""
        page, pages, free = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_size", "page_count", "freelist_count")
        )
        if page * (pages - free) > self._max_bytes:
            low, high = self._db.execute("SELECT min(n), max(n) FROM scores").fetchone()
            self._db.execute("DELETE FROM scores WHERE n <= ?", (low + (high - low) // 10,))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> ScoreCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
