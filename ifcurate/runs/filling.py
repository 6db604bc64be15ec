"""Score into a run folder: finished rows are written during the run, and the run can resume.

While scoring, finished rows are in ``parts/`` (`ifcurate.runs.parts`). At the end the
tables are joined from them.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ifcurate.data.readers.files import DEMO
from ifcurate.data.readers.rows import fingerprint_source
from ifcurate.data.sources import Examples
from ifcurate.errors import DataError
from ifcurate.phrases import check_type
from ifcurate.prompts.rules import without_rules
from ifcurate.runs.folder import cache_note, open_run, seal_manifest
from ifcurate.runs.join import join_tables, scan_parts
from ifcurate.runs.parts import Parts
from ifcurate.runs.run import RUNS_FOLDER, Run
from ifcurate.runs.work import LocalWork, Progress, Shard, Work
from ifcurate.scoring.cache import ScoreCache
from ifcurate.scoring.scorer import Scorer
from ifcurate.storage.files import atomic_file
from ifcurate.storage.manifest import Manifest, fingerprint
from ifcurate.storage.tables import SCORES, TOKENS


def score_identity(
    examples: Examples, scorer: Scorer, *, shard: Shard | None = None
) -> dict[str, Any]:
    """Everything that the scores depend on: data, format, rules, model, template, settings."""
    return {
        **data_identity(examples),
        **scorer.identity(),
        **({"shard": {"index": shard.index, "of": shard.of}} if shard else {}),
    }


def data_identity(examples: Examples) -> dict[str, Any]:
    """Return the part of `score_identity` that describes the data."""
    inputs = [
        {**fingerprint_source(s), "layout": layout.as_record()} for s, layout in examples.pairs
    ]
    return {"inputs": inputs, "limit": examples.limit}


def run_name(identity: dict[str, Any], name: str = "") -> str:
    """Return a folder name that a person recognises: data, model, and 8 digits of the identity.

    `name`, if given, replaces data and model. The name does not depend on the rules that make
    prompts, so that a newer version of ifcurate finds the run that an older one began.
    """
    first = Path(identity["inputs"][0]["name"].removeprefix(DEMO)).name.split(".")[0]
    more = f"-and-{len(identity['inputs']) - 1}-more" if len(identity["inputs"]) > 1 else ""
    model = Path(identity["engine"]["model"]).name
    if shard := identity.get("shard"):
        model += f"--shard-{shard['index']}-of-{shard['of']}"
    readable = re.sub(r"[^\w.-]+", "-", name or f"{first}{more}--{model}")[:80]
    if readable.startswith((".", "-")):  # neither hidden, nor a folder above, nor an option
        readable = f"run-{readable}"
    return f"{readable}--{fingerprint(without_rules(identity))}"


def choose_folder(
    out: Path | None, identity: dict[str, Any], name: str = "", *, tokens: bool = False
) -> Path:
    """Return the folder of a run: `out`, or one in `ifcurate-runs/`; see `run_name`.

    A run with `tokens` has another default folder than one without.
    """
    kept = {"tokens": True} if tokens else {}
    return out or Path(RUNS_FOLDER) / run_name(identity | kept, name)


def score_run(
    examples: Examples,
    scorer: Scorer,
    folder: str | Path,
    *,
    tokens: bool = False,
    overwrite: bool = False,
    shard: Shard | None = None,
    cache: ScoreCache | None = None,
    command: str = "",
    identity: dict[str, Any] | None = None,
    checks: dict[str, Any] | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
    commit_seconds: float = 2.0,
) -> Run:
    """Score everything into `folder`. Rows that are already scored there are not scored again.

    `scorer` is `ifcurate.scoring.scorer.Scorer.create(engine, ScoreSettings())`.
    The tables of an interrupted and resumed run equal those of an uninterrupted one. Scored
    rows are on disk after `commit_seconds`, or after the current chunk if that takes longer.
    With `shard` only its part of the rows is scored, for `shards.merge_runs`. Scores that are
    in `cache` are not computed again. When `stop` returns True, the current chunk is finished
    and written, and `KeyboardInterrupt` is raised. Raises `RunError` when the folder holds
    another run, or another process works on it; `DataError` when it cannot be written.
    """
    check_type("examples", examples, Examples, "give read_examples(FILE)")
    check_type(
        "scorer", scorer, Scorer, "give ifcurate.scoring.scorer.Scorer.create(engine, settings)"
    )
    folder = Path(folder)
    identity = identity or score_identity(examples, scorer, shard=shard)
    work = LocalWork(
        examples=examples,
        scorer=scorer,
        shard=shard or Shard(),
        cache=cache,
        commit_seconds=commit_seconds,
        on_progress=on_progress,
        stop=stop,
    )
    identity = {**identity, "tokens": tokens}
    checks = {**scorer.engine.report().details, **(checks or {})}
    return fill_run(folder, identity, work, overwrite=overwrite, command=command, checks=checks)


def fill_run(
    folder: Path,
    identity: dict[str, Any],
    work: Work,
    *,
    overwrite: bool = False,
    command: str = "",
    checks: dict[str, Any] | None = None,
) -> Run:
    """Do the work of a run that is not in its folder yet, and join the parts.

    `identity` is that of `score_identity` with `tokens`. Raises as `score_run`.
    """
    with open_run(folder, identity, command, overwrite=overwrite) as manifest:
        parts = Parts(folder / "parts", tokens=identity["tokens"])
        if manifest.finished:
            parts.remove()
            return Run(folder, manifest)
        manifest.checks.update(checks or {})
        manifest.write(folder / "manifest.json")
        started = time.monotonic()
        progress = work.progress
        try:
            work.do(parts)
        finally:
            manifest.counts = {"rows": progress.rows, **dict(sorted(progress.counts.items()))}
            manifest.seconds = round(manifest.seconds + time.monotonic() - started, 3)
            with contextlib.suppress(DataError):
                manifest.write(folder / "manifest.json")
        if progress.rows == 0 and "shard" not in identity:
            raise DataError("no row was read; nothing to score")
        _finish_run(folder, parts, manifest)
        _add_notes(manifest, parts, work.notes())
        seal_manifest(folder, manifest)
        parts.remove()
    return Run(folder, manifest)


def _finish_run(folder: Path, parts: Parts, manifest: Manifest) -> None:
    """Join the parts into the final tables. The ids of a shard become unique when it is merged."""
    tokens = manifest.identity["tokens"]
    join_tables(
        folder,
        scan_parts(parts.paths("scores.parquet"), SCORES),
        {"id": manifest.id, **manifest.identity},
        tokens=scan_parts(parts.paths("tokens.parquet"), TOKENS) if tokens else None,
        unique="shard" not in manifest.identity,
    )
    with atomic_file(folder / "quarantine.jsonl") as stream:
        for path in parts.paths("bad.jsonl"):
            with path.open("rb") as part:
                shutil.copyfileobj(part, stream)


def _add_notes(manifest: Manifest, parts: Parts, notes: list[str]) -> None:
    known = sum(part.known for part in parts)
    broken = [text for part in parts for text in part.broken]
    manifest.notes = [
        *notes,
        *([cache_note(known)] if known else ()),
        *(f"not read to the end: {text}" for text in broken),
    ]
    if known:
        manifest.checks["from_cache"] = known
    if broken:
        manifest.checks["broken_inputs"] = broken
