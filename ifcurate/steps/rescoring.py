"""Rows near a cut, scored again in float32, so that rounding does not decide their label.

In 16 bits, the loss of a row is off by some thousandths of a nat per token, and for single
rows by ten times that (`benchmarks/scoring/RESULTS.md`). Then chance decides the side of the cut
for rows with

    |value - cut| <= band            (nats per token, the unit of the statistic)

These rows are read again from the run's data, and the same model scores the same prompts in
float32. A row's key, the hash of its token ids, shows that its prompts are the same. A table
never mixes two dtypes: the new numbers are in `rescored.parquet` (`ifcurate.steps.rescored`),
and `scores.parquet` does not change.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from ifcurate.engines.base import NO_KERNELS, Engine
from ifcurate.engines.load import load_engine
from ifcurate.errors import ModelError, RunError
from ifcurate.options.score import ScoreSettings
from ifcurate.options.split import RescoreOptions
from ifcurate.runs.folder import lock_run
from ifcurate.runs.reading import Rows, read_again, row_changed, run_examples, run_model
from ifcurate.runs.run import Run
from ifcurate.scoring.scorer import Scorer
from ifcurate.split.rules import SplitCuts
from ifcurate.steps.rescored import RESCORED, IntArray, Rescored, RescoredStore
from ifcurate.storage.files import GROUP_ROWS, readable_table
from ifcurate.storage.tables import NUMBERS

_PLACE: Final = ("id", "source", "row", "turn", "key")
_DTYPE: Final = "float32"
_HALF: Final = ("bfloat16", "float16")
_SECONDS: Final = 2.0  # seconds of work that a kill can lose


@dataclass(frozen=True, slots=True)
class Rescore:
    """Scores rows near a cut again, with the run's model."""

    options: RescoreOptions
    on_progress: Callable[[int, int], None] = lambda *_: None  # rows scored, rows in all
    stop: Callable[[], bool] = lambda: False

    def score(self, run: Run, cuts: SplitCuts) -> Rescored:
        """Return the float32 numbers of the rows near these cuts, stored or new.

        The run's data and its model are loaded only when a row is missing. Finished rows
        are written every few seconds, so work resumes after a kill. When `stop` returns
        True, `KeyboardInterrupt` is raised after the finished rows are written.

        Raises `RunError` when the run cannot be scored again, or when data, model or template are
        not those of the run, `ModelError` when the engine fails.
        """
        check_rescorable(run.folder, run.manifest.identity["engine"])
        band = self.options.rescore_band or 0.0
        if any(cut.statistic == "context_attention" for cut in cuts.cuts):
            raise RunError(
                f"{run.folder}: --rescore-band scores losses again; found a cut of "
                "context_attention; leave it out, or score with --dtype float32"
            )
        with readable_table(run.scores_path):
            places = cuts.find_near(band)
        with lock_run(run.folder):
            store = RescoredStore(run)
            missing = np.setdiff1d(places, store.places)
            if len(missing):
                examples = run_examples(run)
                with self.open_engine(run) as engine:
                    scorer = _same_scorer(run, engine, self.options.template)
                    if asdict(engine.identity) != store.engine:
                        store.use(asdict(engine.identity))
                        missing = places
                    rows = read_again(run, examples, scorer, _rows_at(run, missing))
                    self._score_rows(run, scorer, rows, len(missing), store)
            return Rescored(band, store.read(places), store.engine, len(missing))

    def _score_rows(
        self, run: Run, scorer: Scorer, pieces: Iterable[Rows], total: int, store: RescoredStore
    ) -> None:
        """Score rows with their prompts. Finished rows are on disk, also when this raises."""
        rows = itertools.chain.from_iterable(pieces)
        held: list[pl.DataFrame] = []
        n_done, since = 0, time.monotonic()
        try:
            while batch := list(itertools.islice(rows, scorer.settings.chunk_rows)):
                held.append(_score_batch(run, scorer, batch))
                n_done += len(batch)
                if time.monotonic() - since >= _SECONDS:
                    store.add(held)
                    held, since = [], time.monotonic()
                self.on_progress(n_done, total)
                if self.stop():
                    raise KeyboardInterrupt
        finally:
            if held:
                store.add(held)

    def open_engine(self, run: Run) -> Engine:
        """Return the run's model in float32, on the hf engine. Raises `ModelError`, `RunError`."""
        name, revision = run_model(run, self.options.model)
        version = run.manifest.identity["engine"]["engine_version"]
        given = self.options.model_dump(exclude={"rescore_band", "model", "template"})
        return load_engine(
            "hf",
            model=name,
            revision=revision,
            dtype=_DTYPE,
            max_length=run.manifest.identity["settings"]["max_length"],
            no_kernels=version.endswith(NO_KERNELS),
            **given,
        )


def check_rescorable(where: Path, engine: Mapping[str, Any]) -> None:
    """Refuse a run that cannot be scored again, or that would gain nothing from it.

    `engine` is the engine's identity in the manifest of the run in `where`. Raises `RunError`.
    """
    dtype = engine["dtype"]
    if engine["engine"] == "toy":
        raise RunError(
            f"{where}: scored by the toy engine, which has no model and no dtype; "
            "there is nothing to score again: leave out --rescore-band"
        )
    if dtype in (_DTYPE, "float64"):
        raise RunError(
            f"{where}: scored in {dtype} already, so nothing is gained by scoring again in "
            f"{_DTYPE}; leave out --rescore-band"
        )
    if engine["engine"] == "server" or dtype not in _HALF:
        raise RunError(
            f"{where}: scored by engine {engine['engine']} in {dtype}; only runs of hf and vllm in "
            "bfloat16 or float16 can be scored again in part; score with --engine hf --dtype "
            f"{_DTYPE} instead"
        )


def _same_scorer(run: Run, engine: Engine, template: str | None) -> Scorer:
    """Return a scorer with the run's settings in float32.

    Raises `RunError` when anything else differs.
    """
    identity = run.manifest.identity
    old, new = identity["engine"], asdict(engine.identity)
    names = ["model", "revision", "tokenizer"]
    if old["engine"] == new["engine"]:
        names.append("engine_version")
    for name in names:
        if old[name] != new[name]:
            raise RunError(
                f"{run.folder}: the {name.replace('_', ' ')} is not the one that the run was "
                f"scored with; found {new[name]}, there {old[name]}; give the same model with "
                "--model, or score again"
            )
    if new["dtype"] != _DTYPE:
        raise ModelError(f"engine {new['engine']}: asked for {_DTYPE}, found {new['dtype']}")
    settings = {**identity["settings"], **({"template": template} if template else {})}
    scorer = Scorer.create(engine, ScoreSettings(**settings))
    known = identity["template"]
    if scorer.template.fingerprint != known["fingerprint"]:
        raise RunError(
            f"{run.folder}: the template {known['name']} has changed since the run; "
            "restore it (--template names the file), or score again"
        )
    return scorer


def _score_batch(run: Run, scorer: Scorer, batch: Rows) -> pl.DataFrame:
    """Return the new numbers of these rows, as RESCORED."""
    for row, pair in batch:
        if pair.with_context is None or pair.key != row["key"]:
            raise row_changed(run, row, "other tokens")
    scores = scorer.score_pairs([pair for _, pair in batch]).scores
    places = pl.DataFrame([row for row, _ in batch])
    rows = places.hstack(scores.select("status", "reason", *NUMBERS))
    return rows.select(pl.col(name).cast(kind) for name, kind in RESCORED.items())


def _rows_at(run: Run, places: IntArray) -> Iterator[dict[str, Any]]:
    """Yield the rows of the scores at these places; one slice at a time is in memory."""
    rows = run.scan_scores(place=True).select("place", *_PLACE)
    for at in range(0, len(places), GROUP_ROWS):
        chosen = pl.Series(places[at : at + GROUP_ROWS]).implode()
        with readable_table(run.scores_path):
            frame = rows.filter(pl.col("place").is_in(chosen)).collect(engine="streaming")
        yield from frame.iter_rows(named=True)
