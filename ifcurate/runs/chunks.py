"""Score chunks one after the other, and prepare the next chunk at the same time.

A thread reads and tokenises the next chunk while the model scores the current one.
Some engines return from `submit` before they are done (`hf` with processes, `server`).
They get the next chunk's prompts before the current chunk is finished, so that no core
waits. The order of the chunks and their numbers are the same in both cases.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from ifcurate.data.row_results import BadRow
from ifcurate.data.sources import Piece
from ifcurate.engines.base import Answer
from ifcurate.prompts.pairs import PromptPair
from ifcurate.scoring.scorer import Chunk, Known, Request, Scorer

_DEPTH: Final = 1  # chunks that the engine has in addition to the current one


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows of a chunk, ready to be scored; `pairs` is None for a chunk that is not scored."""

    number: int
    n_rows: int
    bad: list[BadRow]
    pairs: list[PromptPair] | None
    ends: bool  # the chunk has no further rows


@dataclass(frozen=True, slots=True)
class _UnderWay:
    item: Prepared
    request: Request | None = None
    answers: Future[list[Answer]] | None = None  # None where the engine is not asked

    @property
    def done(self) -> bool:
        return self.answers is None or self.answers.done()


def score_chunks(
    scorer: Scorer,
    chunks: Iterable[Piece],
    *,
    tokens: bool,
    known: Known | None = None,
    on_asked: Callable[[int, int], None] = lambda *_: None,
) -> Generator[tuple[Prepared, Chunk | None], None, None]:
    """Score pieces of chunks in their order; those without rows are passed on as they are.

    `on_asked` gets the rows of a piece, and the tokens that the engine scores of them, before
    the engine does. An error in reading or in the engine is raised after all earlier chunks
    were yielded. Close the generator to end the thread and to cancel the work that the engine
    has not begun.
    """
    prepared = _prepare(scorer, chunks)
    under_way: deque[_UnderWay] = deque()
    failure: Exception | None = None
    with (
        contextlib.closing(prepared),
        ThreadPoolExecutor(1, thread_name_prefix="ifcurate-chunks") as reader,
    ):
        following = reader.submit(next, prepared, None)
        try:
            while failure is None:
                try:
                    item = following.result()
                    if item is None:
                        break
                    following = reader.submit(next, prepared, None)
                    under_way.append(_ask(scorer, item, None if tokens else known, on_asked))
                except Exception as error:
                    failure = error
                    break
                while under_way and (len(under_way) > _DEPTH or under_way[0].done):
                    yield _finish(scorer, under_way.popleft(), tokens=tokens)
            while under_way:
                yield _finish(scorer, under_way.popleft(), tokens=tokens)
        finally:
            for one in under_way:
                if one.answers is not None:
                    one.answers.cancel()
    if failure is not None:
        raise failure


def _prepare(scorer: Scorer, chunks: Iterable[Piece]) -> Generator[Prepared, None, None]:
    for piece in chunks:
        rows = piece.rows
        if rows is None:
            yield Prepared(piece.number, 0, [], None, piece.ends)
            continue
        examples = [example for row in rows for example in row.examples]
        bad = [row.bad for row in rows if row.bad is not None]
        yield Prepared(piece.number, len(rows), bad, scorer.prepare(examples), piece.ends)


def _ask(
    scorer: Scorer, item: Prepared, known: Known | None, on_asked: Callable[[int, int], None]
) -> _UnderWay:
    if item.pairs is None:
        return _UnderWay(item)
    request = scorer.request(item.pairs, known=known)
    on_asked(item.n_rows, request.n_tokens)
    answers = scorer.engine.submit(request.prompts) if request.prompts else None
    return _UnderWay(item, request, answers)


def _finish(scorer: Scorer, one: _UnderWay, *, tokens: bool) -> tuple[Prepared, Chunk | None]:
    if one.request is None:
        return one.item, None
    answers = [] if one.answers is None else one.answers.result()
    return one.item, scorer.finish(one.request, answers, tokens=tokens)
