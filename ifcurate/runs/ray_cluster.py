"""Score a run on a Ray cluster: `ifcurate score --executor ray`.

This process reads the rows and deals them out, some chunks at a time, to actors. Each actor
holds one engine and writes parts into the run folder, as a run on one machine does. So the
tables do not depend on the number of actors, a worker that dies costs the chunks that it was
scoring, and a run whose driver dies resumes. Ray starts an actor that dies again, and repeats its
task. The run folder must be on storage that every node sees under the same path, and ifcurate must
be installed on every node.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ifcurate.data.parse_rows import Piece
from ifcurate.data.readers.files import RawRow
from ifcurate.data.row_formats import RowLayout
from ifcurate.data.sources import Examples, divide_rows, read_row
from ifcurate.engines.load import load_engine
from ifcurate.errors import IfcurateError, RunError
from ifcurate.memory import MemoryBudget
from ifcurate.options.score import ClusterOptions, EngineOptions, RunOptions, ScoreSettings
from ifcurate.phrases import count, first_line, missing_package
from ifcurate.runs.chunks import score_chunks
from ifcurate.runs.filling import choose_folder, data_identity, fill_run
from ifcurate.runs.folder import run_differences
from ifcurate.runs.parts import Part, Parts, Pending
from ifcurate.runs.run import Run
from ifcurate.runs.work import Progress, Work
from ifcurate.scoring.scorer import Scorer

_MOST_DEATHS: Final = 5  # of an actor, at one task
_CHUNKS_PER_PART: Final = 4  # chunks that an actor scores and writes together

#: The number of a chunk, and its rows.
RawChunk = tuple[int, list[tuple[RawRow, RowLayout]]]


class ScoringActor:
    """Holds an engine; scores chunks and writes them as parts."""

    def __init__(self, engine: EngineOptions, settings: ScoreSettings) -> None:
        self._engine = engine
        self._settings = settings

    @functools.cached_property
    def _scorer(self) -> Scorer:
        values = self._engine.for_engine(max_length=self._settings.max_length)
        engine = load_engine(self._engine.engine, **values)
        memory = MemoryBudget.create(self._engine.memory)
        return Scorer.create(engine, self._settings, memory=memory)

    def identity(self) -> dict[str, Any]:
        """Return `Scorer.identity`. The engine is loaded at the first call."""
        return self._scorer.identity()

    def score(
        self, chunks: Sequence[RawChunk], folder: Path, *, tokens: bool
    ) -> tuple[dict[str, Any], list[Part]]:
        """Score chunks in their order, and write consecutive ones as one part.

        Returns the identity and the parts.
        """
        parts = Parts(folder, tokens=tokens, look=False)
        pending = Pending()
        written: list[Part] = []
        scored = score_chunks(self._scorer, self._read(chunks), tokens=tokens)
        with contextlib.closing(scored):
            for piece, chunk in scored:
                if not pending.follows(piece.number):
                    written.append(parts.commit(pending)[0])
                pending.add(piece.number, piece, chunk)
        if pending.done:
            written.append(parts.commit(pending)[0])
        return self.identity(), written

    def _read(self, chunks: Sequence[RawChunk]) -> Iterator[Piece]:
        for number, rows in chunks:
            for _, piece, ends in divide_rows(rows, len(rows), self._scorer.piece_bytes):
                yield Piece(number, [read_row(*row) for row in piece], ends)


def score_run_on_ray(
    examples: Examples,
    engine: EngineOptions,
    settings: ScoreSettings,
    target: RunOptions,
    cluster: ClusterOptions,
    *,
    command: str = "",
    checks: dict[str, Any] | None = None,
    on_start: Callable[[Path, int, dict[str, Any]], None] = lambda *_: None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> Run:
    """Score everything on a Ray cluster; the tables are those of `score_run`.

    `on_start` receives the folder, the largest number of engines, and the run's identity. Raises
    `RunError` when the cluster cannot be reached or is too small, and the errors of `score_run`.
    """
    with (
        _connected(cluster.address),
        contextlib.closing(_Engines(engine, settings, cluster)) as engines,
    ):
        identity = {**data_identity(examples), **engines.identity}
        where = choose_folder(target.out, identity, target.name, tokens=target.tokens)
        on_start(where, engines.most, identity)
        work = _RayWork(
            examples=examples,
            engines=engines,
            chunk_rows=settings.chunk_rows,
            on_progress=on_progress,
            stop=stop,
        )
        run = fill_run(
            where.absolute(),
            {**identity, "tokens": target.tokens},
            work,
            overwrite=target.overwrite,
            command=command,
            checks=checks,
        )
        return Run(where, run.manifest)


def _ray() -> Any:
    """Return the package ray. Raises `RunError` if it is not installed."""
    try:
        import ray  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise RunError(missing_package("executor ray", "ray", error)) from error
    return ray


@contextlib.contextmanager
def _connected(address: str | None) -> Iterator[None]:
    ray = _ray()
    already = ray.is_initialized()
    if not already:
        _connect(ray, address or os.environ.get("RAY_ADDRESS"))
    # Ray writes its messages to stdout, which is for results.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            yield
        finally:
            if not already:
                ray.shutdown()


def _connect(ray: Any, address: str | None) -> None:
    """Connect to the cluster, or start one on this machine. Raises `RunError`."""
    # Without "local", Ray looks for the last cluster of this machine, even one that died.
    place = {"address": address} if address else {"address": "local", "include_dashboard": False}
    try:
        ray.init(log_to_driver=False, logging_level="ERROR", **place)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise RunError(
            f"Ray cluster {address or 'of this machine'}: cannot be used: {first_line(error)}; "
            "check --address, and `ray status` there"
        ) from error


def _count_fitting(fewest: int, most: int, cpus: float, gpus: float) -> int:
    """Return how many engines of these CPUs and GPUs the cluster holds, at most `most`.

    Ray waits silently for what a cluster does not have, so this is checked first.
    Raises `RunError` when it does not hold the fewest.
    """
    have = _ray().cluster_resources()
    for name, each in (("CPU", cpus), ("GPU", gpus)):
        if each > 0:
            most = min(most, int(have.get(name, 0.0) / each + 1e-9))
    if most < fewest:
        raise RunError(
            f"Ray cluster: too small for {count(fewest, 'engine')} of "
            f"{cpus:g} CPUs and {gpus:g} GPUs; found {have.get('CPU', 0.0):g} CPUs and "
            f"{have.get('GPU', 0.0):g} GPUs; use fewer engines, or a larger cluster"
        )
    return most


class _Engines:
    """Actors with an engine each, on the cluster."""

    def __init__(
        self, engine: EngineOptions, settings: ScoreSettings, cluster: ClusterOptions
    ) -> None:
        """Start one actor, to ask what its engine is: the driver may have no GPU and no model.

        Raises `RunError` when the cluster is too small, or when the engine cannot be loaded.
        """
        cpus, gpus = cluster.cpus_per_engine, cluster.gpus_per_engine
        gpus = float(engine.on_gpu) if gpus is None else gpus
        self._fewest, most = cluster.engine_range
        self.most = _count_fitting(self._fewest, most, cpus, gpus)
        sized = (
            _ray()
            .remote(ScoringActor)
            .options(num_cpus=cpus, num_gpus=gpus, max_restarts=-1, max_task_retries=_MOST_DEATHS)
        )
        self._make = functools.partial(sized.remote, engine, settings)
        self._actors = [self._make()]
        self.identity: dict[str, Any] = _get(self._actors[0].identity.remote())

    def close(self) -> None:
        """End the actors."""
        for actor in self._actors:
            _ray().kill(actor)

    def score(
        self, batches: Iterator[list[RawChunk]], folder: Path, *, tokens: bool
    ) -> Iterator[Part]:
        """Score batches of chunks, and yield their parts as they are written.

        Raises `RunError` when actors die again and again, or when their engines differ.
        """
        first = list(itertools.islice(batches, self.most))
        n_engines = max(self._fewest, len(first))
        self._actors += [self._make() for _ in range(n_engines - 1)]
        left = itertools.chain(first, batches)
        busy: dict[Any, Any] = {}  # task -> its actor
        free = self._actors
        while True:
            for actor, batch in zip(free, left, strict=False):
                busy[actor.score.remote(batch, folder, tokens=tokens)] = actor
            if not busy:
                return
            (done,), _ = _ray().wait(list(busy))
            identity, parts = _get(done)
            _check_engine(self.identity, identity)
            free = [busy.pop(done)]
            yield from parts


def _check_engine(identity: dict[str, Any], other: dict[str, Any]) -> None:
    """Raise `RunError` for an engine that differs from the first one."""
    if differences := run_differences(identity, other):
        raise RunError(
            f"an engine on another node differs ({'; '.join(differences[:4])}); scores of "
            "different engines are never mixed: install the same versions on all nodes"
        )


def read_batches(
    examples: Examples, size: int, together: int, covered: Container[int]
) -> Iterator[list[RawChunk]]:
    """Yield the chunks of `size` rows that are not covered, some together."""
    rows = examples.raw_rows()
    chunks = iter(lambda: list(itertools.islice(rows, size)), [])
    wanted = (chunk for chunk in enumerate(chunks) if chunk[0] not in covered)
    return iter(lambda: list(itertools.islice(wanted, together)), [])


@dataclass(kw_only=True)
class _RayWork(Work):
    """The work of `score_run_on_ray`."""

    engines: _Engines
    chunk_rows: int

    def do(self, parts: Parts) -> None:
        """See `Work.do`."""
        covered = self.resume(parts)
        batches = read_batches(self.examples, self.chunk_rows, _CHUNKS_PER_PART, covered)
        for part in self.engines.score(batches, parts.folder, tokens=parts.tokens):
            self.add_part(part)
            self.progress.tokens += part.tokens
            self.on_progress(self.progress)
            if self.stop():
                raise KeyboardInterrupt
        parts.refresh()
        found = sum(part.n_rows for part in parts)
        if found != self.progress.rows:
            raise RunError(
                f"{parts.folder}: rows that the cluster scored are missing; found {found} of "
                f"{self.progress.rows}; use a folder that all nodes see under this path, and "
                "start the same command again"
            )

    def notes(self) -> list[str]:
        """See `Work.notes`."""
        scored = f"scored on a Ray cluster by up to {count(self.engines.most, 'engine')}"
        return [scored, *super().notes()]


def _get(asked: Any) -> Any:
    """Return the result of a task. Raises `RunError` when it fails."""
    ray = _ray()
    try:
        return ray.get(asked)
    except ray.exceptions.RayError as error:
        raise _cause(error) from error


def _cause(error: BaseException) -> IfcurateError:
    """Return the user's error inside one of Ray's."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, IfcurateError):
            return RunError(str(getattr(inner, "cause", inner)))
        inner = getattr(inner, "cause", None) or inner.__cause__
    lines = [line for line in str(error).splitlines() if line.strip()]
    return RunError(
        f"Ray cluster: the work failed: {lines[-1].strip() if lines else type(error).__name__}; "
        "is ifcurate installed on all nodes? Finished rows are kept: the same command resumes"
    )
