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
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from ifcurate.data.parse_rows import Piece
from ifcurate.data.readers.files import RawRow
from ifcurate.data.row_formats import RowLayout
from ifcurate.data.sources import Examples, divide_rows, read_row
from ifcurate.engines.load import load_engine
from ifcurate.errors import IfcurateError, RunError
from ifcurate.memory import MemoryBudget
from ifcurate.options.score import ClusterOptions, ScoreSettings
from ifcurate.phrases import count, first_line, missing_package
from ifcurate.runs.chunks import score_chunks
from ifcurate.runs.filling import choose_folder, data_identity, fill_run
from ifcurate.runs.folder import run_differences
from ifcurate.runs.parts import Part, Parts, Pending
from ifcurate.runs.run import Run
from ifcurate.runs.work import Progress, Work
from ifcurate.scoring.scorer import Scorer

_DEFAULTS: Final = ClusterOptions()
_MOST_DEATHS: Final = 5  # of an actor, at one task

#: The number of a chunk, and its rows.
RawChunk = tuple[int, list[tuple[RawRow, RowLayout]]]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster, and how much of it a run uses."""

    address: str | None = None  # None: RAY_ADDRESS, else a cluster of this machine alone
    min_engines: int = 1
    max_engines: int = 1
    cpus_per_engine: float = _DEFAULTS.cpus_per_engine
    gpus_per_engine: float = 0.0  # 0.5: two engines share a GPU
    local_cpus: int | None = None  # CPUs of a cluster of this machine alone; None for all
    chunks_per_part: int = 4  # chunks that an actor scores and writes together


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
            for item, chunk in scored:
                if not pending.follows(item.number):
                    written.append(parts.commit(pending)[0])
                pending.add(item.number, item.n_rows, chunk, item.bad, ends=item.ends)
        if pending.done:
            written.append(parts.commit(pending)[0])
        return self.identity(), written

    def _read(self, chunks: Sequence[RawChunk]) -> Iterator[Piece]:
        for number, rows in chunks:
            for _, piece, ends in divide_rows(rows, len(rows), self._scorer.piece_bytes):
                yield Piece(number, [read_row(*row) for row in piece], ends)


def score_run_on_ray(
    examples: Examples,
    engine: EngineSpec,
    settings: ScoreSettings,
    folder: Path | None = None,
    cluster: Cluster | None = None,
    *,
    name: str = "",
    tokens: bool = False,
    overwrite: bool = False,
    command: str = "",
    checks: dict[str, Any] | None = None,
    on_start: Callable[[Path, Cluster, dict[str, Any]], None] = lambda *_: None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> Run:
    """Score everything into `folder` on a Ray cluster; the tables are those of `score_run`.

    The default folder is in `ifcurate-runs/`; its name begins with `name` when you give
    one. `on_start` receives the folder, the
    cluster as the run uses it, and the run's identity. Raises `RunError` when the
    cluster cannot be reached or is too small, and the errors of `score_run`.
    """
    cluster = cluster or Cluster()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_connected(cluster))
        cluster = _fit(cluster)
        engines = stack.enter_context(contextlib.closing(_Engines(engine, settings, cluster)))
        identity = {**data_identity(examples), **engines.identity}
        where = choose_folder(folder, identity, name, tokens=tokens)
        on_start(where, cluster, identity)
        work = _RayWork(
            examples=examples,
            engines=engines,
            chunk_rows=settings.chunk_rows,
            cluster=cluster,
            on_progress=on_progress,
            stop=stop,
        )
        identity = {**identity, "tokens": tokens}
        more: dict[str, Any] = {"overwrite": overwrite, "command": command, "checks": checks}
        return Run(where, fill_run(where.absolute(), identity, work, **more).manifest)


def _ray() -> Any:
    """Return the package ray. Raises `RunError` if it is not installed."""
    try:
        import ray  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise RunError(missing_package("executor ray", "ray", error)) from error
    return ray


@contextlib.contextmanager
def _connected(cluster: Cluster) -> Iterator[None]:
    ray = _ray()
    already = ray.is_initialized()
    if not already:
        _connect(ray, cluster)
    # Ray writes its messages to stdout, which is for results.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            yield
        finally:
            if not already:
                ray.shutdown()


def _connect(ray: Any, cluster: Cluster) -> None:
    """Connect to the cluster, or start one on this machine. Raises `RunError`."""
    address = cluster.address or os.environ.get("RAY_ADDRESS")
    # Without "local", Ray looks for the last cluster of this machine, even one that died.
    place: dict[str, Any] = {"address": address or "local"}
    if not address:
        place |= {"num_cpus": cluster.local_cpus, "include_dashboard": False}
    try:
        ray.init(log_to_driver=False, logging_level="ERROR", **place)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise RunError(
            f"Ray cluster {address or 'of this machine'}: cannot be used: {first_line(error)}; "
            "check --address, and `ray status` there"
        ) from error


def _fit(cluster: Cluster) -> Cluster:
    """Return the cluster with as many engines as it holds.

    Ray waits silently for what a cluster does not have, so this is checked first.
    Raises `RunError` when the cluster is too small.
    """
    ray = _ray()
    have = ray.cluster_resources()
    cpus, gpus = have.get("CPU", 0.0), have.get("GPU", 0.0)
    most = cluster.max_engines
    if cluster.cpus_per_engine > 0:
        most = min(most, int(cpus / cluster.cpus_per_engine + 1e-9))
    if cluster.gpus_per_engine > 0:
        most = min(most, int(gpus / cluster.gpus_per_engine + 1e-9))
    if most < cluster.min_engines:
        raise RunError(
            f"Ray cluster: too small for {count(cluster.min_engines, 'engine')} of "
            f"{cluster.cpus_per_engine:g} CPUs and {cluster.gpus_per_engine:g} GPUs; found "
            f"{cpus:g} CPUs and {gpus:g} GPUs; use fewer engines, or a larger cluster"
        )
    return replace(cluster, max_engines=most)


class _Engines:
    """Actors with an engine each, on the cluster."""

    def __init__(self, engine: EngineSpec, settings: ScoreSettings, cluster: Cluster) -> None:
        """Start one actor, to ask what its engine is: the driver may have no GPU and no model.

        Raises `RunError` when the engine cannot be loaded.
        """
        actor = _ray().remote(ScoringActor)
        sized = actor.options(
            num_cpus=cluster.cpus_per_engine,
            num_gpus=cluster.gpus_per_engine,
            max_restarts=-1,
            max_task_retries=_MOST_DEATHS,
        )
        self._make = functools.partial(sized.remote, engine, settings)
        self._cluster = cluster
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
        first = list(itertools.islice(batches, self._cluster.max_engines))
        n_engines = max(self._cluster.min_engines, len(first))
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
    cluster: Cluster

    def do(self, parts: Parts) -> None:
        """See `Work.do`."""
        covered = self.resume(parts)
        most = self.cluster.chunks_per_part
        batches = read_batches(self.examples, self.chunk_rows, most, covered)
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
        most = self.cluster.max_engines
        scored = f"scored on a Ray cluster by up to {count(most, 'engine')}"
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
