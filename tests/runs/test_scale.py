"""Many rows: the same bytes however they were cut, and memory that does not grow with them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from benchmarks.memory import bytes_per_row, measure, write_short_rows
from benchmarks.pipeline import make_rows
from ifcurate.data.sources import read_examples
from ifcurate.engines.toy import ToyEngine
from ifcurate.options.score import ScoreSettings
from ifcurate.runs.filling import score_run
from ifcurate.runs.join import join_tables
from ifcurate.runs.work import Progress
from ifcurate.scoring.cache import ScoreCache
from ifcurate.scoring.scorer import Scorer
from ifcurate.storage.files import read_table_slices
from ifcurate.storage.tables import SCORES, TOKENS
from tests.runs.killing import same_results


@pytest.fixture(scope="module")
def tables() -> tuple[pl.DataFrame, pl.DataFrame]:
    """SCORES and TOKENS of 70,000 rows: more than a row group, of which 40,000 have one id."""
    n = 70_000
    scores = pl.DataFrame({"row": range(n)}).with_columns(
        pl.format("row {}", pl.col("row").clip(0, 30_000)).alias("id"),
        source=pl.lit("a.jsonl"),
        turn=pl.lit(0),
        status=pl.lit("scored"),
        preview=pl.format("the {}th of many rows, each with a text of its own", "row"),
        n_response_tokens=pl.col("row") % 3 + 1,
        context_gain=(pl.col("row") * 7919 % 10_007) / 10_007,
    )
    missing = [pl.lit(None).alias(name) for name in SCORES if name not in scores.columns]
    scores = scores.with_columns(missing).select(pl.col(c).cast(t) for c, t in SCORES.items())
    repeated = scores.select("id", "turn", pl.col("n_response_tokens").alias("n"))
    tokens = repeated.select(pl.exclude("n").repeat_by("n").explode()).with_columns(
        position=pl.lit(0), token_id=pl.int_range(pl.len()) % 977
    )
    tokens = tokens.with_columns(
        loss_with_context=pl.lit(0.5), loss_without_context=pl.col("token_id") / 7
    )
    return scores, tokens.select(pl.col(c).cast(t) for c, t in TOKENS.items())


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_how_the_rows_came(
    tables: tuple[pl.DataFrame, pl.DataFrame], folder: Path
) -> None:
    scores, tokens = tables

    def cut(table: pl.DataFrame, n: int) -> pl.LazyFrame:
        return pl.concat([piece.lazy() for piece in table.iter_slices(n)])

    sizes = (256, 7001, 70_000)
    for size in sizes:
        (folder / str(size)).mkdir()
        join_tables(folder / str(size), cut(scores, size), {"id": "x"}, tokens=cut(tokens, size))
    for size in sizes[1:]:
        assert same_results(folder / str(sizes[0]), folder / str(size)) == []
    path = folder / "256" / "scores.parquet"
    found = pl.read_parquet(path)
    assert found["id"].n_unique() == found.height
    assert found.drop("id").equals(scores.drop("id"))
    assert found["id"][-1] == "row 30000~40000"
    groups = pq.read_metadata(path)
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [65_536, 4464]
    written = pl.read_parquet(folder / "256" / "tokens.parquet")
    owners = found.select(pl.col("id").repeat_by("n_response_tokens").explode())["id"]
    assert written["id"].equals(owners)
    pieces = list(read_table_slices(path, SCORES, ("id", "row")))
    assert [piece.height for piece in pieces] == [65_536, 4464]
    assert pl.concat(pieces).equals(found.select("id", "row"))


@pytest.mark.slow
def test_parts_of_other_sizes_make_the_same_tables(folder: Path) -> None:
    with (folder / "a.jsonl").open("w") as stream:
        for row in make_rows(12_000, 0.5, 1):
            stream.write(json.dumps(row) + "\n")
    scorer = Scorer.create(ToyEngine(), ScoreSettings())
    for seconds in (0, 100):
        score_run(read_examples("a.jsonl"), scorer, Path(str(seconds)), commit_seconds=seconds)
    assert same_results(Path("0"), Path("100")) == []


def memory_mb(name: str) -> float:
    """A line of /proc/self/status: VmRSS is the memory held now, VmHWM the most held so far."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) / 1e3  # type: ignore[index]


def score_and_watch(folder: Path) -> tuple[dict[int, float], float]:
    """Score 130,000 short rows: the memory held after each number of rows, and the most held."""
    held: dict[int, float] = {}

    def watch(progress: Progress) -> None:
        held[progress.rows] = memory_mb("VmRSS")

    write_short_rows(folder / "rows.jsonl", 130_000)
    examples = read_examples(folder / "rows.jsonl")
    scorer = Scorer.create(ToyEngine(), ScoreSettings())
    with ScoreCache(folder / "scores.sqlite", {}) as cache:
        score_run(examples, scorer, folder / "run", cache=cache, on_progress=watch)
    return held, memory_mb("VmHWM")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="memory is read from /proc")
def test_memory_of_scoring_does_not_grow_with_the_rows(folder: Path) -> None:
    """Only the row group of the table that is being written (65,536 rows) is held, at the end.

    A list of the examples would take 1 kB a row, a second row group 100 MB.
    """
    with get_context("spawn").Pool(1) as pool:
        held, most = pool.apply(score_and_watch, [folder])
    few = min(n for n in held if n >= 70_000)
    many = max(held)
    assert many == 130_000
    assert (held[many] - held[few]) * 1e6 < 500 * (many - few), held
    assert most - held[many] < 200, (most, held)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="memory is read from /proc")
def test_what_comes_after_scoring_holds_numbers_and_no_texts(folder: Path) -> None:
    """A row's own texts are more than 100 bytes; a few numbers of each are held, and sorted.

    Below half a million rows, the buffers of reading and writing still grow with the rows.
    """
    names = ["split both", "split tied", "filter", "summary"]
    steps = [*measure(folder / "few", 500_000, names), *measure(folder / "many", 1_500_000, names)]
    costs = {name: bytes_per_row(steps, name) for name in names}
    assert costs.pop("filter") < 80, steps
    assert max(costs.values()) < 300, (costs, steps)
    assert max(step.peak_mb for step in steps) < 800, steps


@pytest.mark.slow
def test_the_benchmark_reports(folder: Path) -> None:
    line = [sys.executable, "-m", "benchmarks.pipeline", "--rows", "500", "--out", "result.json"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads((folder / "result.json").read_text())
    assert result["counts"]["rows"] == 500
    assert result["rows_per_second"] > 0
    assert [step["command"] for step in result["steps"]] == ["score", "split", "filter"]
