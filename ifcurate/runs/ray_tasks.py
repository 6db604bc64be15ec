"""The work of a Ray cluster's nodes: tasks that read, and actors that score.

Nothing here imports Ray.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ifcurate.data.readers.files import RawRow
from ifcurate.data.readers.rows import read_rows
from ifcurate.data.sources import Examples, Piece, divide_rows, read_row
from ifcurate.engines.load import load_engine
from ifcurate.errors import RunError
from ifcurate.memory import MemoryBudget
from ifcurate.options.score import ScoreSettings
from ifcurate.runs.chunks import score_chunks
from ifcurate.runs.folder import run_differences
from ifcurate.runs.parts import Part, Parts, Pending
from ifcurate.scoring.scorer import Scorer


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """How an actor loads its engine: what `load_engine` takes."""

    engine: str
    model: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Any:
        """Return the engine."""
        return load_engine(self.engine, model=self.model, **self.options)


def ask_identity(engine: EngineSpec, settings: ScoreSettings) -> dict[str, Any]:
    """Return the identity of the engine."""
    return Scorer.create(engine.load(), settings).identity()


def count_source(source: Any, folder: str) -> int:
    """Return how many rows a source has, good and bad."""
    _go_to(folder)
    return sum(1 for _ in read_rows(source, parse=False))


def _go_to(folder: str) -> None:
    """Change to the driver's folder, to which relative names of sources refer."""
    with contextlib.suppress(OSError):
        os.chdir(folder)


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of a chunk, in one value for Ray."""

    rows: tuple[tuple[RawRow, int], ...]  # with the index of the row's layout


def read_chunks(
    task: Mapping[str, int],
    examples: Examples,
    starts: Sequence[int],
    size: int,
    covered: frozenset[int],
    folder: str,
) -> Iterator[dict[str, Any]]:
    """Yield the chunks that begin in one source; the last one may end in a later source."""
    _go_to(folder)
    first, end, at = task["first"], task["end"], task["source"]
    if all(n in covered for n in range(first, end)):
        return
    rows = (
        (raw, i)
        for i in range(at, len(examples.sources))
        for raw in read_rows(examples.sources[i], parse=False)
    )
    limit = starts[-1] if examples.limit is None else examples.limit
    mine = itertools.islice(rows, first * size - starts[at], max(limit - starts[at], 0))
    for n in range(first, end):
        chunk = tuple(itertools.islice(mine, size))
        if chunk and n not in covered:
            yield {"chunk": n, "rows": _Rows(chunk), "layouts": examples.layouts}


def _read(batch: Mapping[str, Any], i: int, piece_bytes: int) -> Iterator[Piece]:
    layouts, rows = batch["layouts"][i], batch["rows"][i].rows
    pairs = ((raw, layouts[layout]) for raw, layout in rows)
    for piece, ends in divide_rows(pairs, len(rows), piece_bytes):
        yield Piece(int(batch["chunk"][i]), [read_row(*row) for row in piece], ends)


class ScoringActor:
    """Holds an engine; scores chunks and writes them as parts."""

    def __init__(
        self,
        engine: EngineSpec,
        settings: ScoreSettings,
        identity: dict[str, Any],
        folder: str,
        tokens: bool,
    ) -> None:
        memory = MemoryBudget.create(engine.options.get("memory"))
        self._scorer = Scorer.create(engine.load(), settings, memory=memory)
        if differences := run_differences(identity, self._scorer.identity()):
            raise RunError(
                f"an engine on another node differs ({'; '.join(differences[:4])}); scores of "
                "different engines are never mixed: install the same versions on all nodes"
            )
        self._parts = Parts(Path(folder), tokens=tokens, look=False)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[str]]:
        """Score the chunks of a batch, and write consecutive ones as one part.

        Returns a batch for Ray, with a row for each part.
        """
        order = sorted(range(len(batch["chunk"])), key=lambda i: int(batch["chunk"][i]))
        pending = Pending()
        written: list[Part] = []
        size = self._scorer.piece_bytes
        chunks = (piece for i in order for piece in _read(batch, i, size))
        scored = score_chunks(self._scorer, chunks, tokens=self._parts.tokens)
        with contextlib.closing(scored):
            for item, chunk in scored:
                if not pending.follows(item.number):
                    written.append(self._parts.commit(pending)[0])
                pending.add(item.number, item.n_rows, chunk, item.bad, ends=item.ends)
        if pending.done:
            written.append(self._parts.commit(pending)[0])
        return {"part": [part.model_dump_json() for part in written]}
