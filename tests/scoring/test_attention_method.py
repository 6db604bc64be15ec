"""`--method attention`: a column beside the losses, from engines that can."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from ifcurate.engines.load import load_engine
from ifcurate.errors import ModelError
from ifcurate.options.score import ScoreSettings
from ifcurate.scoring.in_memory import score_examples
from ifcurate.storage.files import read_table, write_table
from ifcurate.storage.tables import SCORES

ROWS = [
    {"instruction": "Where is it?", "input": "The tower is in Lyon.", "output": "In Lyon."},
    {"instruction": "Say hello.", "input": "", "output": "Hello."},
    {"instruction": "Who wrote it?", "input": "Ada wrote it. It is long.", "output": "Ada."},
]


@pytest.mark.slow
def test_the_attention_is_added_and_the_losses_stay() -> None:
    with load_engine("hf", model="pocket", threads=1) as engine:
        plain = score_examples(ROWS, engine, ScoreSettings(template="alpaca"))
        found = score_examples(ROWS, engine, ScoreSettings(template="alpaca", method="attention"))
        settings = ScoreSettings(template="alpaca", method="attention", attention_layer=9)
        with pytest.raises(ModelError, match="layers 0 to 3; found 9"):
            score_examples(ROWS, engine, settings)
    shares = found["context_attention"].to_list()
    assert shares[1] is None
    assert all(0 < share < 1 for share in (shares[0], shares[2]))
    assert found.drop("context_attention").equals(plain.drop("context_attention"))
    assert plain["context_attention"].null_count() == len(ROWS)


def test_an_engine_without_attention_is_refused_at_once() -> None:
    engine = load_engine("toy")
    with pytest.raises(ModelError, match="engine toy does not give its attention; use the engine"):
        score_examples(ROWS, engine, ScoreSettings(method="attention"))


def test_a_table_of_an_earlier_version_has_no_attention(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    older = pl.DataFrame(schema={n: t for n, t in SCORES.items() if n != "context_attention"})
    write_table(older, path, {})
    assert read_table(path, SCORES).schema == SCORES
