"""Score the failed rows of a finished run again. All other rows stay as they are.

The new tables are written beside the old ones and replace them at the end. If the engine fails or
the user stops the work, the rows that were scored until then are kept. A kill loses the rows of
this attempt. After a kill while the tables are replaced, the next command that locks the run
replaces the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import polars as pl

from ifcurate.data.sources import Examples
from ifcurate.errors import RunError
from ifcurate.runs.folder import REPLACING, lock_run, replace_tables
from ifcurate.runs.join import repeat_for_tokens
from ifcurate.runs.reading import Rows, read_again
from ifcurate.runs.run import Run
from ifcurate.runs.work import Progress
from ifcurate.scoring.scorer import Chunk, Scorer, join_chunks
from ifcurate.storage.files import file_digest, readable_table, scan_table, sink_tables
from ifcurate.storage.manifest import read_manifest, utc_now
from ifcurate.storage.tables import FAILED, SCORES, TOKENS


def retry_failed(
    run: Run,
    examples: Examples,
    scorer: Scorer,
    *,
    command: str = "",
    on_progress: Callable[[Progress], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> Run:
    """Score the rows again that are out_of_memory, timed_out or error, in their places.

    `examples` and `scorer` are those of the run's identity. Splits and reports of the run are
    out of date afterwards. Raises as `score_run`, and `RunError` when the tables are not those
    that the run wrote.
    """
    with lock_run(run.folder):
        run = Run(run.folder, read_manifest(run.folder / "manifest.json"))
        for name in run.manifest.changed_files(run.folder):
            raise RunError(
                f"{run.folder / name}: is not as the run wrote it; its rows cannot be replaced; "
                "score all rows again with --overwrite"
            )
        failed = _find_failed(run)
        total = run.manifest.counts.get("rows", 0)
        progress = Progress(rows=total - failed.height, resumed_rows=total - failed.height)
        done: list[Chunk] = []
        try:
            for rows in read_again(run, examples, scorer, failed.iter_rows(named=True)):
                done.append(_score(run, scorer, rows))
                progress.rows += len(rows)
                progress.tokens += done[-1].n_tokens
                on_progress(progress)
                if stop() and progress.rows < total:
                    raise KeyboardInterrupt
        finally:
            if done:
                _write(run, join_chunks(done), command)
    return Run(run.folder, run.manifest)


def _find_failed(run: Run) -> pl.DataFrame:
    """Return the failed rows of the scores, with their places."""
    rows = run.scan_scores(place=True).filter(pl.col("status").is_in(FAILED))
    with readable_table(run.scores_path):
        return rows.select("place", "id", "source", "row", "turn").collect()


def _score(run: Run, scorer: Scorer, rows: Rows) -> Chunk:
    """Return the new tables of these rows, with their places."""
    chunk = scorer.score_pairs([pair for _, pair in rows], tokens="tokens" in run.manifest.outputs)
    # The table's own id may have a suffix that makes it unique.
    own = pl.DataFrame([row for row, _ in rows]).select("place", "id")
    scores, tokens = chunk.scores.drop("id").hstack(own), chunk.tokens
    if tokens is not None:
        owners = repeat_for_tokens(scores.lazy(), "place", "id").collect()
        tokens = tokens.drop("id").hstack(owners)
    return replace(chunk, scores=scores, tokens=tokens)


def _write(run: Run, done: Chunk, command: str) -> None:
    """Replace the tables and the manifest. Raises `DataError`."""
    folder, manifest = run.folder, run.manifest
    new = folder / REPLACING
    manifest.retried += 1
    scores = run.scan_scores(place=True)
    tables = {new / "scores.parquet": _replace_rows(scores, done.scores)}
    if done.tokens is not None:
        places = repeat_for_tokens(scores, "place")
        tokens = scan_table(folder / "tokens.parquet", TOKENS)
        old = pl.concat([tokens, places], how="horizontal")
        tables[new / "tokens.parquet"] = _replace_rows(old, done.tokens)
    sink_tables(tables, {"id": manifest.id, **manifest.identity})
    manifest.digests |= {path.name: file_digest(path) for path in tables}
    scores = scan_table(new / "scores.parquet", SCORES)
    counts = scores.select(pl.col("status").value_counts()).collect()
    names = ("rows", "quarantined")
    manifest.counts = {n: manifest.counts[n] for n in names if n in manifest.counts}
    manifest.counts |= dict(sorted(counts.to_series().struct.unnest().iter_rows()))
    manifest.command = command or manifest.command
    manifest.updated_at = utc_now()
    manifest.write(new / "manifest.json")
    replace_tables(folder)


def _replace_rows(table: pl.LazyFrame, new: pl.DataFrame) -> pl.LazyFrame:
    """Return the table with new rows for those of the same place, in the order of their places."""
    kept = table.filter(~pl.col("place").is_in(new["place"].unique().implode()))
    schema = table.collect_schema()
    mine = new.lazy().select(schema.names()).cast(schema)
    return kept.merge_sorted(mine, "place").drop("place")
