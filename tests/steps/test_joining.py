"""Examples in memory meet their labels by id, in any order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import ifcurate
from ifcurate.engines.toy import ToyEngine
from ifcurate.errors import RunError
from ifcurate.records import Example
from ifcurate.split.rules import Split
from tests.conftest import write_jsonl

ROWS: list[dict[str, Any]] = [
    {"instruction": "What did it catch?", "input": f"{i} The heron waits.", "output": "An eel."}
    for i in range(12)
]
NAMED: list[dict[str, Any]] = [
    {"id": "a" if i < 2 else str(i), **row} for i, row in enumerate(ROWS)
]


def split(data: Any, n_critical: int) -> Split:
    """A split in which the first rows are context-critical."""
    first = pl.when(pl.col("row") < n_critical).then(1.0).otherwise(0.0)
    scores = ifcurate.score_examples(data, ToyEngine()).with_columns(context_gain=first)
    return ifcurate.split_scores(scores, rule="gain")


def keep(data: Any, made: Split) -> list[int]:
    """The numbers in the contexts of the kept examples."""
    kept = ifcurate.filter_examples(data, made, keep="context-critical").kept
    return [int(example.context.split()[0]) for example in kept]


def test_another_order_and_a_part_keep_the_same_examples() -> None:
    made = split(ROWS, 6)
    assert keep(ROWS, made) == [0, 1, 2, 3, 4, 5]
    assert keep(ROWS[::-1], made) == [5, 4, 3, 2, 1, 0]
    assert keep(ROWS[4:], made) == [4, 5]
    assert keep(pl.DataFrame(ROWS[6:]), made) == []


def test_an_example_that_was_not_scored_is_named() -> None:
    made = split(ROWS, 6)
    stranger = {"instruction": "x", "input": "1 y", "output": "z"}
    with pytest.raises(
        RunError, match=r"'[0-9a-f]{16}' \(rows row 0\): not in the split; score and"
    ):
        keep([stranger], made)
    with pytest.raises(RunError, match=r"not in the split, nor 1 other; score"):
        keep([ROWS[0], stranger, {**stranger, "output": "w"}], made)


def test_examples_made_by_hand_are_found_by_their_content() -> None:
    texts = [f"{i} The heron waits." for i in range(8)]
    made_by_hand = [Example(instruction="Who?", context=t, response="It.") for t in texts]
    made = split(made_by_hand, 3)
    assert keep(made_by_hand[::-1], made) == [2, 1, 0]


def test_repeated_ids_are_never_mixed_up() -> None:
    alike = split(NAMED, 6)  # both rows "a" have the same label
    assert keep(NAMED[::-1], alike) == [5, 4, 3, 2, 1, 0]
    apart = split(NAMED, 1)  # the first "a" is kept, the second is not
    assert keep(NAMED, apart) == [0]
    for changed in (NAMED[::-1], NAMED[1:], [NAMED[1]]):
        with pytest.raises(RunError, match="'a': its id is that of 2 rows with different labels"):
            keep(changed, apart)


def test_rows_of_a_file_keep_their_places(folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", NAMED)
    examples = list(ifcurate.read_examples("a.jsonl"))
    made = split(examples, 1)
    assert keep(examples[::-1], made) == [0]
    assert keep(examples[1:], made) == []
