"""What a run will take: rows from all over the data, and the speed of the last rows timed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ifcurate.data.sources import read_examples
from ifcurate.engines.toy import ToyEngine
from ifcurate.errors import DataError
from ifcurate.options.score import ScoreSettings
from ifcurate.scoring.estimate import estimate_run
from ifcurate.scoring.scorer import Scorer
from tests.cli.test_cli import Command, ifcurate
from tests.conftest import ANSWERED_ROWS, write_jsonl

__all__ = ["ifcurate"]  # the fixture

LONG, SHORT, BARE = ANSWERED_ROWS[3], ANSWERED_ROWS[0], ANSWERED_ROWS[1]


def clock(seconds: float) -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += seconds


def test_the_figures_of_small_data_are_exact(folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", [LONG, SHORT, BARE] * 20)
    engine = ToyEngine()
    found = estimate_run(read_examples("a.jsonl"), Scorer.create(engine, ScoreSettings()))
    scores = Scorer.create(engine, ScoreSettings()).score(list(read_examples("a.jsonl")))[0]
    sizes = scores.select("n_tokens_with_context", "n_tokens_without_context").to_numpy()
    both = int(sizes[scores["status"] == "scored"].sum())
    assert (found.rows, found.rows_read, found.scored, found.tokens) == (60, 60, 40, both)
    assert found.margin == 0
    assert found.memory["process"] > 10_000_000


def test_large_data_are_read_all_over(folder: Path) -> None:
    # The first half is short and has no context: the first rows alone would say so of all.
    write_jsonl(folder / "a.jsonl", [BARE] * 2000 + [LONG] * 2000)
    scorer = Scorer.create(ToyEngine(), ScoreSettings())
    found = estimate_run(read_examples("a.jsonl"), scorer)
    assert (found.rows, found.rows_read) == (4000, 512)
    assert found.scored == 2000
    assert 0.4 < found.margin < 0.6  # 8 of 16 parts of the data have all of the tokens


@pytest.mark.parametrize(
    ("seconds", "timed"),
    [
        (10.0, 1),  # a large model: one example, once
        (1.5, 2),  # the first one warms the engine up
        (0.1, 64),  # all are scored before a second is over; fewer than before are left out
    ],
)
def test_as_many_rows_are_timed_as_fill_a_second(folder: Path, seconds: float, timed: int) -> None:
    write_jsonl(folder / "a.jsonl", [LONG] * 150)
    scorer = Scorer.create(ToyEngine(), ScoreSettings())
    ticks = clock(seconds)
    found = estimate_run(read_examples("a.jsonl"), scorer, clock=lambda: next(ticks))
    assert found.rows_timed == timed
    assert found.tokens is not None
    assert found.tokens_per_second == pytest.approx(found.tokens / 150 * timed / seconds)
    assert found.seconds == pytest.approx(150 / timed * seconds)


def test_a_limit_and_rows_without_a_context_count(folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", [BARE] * 5)
    scorer = Scorer.create(ToyEngine(), ScoreSettings())
    found = estimate_run(read_examples("a.jsonl", limit=3), scorer)
    assert (found.rows, found.scored, found.tokens, found.seconds) == (3, 0, 0, None)
    (folder / "none.json").write_text("[]")
    with pytest.raises(DataError):
        estimate_run(read_examples("none.json"), scorer)


def test_an_estimate_writes_nothing(ifcurate: Command, folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", ANSWERED_ROWS)
    before = sorted(folder.rglob("*"))
    shown = ifcurate("score a.jsonl --engine toy --estimate")
    assert shown.code == 0, shown.err
    assert "to score  3 examples" in shown.out
    assert "the numbers mean nothing" in shown.out
    found = ifcurate("score a.jsonl --engine toy --estimate --json").json()
    assert (found["rows"], found["scored"]) == (5, 3)
    assert sorted(folder.rglob("*")) == before
    refused = ifcurate("score a.jsonl --engine toy --estimate --executor ray")
    assert refused.code == 2
