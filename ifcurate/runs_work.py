"""The scoring of a run: chunk by chunk, what is finished left alone, what is known not asked."""

from __future__ import annotations

import contextlib
import gc
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from ifcurate.cache import ScoreCache
from ifcurate.errors import DataError, RunError
from ifcurate.files import write_json
from ifcurate.runs_parts import Part, Parts, Pending
from ifcurate.scoring import Numbers, Scorer
from ifcurate.sources import Examples, ReadRow

__all__ = ["KnownBefore", "Progress", "Scoring", "Shard"]


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several equal parts of the rows: each `of`-th chunk, from the `index`-th on."""

    index: int = 1  # 1..of
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From `I/N`. Raises `RunError` for anything else."""
        match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise RunError(
                f"shard {text!r}: not one of I/N with I from 1 to N; write 1/8 for the first of 8 "
                "(a job array that counts from 0 gives $((SLURM_ARRAY_TASK_ID + 1))/8)"
            )
        return cls(int(match[1]), int(match[2]))

    def has(self, chunk: int) -> bool:
        """Whether a chunk, counted from 0, is in it."""
        return chunk % self.of == self.index - 1


@dataclass(slots=True)
class Progress:
    """How far a scoring run is."""

    rows: int = 0  # read and accounted for, those of earlier attempts included
    resumed_rows: int = 0  # of these, from earlier attempts
    tokens: int = 0  # scored in this attempt, both variants
    known_rows: int = 0  # whose numbers came from the cache
    counts: Counter[str] = field(default_factory=Counter)


class KnownBefore:
    """A cache as it was when the run began: what the run adds changes nothing in the run.

    A cache that fails later on is done without, and `problem` says why.
    """

    def __init__(self, cache: ScoreCache, mark: int) -> None:
        self._cache = cache
        self._mark = mark
        self.problem = ""

    @classmethod
    def open(cls, cache: ScoreCache | None, folder: Path) -> KnownBefore | None:
        """With the mark that a first attempt left in `folder`, or a new one."""
        if cache is None:
            return None
        path = folder / "begin.json"
        try:
            mark = int(json.loads(path.read_bytes())["cache_mark"])
        except (OSError, ValueError, KeyError, TypeError):
            mark = cache.mark()
            write_json(path, {"cache_mark": mark})
        return cls(cache, mark)

    def find(self, keys: Sequence[str]) -> dict[str, Numbers]:
        """The numbers of the keys that were known then."""
        if not self.problem:
            try:
                return self._cache.find(keys, before=self._mark)
            except DataError as error:
                self.problem = str(error)
        return {}

    def add(self, scores: pl.DataFrame) -> None:
        """Keep what was scored for later runs."""
        if not self.problem:
            try:
                self._cache.add(scores)
            except DataError as error:
                self.problem = str(error)


@contextlib.contextmanager
def _rare_collection() -> Iterator[None]:
    """Look for cycles of garbage seldom: rows make none, and looking took a quarter of the time."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)


class Scoring:
    """The work of `score_run`, chunk by chunk."""

    def __init__(
        self, scorer: Scorer, parts: Parts, known: KnownBefore | None, seconds: float
    ) -> None:
        self.scorer = scorer
        self.parts = parts
        self.known = known
        self.seconds = seconds
        self.progress = Progress()
        self.pending = Pending()

    def run(
        self, examples: Examples, shard: Shard, on_progress: Callable[[Progress], None]
    ) -> Iterator[Progress]:
        """Do it; yields after each chunk that was scored."""
        done: list[Part] = list(self.parts)
        covered = {n for part in done for n in range(part.first, part.end)}
        for part in done:
            self._count(part.n_rows, part.counts)
            self.progress.resumed_rows += part.n_rows
        if done:
            on_progress(self.progress)
        # Chunks of a shard are numbered by themselves: 0, 1, 2, ...
        wanted = lambda n: shard.has(n) and n // shard.of not in covered  # noqa: E731
        with _rare_collection():
            for n, rows in examples.read_chunks(self.scorer.settings.chunk_rows, wanted):
                if rows is None:
                    if shard.has(n):
                        self.commit()  # a part ends where the next one begins
                    continue
                self._score(n // shard.of, rows)
                on_progress(self.progress)
                yield self.progress

    def _score(self, number: int, rows: list[ReadRow]) -> None:
        examples = [example for row in rows for example in row.examples]
        known = self.known.find if self.known else None
        with_tokens = "tokens.parquet" in self.parts.kinds
        chunk = self.scorer.score_chunk(examples, tokens=with_tokens, known=known)
        bad = [row.bad for row in rows if row.bad is not None]
        self.pending.add(number, len(rows), chunk, bad)
        self._count(len(rows), Counter(chunk.scores["status"].to_list()))
        if bad:
            self.progress.counts["quarantined"] += len(bad)
        self.progress.known_rows += chunk.n_known
        self.progress.tokens += chunk.n_tokens
        if self.pending.is_due(self.seconds):
            self.commit()

    def _count(self, rows: int, counts: Mapping[str, int]) -> None:
        self.progress.rows += rows
        self.progress.counts.update(counts)

    def commit(self) -> None:
        """Write what is pending."""
        if self.pending.rows:
            scores = self.parts.commit(self.pending)
            if self.known is not None:
                self.known.add(scores)
