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
from typing import Final

from ifcurate.data.parse_rows import Piece
from ifcurate.engines.base import Answer, finished
from ifcurate.scoring.scorer import Chunk, Known, Request, Scorer

_DEPTH: Final = 1  # chunks that the engine has in addition to the current one


def score_chunks(
    scorer: Scorer,
    pieces: Iterable[Piece],
    *,
    tokens: bool,
    known: Known | None = None,
    on_asked: Callable[[int, int], None] = lambda *_: None,
) -> Generator[tuple[Piece, Chunk], None, None]:
    """Score pieces of chunks in their order.

    `on_asked` gets the rows of a piece, and the tokens that the engine scores of them, before
    the engine does. An error in reading or in the engine is raised after all earlier chunks
    were yielded. Close the generator to end the thread and to cancel the work that the engine
    has not begun.
    """
    prepared = ((piece, scorer.prepare(piece.examples)) for piece in pieces)
    under_way: deque[tuple[Piece, Request, Future[list[Answer]]]] = deque()

    def finish() -> tuple[Piece, Chunk]:
        piece, request, answers = under_way.popleft()
        return piece, scorer.finish(request, answers.result(), tokens=tokens)

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
                    piece, pairs = item
                    request = scorer.request(pairs, known=None if tokens else known)
                    on_asked(len(piece.rows), request.n_tokens)
                    prompts = request.prompts
                    answers = scorer.engine.submit(prompts) if prompts else finished([])
                    under_way.append((piece, request, answers))
                except Exception as error:
                    failure = error
                    break
                while under_way and (len(under_way) > _DEPTH or under_way[0][2].done()):
                    yield finish()
            while under_way:
                yield finish()
        finally:
            for _, _, answers in under_way:
                answers.cancel()
    if failure is not None:
        raise failure
