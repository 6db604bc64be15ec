"""What was scored once is not scored again; what changed is."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ifcurate.data.sources import read_examples
from ifcurate.engines.base import Float32Array, Prompt
from ifcurate.engines.toy import ToyEngine
from ifcurate.errors import DataError
from ifcurate.options.score import ScoreSettings
from ifcurate.runs.filling import score_run
from ifcurate.runs.run import Run
from ifcurate.scoring.cache import ScoreCache
from ifcurate.scoring.scorer import Scorer
from ifcurate.storage.tables import NUMBERS
from tests.conftest import write_jsonl


class Counts(ToyEngine):
    """Counts the pairs that it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs = 0

    def response_logprobs(self, prompts: Sequence[Prompt]) -> list[Float32Array]:
        self.pairs += len(prompts) // 2
        return super().response_logprobs(prompts)


def rows(n: int) -> list[dict[str, str]]:
    return [
        {
            "instruction": f"Question {i}?",
            "input": f"Note {i}: crate {i * 7} holds {i % 5} lamps." if i % 4 else "",
            "output": f"Crate {i * 7}.",
        }
        for i in range(n)
    ]


def scorer(engine: ToyEngine | None = None, **options: Any) -> Scorer:
    return Scorer.create(engine or ToyEngine(), ScoreSettings(chunk_rows=16, **options))


def scored(name: str, data: list[dict[str, str]], **options: Any) -> tuple[Run, int]:
    """A run with the cache of this folder; how many examples its engine was asked for."""
    engine = Counts()
    mine = scorer(engine, **options)
    path = write_jsonl(Path(f"{name}.jsonl"), data)
    with ScoreCache.for_scorer(Path("cache.sqlite"), mine) as cache:
        run = score_run(read_examples(path), mine, Path(name), cache=cache)
    return run, engine.pairs


def without_cache(name: str, **options: Any) -> bytes:
    run = score_run(read_examples(f"{name}.jsonl"), scorer(**options), Path(f"{name}-alone"))
    return run.scores_path.read_bytes()


def test_added_rows_are_scored_and_the_others_are_not(folder: Path) -> None:
    assert scored("a", rows(40))[1] == 30
    run, asked = scored("b", rows(60))
    assert asked == 15
    assert run.manifest.checks["from_cache"] == 30
    assert "30 examples scored before" in run.manifest.notes[-1]
    assert run.scores_path.read_bytes() == without_cache("b")
    again, asked = scored("c", rows(60)[::-1])
    assert asked == 0
    assert again.scores_path.read_bytes() == without_cache("c")


def test_an_edited_row_is_scored_again(folder: Path) -> None:
    scored("a", rows(40))
    edited = rows(40)
    edited[5]["output"] = "Another answer."
    edited[6]["input"] += "!"
    edited[8]["input"] = "A context where none was."
    run, asked = scored("b", edited)
    assert asked == 3
    assert run.scores_path.read_bytes() == without_cache("b")


@pytest.mark.parametrize(
    "options", [{"template": "plain"}, {"score_eot": True}, {"token_gain": 0.1}]
)
def test_other_settings_have_other_scores(options: dict[str, Any], folder: Path) -> None:
    scored("a", rows(40))
    run, asked = scored("b", rows(40), **options)
    assert asked == 30
    assert run.scores_path.read_bytes() == without_cache("b", **options)


@pytest.mark.parametrize("name", ["model", "revision", "dtype", "engine_version", "tokenizer"])
def test_other_engines_have_other_scores(name: str, folder: Path) -> None:
    first = scorer()
    path = Path("cache.sqlite")
    table, _ = first.score(list(read_examples(write_jsonl(folder / "a.jsonl", rows(20)))))
    keys = table["key"].drop_nulls().to_list()
    with ScoreCache.for_scorer(path, first) as cache:
        cache.add(table)
        assert len(cache.find(keys)) == 15
    other = ToyEngine()
    other.identity = replace(other.identity, **{name: "other"})
    with ScoreCache.for_scorer(path, scorer(other)) as cache:
        assert cache.find(keys) == {}


def test_numbers_come_back_bit_by_bit(folder: Path) -> None:
    table, _ = scorer().score(list(read_examples(write_jsonl(folder / "a.jsonl", rows(50)))))
    table = table.with_columns(pl.col("context_gain") / 3, pl.lit(-0.0).alias("max_token_gain"))
    with ScoreCache(folder / "c.sqlite", {}) as cache:
        cache.add(table)
        scored_rows = table.filter(pl.col("status") == "scored")
        found = cache.find(scored_rows["key"].to_list())
    for key, *values in scored_rows.select("key", *NUMBERS).iter_rows():
        assert list(map(repr, found[key])) == list(map(repr, values))


def test_a_run_sees_the_cache_as_it_was_when_it_began(folder: Path) -> None:
    """The same rows twice in a run: what the run adds itself decides nothing in it."""
    data = rows(40) * 2
    write_jsonl(folder / "a.jsonl", data)
    calls = [0]

    def stop() -> bool:
        calls[0] += 1
        return calls[0] == 3

    engine = Counts()
    mine = scorer(engine)
    with ScoreCache.for_scorer(Path("cache.sqlite"), mine) as cache:
        with pytest.raises(KeyboardInterrupt):
            score_run(read_examples("a.jsonl"), mine, Path("a"), cache=cache, stop=stop)
        run = score_run(read_examples("a.jsonl"), mine, Path("a"), cache=cache)
    assert engine.pairs == 60
    assert "from_cache" not in run.manifest.checks
    assert scored("b", data)[1] == 0


def test_what_a_killed_run_scored_serves_the_next_one(folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", rows(160))
    calls = [0]

    def stop() -> bool:
        calls[0] += 1
        return calls[0] == 5

    mine = scorer()
    with (
        ScoreCache.for_scorer(Path("cache.sqlite"), mine) as cache,
        pytest.raises(KeyboardInterrupt),
    ):
        score_run(read_examples("a.jsonl"), mine, Path("a"), cache=cache, stop=stop)
    assert scored("b", rows(160))[1] == 120 - 60


def test_tokens_are_always_scored(folder: Path) -> None:
    scored("a", rows(40))
    engine = Counts()
    mine = scorer(engine)
    with ScoreCache.for_scorer(Path("cache.sqlite"), mine) as cache:
        score_run(read_examples("a.jsonl"), mine, Path("t"), cache=cache, tokens=True)
    assert engine.pairs == 30
    assert pl.read_parquet("t/tokens.parquet").height > 30


def count_entries(cache: ScoreCache) -> int:
    return int(cache._db.execute("SELECT count(*) FROM scores").fetchone()[0])


@pytest.mark.slow
def test_the_oldest_make_room(folder: Path) -> None:
    mine = scorer()
    size = 200_000
    with ScoreCache.for_scorer(Path("cache.sqlite"), mine, max_bytes=size) as cache:
        for i in range(12):
            data = [{**row, "output": f"{row['output']} {i}"} for row in rows(160)]
            table, _ = mine.score(list(read_examples(write_jsonl(folder / "a.jsonl", data))))
            cache.add(table)
        newest = table["key"].drop_nulls().to_list()
        assert len(cache.find(newest)) == len(newest)
        assert count_entries(cache) < 12 * 120
    assert Path("cache.sqlite").stat().st_size < 2 * size


def test_two_at_once(folder: Path) -> None:
    tables = []
    for i in range(2):
        data = [{**row, "output": f"{row['output']} {i}"} for row in rows(200)]
        path = write_jsonl(folder / f"{i}.jsonl", data)
        tables.append(scorer().score(list(read_examples(path)))[0])
    failed: list[BaseException] = []

    def work(table: pl.DataFrame) -> None:
        try:
            with ScoreCache(folder / "c.sqlite", {}) as cache:
                for piece in table.iter_slices(10):
                    cache.add(piece)
                    cache.find(piece["key"].drop_nulls().to_list())
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=[table]) for table in tables]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    with ScoreCache(folder / "c.sqlite", {}) as cache:
        assert count_entries(cache) == 300


def test_a_file_that_is_no_cache(folder: Path) -> None:
    (folder / "c.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(DataError, match=r"cannot be used.*--cache-dir.*--no-cache"):
        ScoreCache(folder / "c.sqlite", {})
    with sqlite3.connect(folder / "d.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(DataError, match="version 99"):
        ScoreCache(folder / "d.sqlite", {})


def test_a_cache_that_breaks_later_is_done_without(folder: Path) -> None:
    mine = scorer()
    write_jsonl(folder / "a.jsonl", rows(40))
    cache = ScoreCache.for_scorer(Path("cache.sqlite"), mine)

    def stop() -> bool:
        cache.close()
        return False

    run = score_run(read_examples("a.jsonl"), mine, Path("a"), cache=cache, stop=stop)
    assert any("the cache of scores cannot be used" in note for note in run.manifest.notes)
    assert run.scores_path.read_bytes() == without_cache("a")


def test_no_text_is_kept(folder: Path) -> None:
    scored("a", rows(40))
    content = Path("cache.sqlite").read_bytes()
    assert b"crate" not in content.lower()
    assert b"question" not in content.lower()
