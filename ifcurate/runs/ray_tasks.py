"""What a Ray cluster scores, and the actors that do it. Nothing here imports Ray."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ifcurate.data.readers.files import RawRow
from ifcurate.data.row_formats import RowLayout
from ifcurate.data.sources import Examples, Piece, divide_rows, read_row
from ifcurate.engines.load import load_engine
from ifcurate.memory import MemoryBudget
from ifcurate.options.score import ScoreSettings
from ifcurate.runs.chunks import score_chunks
from ifcurate.runs.parts import Part, Parts, Pending
from ifcurate.scoring.scorer import Scorer

#: The number of a chunk, and its rows.
RawChunk = tuple[int, list[tuple[RawRow, RowLayout]]]


def read_batches(
    examples: Examples, size: int, together: int, covered: Container[int]
) -> Iterator[list[RawChunk]]:
    """Yield the chunks of `size` rows that are not covered, some together."""
    rows = examples.raw_rows()
    chunks = iter(lambda: list(itertools.islice(rows, size)), [])
    wanted = (chunk for chunk in enumerate(chunks) if chunk[0] not in covered)
    return iter(lambda: list(itertools.islice(wanted, together)), [])


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """How an actor loads its engine: what `load_engine` takes."""

    engine: str
    model: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Any:
        """Return the engine."""
        return load_engine(self.engine, model=self.model, **self.options)


class ScoringActor:
    """Holds an engine; scores chunks and writes them as parts."""

    def __init__(self, engine: EngineSpec, settings: ScoreSettings) -> None:
        self._engine = engine
        self._settings = settings

    @functools.cached_property
    def _scorer(self) -> Scorer:
        memory = MemoryBudget.create(self._engine.options.get("memory"))
        return Scorer.create(self._engine.load(), self._settings, memory=memory)

    def identity(self) -> dict[str, Any]:
        """Return `Scorer.identity`. The engine is loaded at the first call."""
        return self._scorer.identity()

    def score(self, chunks: Sequence[RawChunk], folder: Path, *, tokens: bool) -> list[Part]:
        """Score chunks in their order, and write consecutive ones as one part."""
        parts = Parts(folder, tokens=tokens, look=False)
        pending = Pending()
        written: list[Part] = []
        scored = score_chunks(self._scorer, self._read(chunks), tokens=tokens)
        with contextlib.closing(scored):
            for item, chunk in scored:
                if not pending.follows(item.number):
                    written.append(parts.commit(pending)[0])
                pending.add(item.number, item.n_rows, chunk, item.bad, ends=item.ends)
        if pending.done:
            written.append(parts.commit(pending)[0])
        return written

    def _read(self, chunks: Sequence[RawChunk]) -> Iterator[Piece]:
        for number, rows in chunks:
            for _, piece, ends in divide_rows(rows, len(rows), self._scorer.piece_bytes):
                yield Piece(number, [read_row(*row) for row in piece], ends)
