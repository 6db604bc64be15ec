"""Score a run chunk by chunk. Finished chunks and cached scores are not computed again."""

from __future__ import annotations

import contextlib
import gc
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ifcurate.data.parse_rows import Piece
from ifcurate.data.sources import Examples
from ifcurate.data.unread import describe_unread
from ifcurate.errors import DataError, RunError
from ifcurate.runs.chunks import score_chunks
from ifcurate.runs.parts import Part, Parts, Pending
from ifcurate.scoring.cache import ScoreCache
from ifcurate.scoring.scorer import Chunk, Scorer


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several equal parts of the rows: each `of`-th chunk, from the `index`-th on."""

    index: int = 1  # 1..of
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Return the shard of the text `I/N`. Raises `RunError` for any other text."""
        match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise RunError(
                f"shard {text!r}: not one of I/N with I from 1 to N; write 1/8 for the first of 8 "
                "(a job array that counts from 0 gives $((SLURM_ARRAY_TASK_ID + 1))/8)"
            )
        return cls(int(match[1]), int(match[2]))

    def has(self, chunk: int) -> bool:
        """Return whether a chunk, counted from 0, is in the shard."""
        return chunk % self.of == self.index - 1

    def count_rows(self, total: int, size: int) -> int:
        """Return how many of `total` rows, in chunks of `size`, are in the shard."""
        chunks = range((self.index - 1) * size, total, self.of * size)
        return sum(min(size, total - start) for start in chunks)


@dataclass(slots=True)
class Progress:
    """How far a scoring run is."""

    rows: int = 0  # read and accounted for, those of earlier attempts included
    resumed_rows: int = 0  # of these, from earlier attempts
    tokens: int = 0  # scored in this attempt, both variants
    rows_ahead: int = 0  # scored too, but not accounted for yet
    tokens_ahead: int = 0  # of these
    rows_asked: int = 0  # read in this attempt, of chunks that are scored or will be next
    tokens_asked: int = 0  # tokens that the engine scores of these, both variants
    rows_skipped: int = 0  # of these rows, in chunks before the first with such tokens
    counts: Counter[str] = field(default_factory=Counter)

    def ask(self, n_rows: int, n_tokens: int) -> None:
        """Count a chunk that is submitted to the engine."""
        self.rows_asked += n_rows
        self.tokens_asked += n_tokens
        if not self.tokens_asked:
            self.rows_skipped += n_rows

    def tokens_left(self, total: int) -> float | None:
        """Return the tokens of `total` rows that are still to score; None before the first row.

        The estimate gives unread rows the mean of the rows that were read. Rows without a
        context, and rows in the cache, have no tokens to score.
        """
        if not self.tokens_asked:
            return None
        per_row = self.tokens_asked / (self.rows_asked - self.rows_skipped)
        unread = max(0, total - self.resumed_rows - self.rows_asked)
        return self.tokens_asked - self.tokens - self.tokens_ahead + unread * per_row


@contextlib.contextmanager
def _rare_collection() -> Iterator[None]:
    """Collect garbage rarely. Rows make no cycles, and collection took a quarter of the time."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@dataclass(kw_only=True)
class Work:
    """Work that scores rows into parts and reports its progress."""

    examples: Examples
    on_progress: Callable[[Progress], None]
    stop: Callable[[], bool]
    progress: Progress = field(default_factory=Progress)

    def do(self, parts: Parts) -> None:
        """Score the rows that are not in `parts` yet. Finished rows stay if it raises."""
        raise NotImplementedError

    def add_part(self, part: Part) -> None:
        """Count a finished part."""
        self.progress.rows += part.n_rows
        self.progress.counts.update(part.counts)

    def resume(self, parts: Parts) -> set[int]:
        """Count the parts of earlier attempts. Returns the numbers of their chunks."""
        covered: set[int] = set()
        for part in parts:
            covered.update(part.chunks)
            self.add_part(part)
        self.progress.resumed_rows = self.progress.rows
        if covered:
            self.on_progress(self.progress)
        return covered

    def notes(self) -> list[str]:
        """Notes about the finished work, for the summary."""
        return describe_unread(self.examples.unread())


@dataclass(kw_only=True)
class LocalWork(Work):
    """The work of `score_run`, in this process, chunk by chunk."""

    scorer: Scorer
    shard: Shard
    cache: ScoreCache | None
    commit_seconds: float
    _pending: Pending = field(default_factory=Pending)
    _moving: threading.Lock = field(default_factory=threading.Lock)
    _prompts_ahead: int = 0
    _tokens_ahead: int = 0

    def do(self, parts: Parts) -> None:
        """See `Work.do`."""
        if self.cache is not None:
            self.cache.freeze(parts.folder / "begin.json")
        covered = self.resume(parts)
        # Chunks of a shard have their own numbers: 0, 1, 2, ...
        shard = self.shard
        wanted = lambda n: shard.has(n) and n // shard.of not in covered  # noqa: E731
        size = self.scorer.settings.chunk_rows
        pieces = self.examples.read_chunks(size, wanted, self.scorer.piece_bytes)
        known = self.cache.find if self.cache else None
        self.scorer.engine.on_scored = self._hear
        scored = score_chunks(
            self.scorer, pieces, tokens=parts.tokens, known=known, on_asked=self.progress.ask
        )
        try:
            with _rare_collection(), contextlib.closing(scored):
                for piece, chunk in scored:
                    self._take(parts, piece, chunk)
            self._commit(parts)
        except BaseException:
            with contextlib.suppress(DataError):
                self._commit(parts)
            raise
        finally:
            self.scorer.engine.on_scored = None

    def notes(self) -> list[str]:
        """See `Work.notes`."""
        problem = self.cache.problem if self.cache else ""
        engine = self.scorer.engine.report().notes
        return [*engine, *([problem] if problem else ()), *super().notes()]

    def _take(self, parts: Parts, piece: Piece, chunk: Chunk) -> None:
        number = piece.number // self.shard.of
        if not self._pending.follows(number):
            self._commit(parts)
        self._pending.add(number, piece, chunk)
        progress = self.progress
        progress.rows += len(piece.rows)
        progress.counts.update(chunk.scores["status"].to_list())
        if piece.bad:
            progress.counts["quarantined"] += len(piece.bad)
        progress.tokens += chunk.n_tokens
        self._move(-chunk.n_prompts, -chunk.n_tokens)
        if self._pending.is_due(self.commit_seconds):
            self._commit(parts)
        self.on_progress(progress)
        if piece.ends and self.stop():
            raise KeyboardInterrupt

    def _hear(self, n_prompts: int, n_tokens: int) -> None:
        """Count the prompts that the engine scored. The engine's thread calls this too."""
        self._move(n_prompts, n_tokens)
        self.on_progress(self.progress)

    def _move(self, n_prompts: int, n_tokens: int) -> None:
        with self._moving:
            self._prompts_ahead += n_prompts
            self._tokens_ahead += n_tokens
            # Both are below 0 if the engine does not report its prompts.
            self.progress.rows_ahead = max(0, self._prompts_ahead // 2)
            self.progress.tokens_ahead = max(0, self._tokens_ahead)

    def _commit(self, parts: Parts) -> None:
        if self._pending.done:
            _, scores = parts.commit(self._pending)
            if self.cache is not None:
                self.cache.add(scores)
