"""A file that breaks off fails the run, however few its bad rows; the work is kept."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from ifcurate.data.readers.rows import open_sources, read_rows
from ifcurate.data.sources import read_examples
from ifcurate.engines.toy import ToyEngine
from ifcurate.options.score import EngineOptions, ScoreSettings
from ifcurate.runs.filling import score_run
from ifcurate.runs.ray_cluster import ScoringActor, read_batches
from ifcurate.scoring.scorer import Scorer
from ifcurate.storage.manifest import read_manifest
from tests.cli.test_cli import Command, ifcurate
from tests.conftest import ALPACA_ROWS, write_jsonl

__all__ = ["ifcurate"]  # the fixture

ROWS = [{**ALPACA_ROWS[i % 4], "instruction": f"Question {i}?"} for i in range(300)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
ARTICLES = [
    {"paragraphs": [{"context": "It is blue.", "qas": [{"question": f"{i}?", "answers": ["a"]}]}]}
    for i in range(300)
]


def cut_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(LINES)[:-100])


def cut_lines(path: Path) -> None:
    path.write_bytes(LINES[:-30])


def cut_array(path: Path) -> None:
    path.write_text(json.dumps(ROWS)[:-30])


def cut_squad(path: Path) -> None:
    path.write_text(json.dumps({"data": ARTICLES})[:-10])


def cut_table(path: Path) -> None:
    pl.DataFrame(ROWS).write_csv(path)
    path.write_bytes(path.read_bytes()[: -len(ROWS[-1]["output"]) - 5])


def hurt_parquet(path: Path) -> None:
    pq.write_table(pl.DataFrame(ROWS).to_arrow(), path, row_group_size=100, compression="zstd")
    column = pq.read_metadata(path).row_group(1).column(0)
    data = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(data)


HURT: dict[str, Callable[[Path], object]] = {
    "b.jsonl.gz": cut_gzip,
    "b.jsonl": cut_lines,
    "b.json": cut_array,
    "b.squad.json": cut_squad,
    "b.csv": cut_table,
    "b.parquet": hurt_parquet,
    "b.pq": lambda path: path.write_bytes(b"PAR1 and no more"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HURT)
def test_it_fails_at_any_share_of_bad_rows(name: str, ifcurate: Command, folder: Path) -> None:
    HURT[name](folder / name)
    write_jsonl(folder / "a.jsonl", ROWS)
    line = f"score a.jsonl {name} --engine toy --out run"
    result = ifcurate(line)
    assert result.code == 1
    read = [row for row in read_rows(open_sources([name, "a.jsonl"])[0]) if not row.ends]
    assert f"not read to the end: {name}: " in result.err
    assert "the number of missing rows is unknown" in result.err
    assert "--fail-on-error false" in result.err
    counts = read_manifest(folder / "run" / "manifest.json").counts
    assert counts == {
        "rows": len(ROWS) + len(read) + 1,
        "scored": counts["scored"],
        "no_context": counts["no_context"],
        "quarantined": 1,
    }
    assert f"not read to the end: {name}" in " ".join(result.out.split())
    for allowed in ("50%", "1000", "true"):
        assert ifcurate(f"{line} -q --fail-on-error {allowed}").code == 1
    assert ifcurate(f"{line} -q --fail-on-error false").code == 0
    assert ifcurate("filter --drop non-context-critical --run run -q").code == 0


def test_the_number_of_earlier_rows_is_reported(ifcurate: Command, folder: Path) -> None:
    cut_lines(folder / "a.jsonl")
    result = ifcurate("score a.jsonl --engine toy -q")
    assert "the file may be cut off here (299 rows of it before)" in result.err


def test_a_last_line_without_an_end_is_no_harm(ifcurate: Command, folder: Path) -> None:
    (folder / "a.jsonl").write_bytes(LINES.rstrip())
    assert ifcurate("score a.jsonl --engine toy -q --fail-on-error true").code == 0
    (folder / "a.csv").write_bytes(b"instruction,input,output\na,some text,b\nc,more text,d")
    assert ifcurate("score a.csv --engine toy -q --fail-on-error true").code == 0


def test_rows_that_are_not_asked_for_are_not_missed(ifcurate: Command, folder: Path) -> None:
    cut_lines(folder / "a.jsonl")
    assert ifcurate("score a.jsonl --engine toy -q --limit 100").code == 0


def test_a_shard_and_the_merge_of_all_fail(ifcurate: Command, folder: Path) -> None:
    cut_lines(folder / "a.jsonl")
    codes = [
        ifcurate(f"score a.jsonl --engine toy -q --shard {i}/3 --out shard-{i}").code
        for i in (1, 2, 3)
    ]
    assert sorted(codes) == [0, 0, 1]
    merged = ifcurate("merge shard-1 shard-2 shard-3 --out merged")
    assert merged.code == 1
    assert "not read to the end: a.jsonl: " in merged.err
    assert "300 rows of 3 shards" in merged.out
    assert ifcurate("merge shard-1 shard-2 shard-3 --out merged --fail-on-error false").code == 0


def test_a_recipe_fails_too(ifcurate: Command, folder: Path) -> None:
    cut_lines(folder / "a.jsonl")
    recipe = "data: {paths: [a.jsonl]}\nscore: {engine: toy}\nfilter: {keep: context-critical}\n"
    (folder / "r.yaml").write_text(recipe)
    result = ifcurate("run r.yaml")
    assert result.code == 1
    assert "not read to the end: a.jsonl: " in result.err
    assert ifcurate("run r.yaml -q --fail-on-error false").code == 0


def test_actors_of_a_cluster_pass_it_on(folder: Path) -> None:
    cut_gzip(folder / "a.jsonl.gz")
    settings = ScoreSettings(chunk_rows=50)
    examples = read_examples("a.jsonl.gz")
    scorer = Scorer.create(ToyEngine(), settings)
    local = score_run(examples, scorer, folder / "local")
    actor = ScoringActor(EngineOptions(engine="toy"), settings)
    for batch in read_batches(examples, 50, 2, ()):
        actor.score(batch, folder / "ray" / "parts", tokens=False)
    begun = local.manifest.model_copy(update={"finished": False, "checks": {}, "notes": []})
    begun.write(folder / "ray" / "manifest.json")
    joined = score_run(examples, scorer, folder / "ray")
    assert joined.manifest.checks["broken_inputs"] == local.manifest.checks["broken_inputs"]
