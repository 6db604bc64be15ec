"""Chunks scored one after the other, with the next ones under way.

Where this process has time while the model works (`engines.base.works_apart`), a
thread reads and tokenises the next chunk. An engine that can begin with prompts
(`engines.base.begin_prompts`: ours with processes) is given it before the one in
hand is finished, and no core waits for us; any other waits while the table of a chunk
is made and written. Chunks stay what they are, come in their order, and have the same
numbers either way.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Final, Generic, TypeVar

from ifcurate.data.sources import BadRow, ReadRow
from ifcurate.engines.base import works_apart
from ifcurate.prompts.pairs import PromptPair
from ifcurate.scoring.scorer import BegunChunk, Chunk, Known, Scorer

__all__ = ["ScoredChunk", "score_ahead"]

_DEPTH: Final = 1  # chunks that the engine has beside the one that is waited for
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ScoredChunk:
    """A chunk of rows with what became of it; `chunk` is None where the rows were not wanted."""

    number: int
    n_rows: int
    chunk: Chunk | None
    bad: list[BadRow]


@dataclass(frozen=True, slots=True)
class _Prepared:
    number: int
    n_rows: int
    bad: list[BadRow]
    pairs: list[PromptPair] | None


def score_ahead(
    scorer: Scorer,
    chunks: Iterable[tuple[int, list[ReadRow] | None]],
    *,
    tokens: bool,
    known: Known | None = None,
) -> Generator[ScoredChunk, None, None]:
    """Score chunks (number, rows; None for one that is passed on as it is), in their order.

    What fails, in reading or in the engine, is raised after all chunks before it
    have been given. To be closed: the thread ends then, and what the engine was
    given and nobody waits for is let go.
    """
    apart = works_apart(scorer.engine)
    prepared = _prepare(scorer, chunks)
    under_way: deque[tuple[_Prepared, BegunChunk | None]] = deque()
    failure: Exception | None = None
    source = _Background(prepared) if apart else prepared
    with contextlib.closing(source):
        try:
            while failure is None:
                try:
                    item = next(source)
                    begun = None
                    if item.pairs is not None:
                        begun = scorer.begin_pairs(item.pairs, tokens=tokens, known=known)
                    under_way.append((item, begun))
                except StopIteration:
                    break
                except Exception as error:
                    failure = error
                    break
                while len(under_way) > (_DEPTH if apart else 0):
                    yield _finish(*under_way.popleft())
            while under_way:
                yield _finish(*under_way.popleft())
        finally:
            for _, begun in under_way:
                if begun is not None:
                    begun.cancel()
    if failure is not None:
        raise failure


def _prepare(
    scorer: Scorer, chunks: Iterable[tuple[int, list[ReadRow] | None]]
) -> Generator[_Prepared, None, None]:
    for number, rows in chunks:
        if rows is None:
            yield _Prepared(number, 0, [], None)
            continue
        examples = [example for row in rows for example in row.examples]
        bad = [row.bad for row in rows if row.bad is not None]
        yield _Prepared(number, len(rows), bad, scorer.prepare(examples))


def _finish(item: _Prepared, begun: BegunChunk | None) -> ScoredChunk:
    chunk = None if begun is None else begun.result()
    return ScoredChunk(item.number, item.n_rows, chunk, item.bad)


class _Background(Generic[T]):
    """An iterator whose next item is made in a thread while the last one is used."""

    def __init__(self, items: Generator[T, None, None]) -> None:
        self._items = items
        self._room = threading.Semaphore(1)
        self._made: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()
        self._closing = False
        self._thread = threading.Thread(target=self._make, name="ifcurate-ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        item, error = self._made.get()
        if error is not None:
            raise error
        self._room.release()
        assert item is not None
        return item

    def close(self) -> None:
        """End the thread, behind the item in its hands."""
        self._closing = True
        self._room.release()
        self._thread.join()

    def _make(self) -> None:
        try:
            while self._room.acquire() and not self._closing:
                self._made.put((next(self._items), None))
        except BaseException as error:  # StopIteration too: it is raised over there
            self._made.put((None, error))
        finally:
            self._items.close()
