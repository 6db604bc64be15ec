"""Score the failed rows of a finished run again. All other rows stay as they are.

The new tables are written beside the old ones and replace them at the end. If the engine fails or
the user stops the work, the rows that were scored until then are kept. A kill loses the rows of
this attempt. After a kill while the tables are replaced, the next command that locks the run
replaces the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl

from ifcurate.data.sources import Examples
from ifcurate.errors import RunError
from ifcurate.runs.folder import REPLACING, lock_run, replace_tables
from ifcurate.runs.join import repeat_for_tokens
from ifcurate.runs.reading import Rows, read_again
from ifcurate.runs.run import Run
from ifcurate.runs.work import Progress
from ifcurate.scoring.scorer import Chunk, Scorer
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
        retry = _Retry(run, examples, scorer, on_progress, stop)
        if not retry.failed.height:
            return run
        try:
            retry.score()
        finally:
            if retry.scores:
                retry.write(command)
    return Run(run.folder, run.manifest)


@dataclass
class _Retry:
    """The failed rows of a run, and their new results."""

    run: Run
    examples: Examples
    scorer: Scorer
    on_progress: Callable[[Progress], None]
    stop: Callable[[], bool]
    failed: pl.DataFrame = field(init=False)
    #: SCORES of rows that were scored again, and their place.
    scores: list[pl.DataFrame] = field(default_factory=list)
    tokens: list[pl.DataFrame] = field(default_factory=list)  # TOKENS and the place of the row

    def __post_init__(self) -> None:
        rows = self.run.scan_scores(place=True).filter(pl.col("status").is_in(FAILED))
        with readable_table(self.run.scores_path):
            self.failed = rows.select("place", "id", "source", "row", "turn").collect()

    def score(self) -> None:
        """Score them, piece by piece.

        If this raises an error, the finished rows can still be written.
        """
        total = self.run.manifest.counts.get("rows", 0)
        progress = Progress(rows=total - self.failed.height)
        progress.resumed_rows = progress.rows
        failed = self.failed.iter_rows(named=True)
        for rows in read_again(self.run, self.examples, self.scorer, failed):
            chunk = self._score(rows)
            progress.rows += len(rows)
            progress.tokens += chunk.n_tokens
            self.on_progress(progress)
            if self.stop() and progress.rows < total:
                raise KeyboardInterrupt

    def _score(self, rows: Rows) -> Chunk:
        keep_tokens = "tokens" in self.run.manifest.outputs
        chunk = self.scorer.score_pairs([pair for _, pair in rows], tokens=keep_tokens)
        # The table's own id may have a suffix that makes it unique.
        own = pl.DataFrame([row for row, _ in rows]).select("place", "id")
        scores = chunk.scores.drop("id").hstack(own)
        self.scores.append(scores)
        if chunk.tokens is not None:
            owners = repeat_for_tokens(scores.lazy(), "place", "id").collect()
            self.tokens.append(chunk.tokens.drop("id").hstack(owners))
        return chunk

    def write(self, command: str) -> None:
        """Replace the tables and the manifest. Raises `DataError`."""
        folder, manifest = self.run.folder, self.run.manifest
        new = folder / REPLACING
        manifest.retried += 1
        scores = self.run.scan_scores(place=True)
        tables = {new / "scores.parquet": _replace_rows(scores, pl.concat(self.scores))}
        if self.tokens:
            places = repeat_for_tokens(scores, "place")
            tokens = scan_table(folder / "tokens.parquet", TOKENS)
            old = pl.concat([tokens, places], how="horizontal")
            tables[new / "tokens.parquet"] = _replace_rows(old, pl.concat(self.tokens))
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
