"""Rows near a cut, scored again in float32, so that rounding does not decide their label.

In 16 bits a row's loss is off by some thousandths of a nat per token, single rows
by ten times that (`benchmarks/scoring/RESULTS.md`). Which side of a cut a row is on
is then a matter of chance where

    |value - cut| <= band            (nats per token, the statistic's unit)

These rows are read again from the run's data, made into the same prompts (their
keys, hashes of the token ids, must be those of the scores) and scored by the same
model in float32. Numbers of two dtypes never stand in one table: these are in
`rescored.parquet` (`ifcurate.steps.rescored`), and `scores.parquet` stays as it is.
"""

from __future__ import annotations

import itertools
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import polars as pl

from ifcurate.data.sources import Examples, read_row
from ifcurate.engines.base import NO_KERNELS, Engine
from ifcurate.engines.load import load_engine
from ifcurate.errors import IfcurateError, ModelError, RunError
from ifcurate.prompts.pairs import PromptPair
from ifcurate.runs.lock import lock_run
from ifcurate.runs.run import Run
from ifcurate.scoring.scorer import NUMBERS, Scorer, ScoreSettings
from ifcurate.split.cuts import Cut
from ifcurate.steps.rescored import RESCORED, IntArray, Rescored, RescoredStore
from ifcurate.storage.files import GROUP_ROWS, readable_table

__all__ = ["Rescore", "check_band", "find_band", "rescore_rows"]

_PLACE: Final = ("id", "source", "row", "turn", "key")
_DTYPE: Final = "float32"
_HALF: Final = ("bfloat16", "float16")
_BIN: Final = re.compile(r"(\d+)-(\d+) tokens")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_SECONDS: Final = 2.0  # of work that a kill may cost


@dataclass(frozen=True, slots=True)
class Rescore:
    """The wish: how wide the band is, and what it takes to open the run's model again."""

    band: float  # nats per token, on either side of a cut
    model: str | None = None  # the folder of a local model; a Hub id is known from the run
    template: str | None = None  # the run's template file, where it was one
    device: str = "auto"
    batch_size: int | Literal["auto"] = "auto"
    threads: int | None = None
    trust_remote_code: bool = False
    allow_pickle: bool = False
    on_progress: Callable[[int, int], None] = lambda *_: None  # rows scored, of how many
    stop: Callable[[], bool] = lambda: False

    def open_engine(self, run: Run) -> Engine:
        """The run's model in float32, on our own engine. Raises `ModelError`, `RunError`."""
        known = run.manifest.identity["engine"]
        name, revision = self.model or known["model"], None
        if self.model is None and name != "pocket" and not Path(name).is_dir():
            if not _COMMIT.fullmatch(known["revision"]):
                raise RunError(
                    f"{run.folder}: scored by the local model {name!r}, and no such folder is "
                    "here; say where it is with --model"
                )
            revision = known["revision"]
        return load_engine(
            "hf",
            model=name,
            revision=revision,
            dtype=_DTYPE,
            device=self.device,
            batch_size=self.batch_size,
            threads=self.threads,
            max_length=run.manifest.identity["settings"]["max_length"],
            trust_remote_code=self.trust_remote_code,
            allow_pickle=self.allow_pickle,
            no_kernels=known["engine_version"].endswith(NO_KERNELS),
        )


def check_band(band: float, where: Path, engine: Mapping[str, Any]) -> None:
    """Refuse what cannot be scored again, or what it would not help.

    `engine` is what the run in `where` says of its engine. Raises `IfcurateError`
    for a band that is no width, `RunError` for the run.
    """
    if not (math.isfinite(band) and band > 0):
        raise IfcurateError(
            f"split: the band must be a width above 0; found {band}; give nats per token, like 0.05"
        )
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


def find_band(run: Run, cuts: Sequence[Cut], band: float) -> IntArray:
    """The rows of `scores.parquet` within `band` of a cut that is theirs, by their numbers.

    A row is measured against the cut of its source where there is one for each, and
    against that of its response length where the cut has bins of it; under several
    rules near any of the cuts is near.
    """
    binned = {(cut.group, cut.statistic) for cut in cuts if cut.length_bin}
    own = [c for c in cuts if c.length_bin or (c.group, c.statistic) not in binned]
    beside = [_is_near(c, band) for c in own if c.threshold is not None]
    if not beside:
        return np.zeros(0, dtype=np.int64)
    wanted = (pl.col("status") == "scored") & pl.any_horizontal(beside)
    with readable_table(run.scores_path):
        found = (
            run.scan_scores(place=True).filter(wanted.fill_null(False)).select("place").collect()
        )
    return found["place"].to_numpy().astype(np.int64)


def _is_near(cut: Cut, band: float) -> pl.Expr:
    near = (pl.col(cut.statistic) - cut.threshold).abs() <= band
    if cut.group != "all":
        near &= pl.col("source") == cut.group
    if cut.length_bin:
        match = _BIN.fullmatch(cut.length_bin)
        assert match is not None, cut.length_bin
        near &= pl.col("n_response_tokens").is_between(int(match[1]), int(match[2]))
    return near


def rescore_rows(
    run: Run, places: IntArray, wish: Rescore, examples: Callable[[], Examples]
) -> Rescored:
    """The float32 numbers of these rows of the scores: from the store, or from the model.

    The run's `examples` and its model are asked for only when a row is missing.
    What is finished is on disk every few seconds, and found again after a kill;
    when `wish.stop` says so, `KeyboardInterrupt` is raised behind it. Raises
    `RunError` when data, model or template are not those of the run, `ModelError`
    when the engine fails.
    """
    with lock_run(run.folder):
        store = RescoredStore(run)
        missing = np.setdiff1d(places, store.places)
        if len(missing):
            data = examples()
            engine = wish.open_engine(run)
            with engine:
                scorer = _same_scorer(run, engine, wish.template)
                missing = np.setdiff1d(places, store.use(asdict(engine.identity)))
                _Work(run, data, scorer, store, missing, wish).do()
        store.join()
        return Rescored(wish.band, store.read(places), store.engine, len(missing))


def _same_scorer(run: Run, engine: Engine, template: str | None) -> Scorer:
    """The run's own way of scoring, with another dtype. Raises `RunError` where it differs."""
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
            "put the old one back (--template says where it is), or score again"
        )
    return scorer


@dataclass
class _Work:
    """One pass over the data for the rows that are missing."""

    run: Run
    examples: Examples
    scorer: Scorer
    store: RescoredStore
    missing: IntArray
    wish: Rescore

    def do(self) -> None:
        """Score them, writing as it goes; what is done when it raises is on disk."""
        held: list[pl.DataFrame] = []
        n_done, since = 0, time.monotonic()
        rows = self._pairs()
        try:
            while some := list(itertools.islice(rows, self.scorer.settings.chunk_rows)):
                held.append(self._score(some))
                n_done += len(some)
                if time.monotonic() - since >= _SECONDS:
                    self.store.add(held)
                    held, since = [], time.monotonic()
                self.wish.on_progress(n_done, len(self.missing))
                if self.wish.stop():
                    raise KeyboardInterrupt
        finally:
            if held:
                self.store.add(held)

    def _score(self, some: Sequence[tuple[dict[str, Any], PromptPair]]) -> pl.DataFrame:
        known = pl.DataFrame([row for row, _ in some])
        scores = self.scorer.score_pairs([pair for _, pair in some]).scores
        names = ("status", "reason", *NUMBERS)
        found = known.hstack(scores.select(names))
        return found.select(pl.col(name).cast(kind) for name, kind in RESCORED.items())

    def _pairs(self) -> Iterator[tuple[dict[str, Any], PromptPair]]:
        """The missing rows with their prompts, in order. Raises `RunError` for one that changed."""
        wanted = _Peekable(_rows_at(self.run, self.missing))
        size = self.scorer.settings.chunk_rows
        # Another row's context is shuffled in from among the rows of the chunk.
        together = self.scorer.settings.ablation == "shuffle"
        for chunk in self.examples.raw_chunks(size):
            mine = _take_rows(wanted, {(raw.source, raw.number) for raw, _ in chunk})
            if mine:
                near = {(source, number) for source, number, _ in mine}
                chosen = [c for c in chunk if together or (c[0].source, c[0].number) in near]
                examples = [e for raw, layout in chosen for e in read_row(raw, layout).examples]
                yield from self._match(self.scorer.prepare(examples), mine)
            if wanted.next is None:
                return
        if wanted.next is not None:
            raise _changed(self.run, wanted.next, "no such row")

    def _match(
        self, pairs: Sequence[PromptPair], mine: dict[_Place, list[dict[str, Any]]]
    ) -> Iterator[tuple[dict[str, Any], PromptPair]]:
        """The rows of `mine` with their prompts. Raises `RunError` for one that changed."""
        for pair in pairs:
            example = pair.example
            for row in mine.pop((example.source, example.row_number, example.turn), ()):
                if pair.with_context is None or pair.key != row["key"]:
                    raise _changed(self.run, row, "other tokens")
                yield row, pair
        for rows in mine.values():
            raise _changed(self.run, rows[0], "no such example")


_Place = tuple[str, int, int]  # source, row, turn


def _take_rows(wanted: _Peekable, here: set[tuple[str, int]]) -> dict[_Place, list[dict[str, Any]]]:
    """The next rows that are among `here`. A file that was named twice has each row twice."""
    mine: dict[_Place, list[dict[str, Any]]] = {}
    while (row := wanted.next) and (row["source"], row["row"]) in here:
        mine.setdefault((row["source"], row["row"], row["turn"]), []).append(row)
        wanted.take()
    return mine


class _Peekable:
    """Rows of which the next one can be looked at."""

    def __init__(self, rows: Iterable[dict[str, Any]]) -> None:
        self._rows = iter(rows)
        self.next = next(self._rows, None)

    def take(self) -> None:
        """Go on to the one after."""
        self.next = next(self._rows, None)


def _rows_at(run: Run, places: IntArray) -> Iterator[dict[str, Any]]:
    """The rows of the scores at these places, a stretch in memory at a time."""
    rows = run.scan_scores(place=True).select("place", *_PLACE)
    for at in range(0, len(places), GROUP_ROWS):
        some = pl.Series(places[at : at + GROUP_ROWS]).implode()
        with readable_table(run.scores_path):
            frame = rows.filter(pl.col("place").is_in(some)).collect(engine="streaming")
        yield from frame.iter_rows(named=True)


def _changed(run: Run, row: Mapping[str, Any], found: str) -> RunError:
    return RunError(
        f"{row['source']}: row {row['row']} is not what was scored; found {found}; the data, its "
        f"layout or the tokenizer has changed since {run.folder}: put the old data back, or score "
        "it again"
    )
