"""Run folders: scoring that writes as it goes, resumes, and can be found again.

A run folder holds ``manifest.json``, ``scores.parquet``, ``quarantine.jsonl`` and
what later steps add. While scoring, finished chunks lie in ``parts/``, each with
a marker that is written last and carries the checksums of its files; a chunk
without a whole marker is scored again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

import polars as pl

from ifcurate.errors import DataError, RunError
from ifcurate.files import atomic_file, file_digest, read_table, write_json, write_table
from ifcurate.manifest import Manifest, fingerprint, read_manifest, software_versions, utc_now
from ifcurate.reading import DEMO
from ifcurate.scoring import Scorer
from ifcurate.sources import Examples, ReadRow, fingerprint_source
from ifcurate.tables import SCORES

__all__ = ["RUNS_FOLDER", "Progress", "Run", "find_run", "run_name", "score_identity", "score_run"]

RUNS_FOLDER: Final = "ifcurate-runs"
FORMULA: Final = "context_gain = loss_without_context - loss_with_context, nats per response token"


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder with its manifest."""

    folder: Path
    manifest: Manifest

    @property
    def scores_path(self) -> Path:
        """Where the SCORES table is."""
        return self.folder / "scores.parquet"

    def scores(self) -> pl.DataFrame:
        """The SCORES table. Raises `RunError` while the run is unfinished."""
        if not self.manifest.finished:
            raise RunError(
                f"{self.folder}: scoring is not finished ({self.manifest.counts.get('rows', 0):,} "
                "rows so far); run the same `ifcurate score` again to go on"
            )
        return read_table(self.scores_path, SCORES)


@dataclass(slots=True)
class Progress:
    """How far a scoring run is."""

    rows: int = 0  # read and accounted for, those of earlier attempts included
    resumed_rows: int = 0  # of these, from earlier attempts
    tokens: int = 0  # scored in this attempt, both variants
    counts: Counter[str] = field(default_factory=Counter)


def score_identity(examples: Examples, scorer: Scorer) -> dict[str, Any]:
    """All that decides the scores: data by content, layout, model, template, settings."""
    layouts = [
        {
            "format": layout.format,
            "columns": dict(layout.columns) if layout.columns else None,
            "turns": layout.turns,
            "context": list(layout.context),
            "min_confidence": layout.min_confidence,
        }
        for layout in examples.layouts
    ]
    inputs = [fingerprint_source(source) for source in examples.sources]
    return {
        "inputs": [
            {**known, "layout": layout} for known, layout in zip(inputs, layouts, strict=True)
        ],
        "limit": examples.limit,
        **scorer.identity(),
    }


def run_name(identity: dict[str, Any]) -> str:
    """A folder name that a person recognises: data, model, and 8 digits of the identity."""
    first = Path(identity["inputs"][0]["name"].removeprefix(DEMO)).name.split(".")[0]
    more = f"-and-{len(identity['inputs']) - 1}-more" if len(identity["inputs"]) > 1 else ""
    model = Path(identity["engine"]["model"]).name
    name = re.sub(r"[^\w.-]+", "-", f"{first}{more}--{model}")[:80]
    return f"{name}--{fingerprint(identity)}"


def find_run(path: str | Path | None = None, *, folder: str | Path = ".") -> Run:
    """The run at `path`, or the newest of this folder's.

    Raises `RunError` when there is none, with what to do.
    """
    if path is not None:
        given = Path(path)
        at = given if given.is_dir() else given.parent
        return Run(at, read_manifest(at / "manifest.json"))
    runs = []
    for manifest in sorted(Path(folder, RUNS_FOLDER).glob("*/manifest.json")):
        with contextlib.suppress(RunError):
            runs.append(Run(manifest.parent, read_manifest(manifest)))
    if not runs:
        raise RunError(
            f"{Path(folder).resolve()}: no run here ({RUNS_FOLDER}/ is missing or empty); "
            "make one first: ifcurate score DATA --model MODEL, or name one with --run"
        )
    return max(runs, key=lambda run: (run.manifest.updated_at, run.folder.name))


def score_run(
    examples: Examples,
    scorer: Scorer,
    folder: Path,
    *,
    tokens: bool = False,
    overwrite: bool = False,
    command: str = "",
    identity: dict[str, Any] | None = None,
    checks: dict[str, Any] | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Run:
    """Score everything into `folder`; what is already there is not scored again.

    The tables of an interrupted and resumed run equal those of an uninterrupted
    one. Raises `RunError` when the folder holds another run, or another process
    works on it; `DataError` when it cannot be written.
    """
    identity = {**(identity or score_identity(examples, scorer)), "tokens": tokens}
    if overwrite and folder.exists():
        _remove_run(folder)
    with _locked(folder):
        manifest = _open_manifest(folder, identity, command)
        if manifest.finished:
            return Run(folder, manifest)
        manifest.checks.update(checks or {})
        manifest.write(folder / "manifest.json")
        started = time.monotonic()
        progress = Progress()
        rows = examples.read()
        number = 0
        while chunk := list(islice(rows, scorer.settings.chunk_rows)):
            done = _finished_part(folder, number)
            if done is None:
                done = _score_part(folder, number, chunk, scorer, keep_tokens=tokens)
                progress.tokens += done["tokens"]
            else:
                progress.resumed_rows += len(chunk)
            progress.rows += len(chunk)
            progress.counts.update(done["counts"])
            on_progress(progress)
            number += 1
        if number == 0:
            raise DataError("no row was read; nothing to score")
        _finish(folder, number, manifest, tokens)
        report = getattr(scorer.engine, "report", None)
        if report is not None:
            manifest.notes = list(report().notes)
        manifest.counts = {"rows": progress.rows, **dict(sorted(progress.counts.items()))}
        manifest.seconds = round(manifest.seconds + time.monotonic() - started, 3)
        manifest.finished = True
        manifest.updated_at = utc_now()
        manifest.write(folder / "manifest.json")
        shutil.rmtree(folder / "parts", ignore_errors=True)
    return Run(folder, manifest)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / ".lock").open("w")
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written: {error.strerror}; choose another folder with --out"
        ) from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RunError(
                f"{folder}: another process is working on this run; wait for it or stop it"
            ) from error
        yield


def _remove_run(folder: Path) -> None:
    """Remove what a run wrote, and nothing else: the folder may hold other files of the user."""
    for name in ("manifest.json", "scores.parquet", "tokens.parquet", "quarantine.jsonl"):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "parts", ignore_errors=True)


def _open_manifest(folder: Path, identity: dict[str, Any], command: str) -> Manifest:
    path = folder / "manifest.json"
    now = utc_now()
    if not path.exists():
        return Manifest(
            step="score",
            identity=identity,
            formula=FORMULA,
            created_at=now,
            updated_at=now,
            command=command,
            versions=software_versions(),
        )
    manifest = read_manifest(path)
    if manifest.identity != identity:
        differences = "; ".join(_differences(manifest.identity, identity)[:4])
        raise RunError(
            f"{folder}: holds another run ({differences}); scores of different runs are never "
            "mixed: choose another --out, or give --overwrite"
        )
    if manifest.finished:
        if not (folder / "scores.parquet").exists():
            raise RunError(f"{folder}: scores.parquet is gone; give --overwrite to score again")
        manifest.updated_at = now  # asked for again: it is the newest run once more
        manifest.write(path)
    return manifest


def _differences(old: Any, new: Any, place: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in sorted(old.keys() | new.keys()):
            found += _differences(old.get(key), new.get(key), f"{place}.{key}" if place else key)
        return found
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = zip(old, new, strict=True)
        return [d for i, (a, b) in enumerate(pairs) for d in _differences(a, b, f"{place}[{i}]")]
    return [] if old == new else [f"{place}: there {_short(old)}, now {_short(new)}"]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _part(folder: Path, number: int, kind: str) -> Path:
    return folder / "parts" / f"{number:06d}.{kind}"


def _finished_part(folder: Path, number: int) -> dict[str, Any] | None:
    """The marker of a chunk whose files are all there and whole."""
    try:
        marker = json.loads(_part(folder, number, "done.json").read_bytes())
        for kind, digest in marker["files"].items():
            if file_digest(_part(folder, number, kind)) != digest:
                return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return dict(marker)


def _score_part(
    folder: Path, number: int, chunk: list[ReadRow], scorer: Scorer, *, keep_tokens: bool
) -> dict[str, Any]:
    examples = [example for row in chunk for example in row.examples]
    scores, tokens = scorer.score(examples)
    write_table(scores, _part(folder, number, "scores.parquet"), {})
    kinds = ["scores.parquet"]
    if keep_tokens:
        write_table(tokens, _part(folder, number, "tokens.parquet"), {})
        kinds.append("tokens.parquet")
    bad = [row.bad for row in chunk if row.bad is not None]
    with atomic_file(_part(folder, number, "bad.jsonl")) as stream:
        for item in bad:
            line = json.dumps(item.as_record(), ensure_ascii=False)
            stream.write(line.encode("utf-8", "backslashreplace") + b"\n")
    kinds.append("bad.jsonl")
    counts: Counter[str] = Counter(scores["status"].to_list())
    if bad:
        counts["quarantined"] = len(bad)
    scored = scores.filter(pl.col("status") == "scored")
    sized = scored.select(pl.sum("n_tokens_with_context", "n_tokens_without_context"))
    marker = {
        "rows": len(chunk),
        "examples": len(examples),
        "counts": dict(counts),
        "tokens": int(sum(sized.row(0))),
        "files": {kind: file_digest(_part(folder, number, kind)) for kind in kinds},
    }
    write_json(_part(folder, number, "done.json"), marker)
    return marker


def _finish(folder: Path, parts: int, manifest: Manifest, tokens: bool) -> None:
    """Join the chunks, in order, without holding them all in memory."""
    inside = {"id": manifest.id, **manifest.identity}
    for kind in ("scores.parquet", *(["tokens.parquet"] if tokens else [])):
        paths = [_part(folder, number, kind) for number in range(parts)]
        with atomic_file(folder / kind) as stream:
            metadata = {"ifcurate": json.dumps(inside, ensure_ascii=False)}
            pl.scan_parquet(paths).sink_parquet(stream, metadata=metadata)
    with atomic_file(folder / "quarantine.jsonl") as stream:
        for number in range(parts):
            stream.write(_part(folder, number, "bad.jsonl").read_bytes())
