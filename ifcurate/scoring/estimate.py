"""Estimate the tokens, time and memory of a run from some of its rows. Nothing is written.

The rows are spread over the data. A few of them are scored: first one, then twice as many
each time, until a batch takes a second. The speed of that batch is used for the estimate.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ifcurate.data.sources import Examples
from ifcurate.errors import DataError
from ifcurate.prompts.pairs import PromptPair
from ifcurate.scoring.scorer import Scorer

_CHUNK: Final = 32  # rows
_CHUNKS: Final = 16  # chunks that are read
_SECONDS: Final = 1.0  # time that the last rows take, at least
_SLOW: Final = 5.0  # seconds; if the first row takes longer, no other row is scored

#: The number of consecutive rows, and the prompts of those that can be scored.
_Chunk = tuple[int, list[PromptPair]]


@dataclass(frozen=True, slots=True)
class Estimate:
    """The cost of a run. Values that depend on an unknown number of rows are None."""

    rows: int | None
    rows_read: int  # for this estimate
    scored: int | None  # examples with two prompts
    tokens: int | None  # tokens of both prompts of these
    margin: float  # half of the 95% interval of `tokens`, as a share of them; 0 if all were read
    tokens_per_second: float | None  # None where no row could be scored
    rows_timed: int
    seconds: float | None  # to score all rows; loading the model comes first
    memory: dict[str, int]  # place -> bytes at the peak so far, with the model


def estimate_run(
    examples: Examples, scorer: Scorer, *, clock: Callable[[], float] = time.perf_counter
) -> Estimate:
    """Tokenise rows from all over the data, and score a few of them.

    Raises `DataError` when there is no row, and `ModelError` when the engine fails.
    """
    n_rows = examples.count_rows()
    chunks = _read_chunks(examples, scorer, n_rows)
    n_read = sum(n for n, _ in chunks)
    if not n_read:
        raise DataError("no row was read; nothing to score")
    pairs = [pair for _, of_chunk in chunks for pair in of_chunk]
    tokens = sum(map(_count_tokens, pairs))
    n_timed, speed = _measure_speed(scorer, pairs, clock)
    if n_rows is not None:
        n_rows = max(n_rows, n_read)
    share = None if n_rows is None else n_rows / n_read
    n_tokens = None if share is None else round(tokens * share)
    return Estimate(
        rows=n_rows,
        rows_read=n_read,
        scored=None if share is None else round(len(pairs) * share),
        tokens=n_tokens,
        margin=0.0 if n_rows == n_read else _find_margin(chunks),
        tokens_per_second=speed,
        rows_timed=n_timed,
        seconds=n_tokens / speed if n_tokens is not None and speed else None,
        memory=scorer.engine.memory_used(),
    )


def _find_margin(chunks: Sequence[_Chunk]) -> float:
    """Half of the 95% interval of the tokens in all rows, as a share, from the chunks' spread."""
    each = [sum(map(_count_tokens, pairs)) / n for n, pairs in chunks]
    if len(each) < 2 or not sum(each):
        return 0.0
    return 2 * statistics.stdev(each) / math.sqrt(len(each)) / statistics.mean(each)


def _read_chunks(examples: Examples, scorer: Scorer, n_rows: int | None) -> list[_Chunk]:
    """Chunks from all over the data.

    Small data are read completely. Of data of unknown size, the first rows are read.
    """
    n_chunks = _CHUNKS if n_rows is None else max(1, -(-n_rows // _CHUNK))
    step = max(1.0, n_chunks / _CHUNKS)
    wanted = {int((i + 0.5) * step) for i in range(min(n_chunks, _CHUNKS))}
    chunks = []
    pieces = examples.read_chunks(_CHUNK, wanted.__contains__, scorer.piece_bytes)
    for piece in pieces:
        pairs = [p for p in scorer.prepare(piece.examples) if p.with_context is not None]
        chunks.append((len(piece.rows), pairs))
        if piece.ends and piece.number == max(wanted):
            break
    return chunks


def _count_tokens(pair: PromptPair) -> int:
    return sum(len(p.ids) for p in (pair.with_context, pair.without_context) if p is not None)


def _measure_speed(
    scorer: Scorer, pairs: Sequence[PromptPair], clock: Callable[[], float]
) -> tuple[int, float | None]:
    """Return how many pairs were scored last, and the tokens per second of these."""
    first, n, speed = 0, 1, None
    while first < len(pairs):
        some = pairs[first : first + n]
        started = clock()
        scorer.score_pairs(some)
        seconds = max(clock() - started, 1e-9)
        speed = sum(map(_count_tokens, some)) / seconds
        first += n
        # The first pair also warms the engine up, so its time is used only if there is no other.
        enough = seconds >= (_SLOW if n == 1 else _SECONDS)
        if enough or len(pairs) - first < n:
            return len(some), speed  # fewer pairs than these would be less exact
        n *= 2
    return 0, speed
