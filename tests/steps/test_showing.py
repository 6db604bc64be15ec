"""`ifcurate show` prints both prompts as they were scored."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from ifcurate.data.sources import read_examples
from ifcurate.engines.toy import ToyEngine
from ifcurate.errors import RunError, TemplateError
from ifcurate.options.score import ScoreSettings
from ifcurate.runs.filling import score_run
from ifcurate.runs.run import Run
from ifcurate.runs.splits import say_unsplit
from ifcurate.scoring.scorer import Scorer
from ifcurate.steps.showing import show_example
from ifcurate.steps.splitting import split_run
from tests.conftest import ALPACA_ROWS, write_jsonl


@pytest.fixture
def run(folder: Path) -> Run:
    write_jsonl(folder / "alpaca.jsonl", ALPACA_ROWS)
    scorer = Scorer.create(ToyEngine(), ScoreSettings(template="alpaca"))
    return score_run(read_examples("alpaca.jsonl"), scorer, folder / "run")


def test_both_prompts_are_shown_as_they_were_scored(run: Run) -> None:
    row = run.scores().row(0, named=True)
    shown = show_example(run, row["id"])
    assert shown.with_context is not None
    assert shown.without_context is not None
    assert ALPACA_ROWS[0]["input"] in shown.with_context.text
    assert ALPACA_ROWS[0]["input"] not in shown.without_context.text
    for prompt in (shown.with_context, shown.without_context):
        assert prompt.text[prompt.response_start :] == ALPACA_ROWS[0]["output"]
        assert "".join(prompt.response_tokens).strip() == ALPACA_ROWS[0]["output"]
        assert len(prompt.response_tokens) == row["n_response_tokens"]
    assert shown.with_context.n_tokens == row["n_tokens_with_context"]
    assert shown.without_context.n_tokens == row["n_tokens_without_context"]


def test_an_end_marker_that_was_scored_is_shown(folder: Path) -> None:
    write_jsonl(folder / "alpaca.jsonl", [{**ALPACA_ROWS[0], "output": "In May.</s>"}])
    settings = ScoreSettings(template="alpaca", keep_end_markers=True)
    scorer = Scorer.create(ToyEngine(), settings)
    run = score_run(read_examples("alpaca.jsonl"), scorer, folder / "run")
    shown = show_example(run, run.scores()["id"][0])
    assert shown.with_context is not None
    assert shown.with_context.text.endswith("In May.</s>")


def test_an_example_that_was_not_scored_says_why(run: Run) -> None:
    id = run.scores().filter(pl.col("status") == "no_context")["id"][0]
    shown = show_example(run, id)
    assert (shown.status, shown.with_context) == ("no_context", None)
    assert shown.reason
    assert shown.prompt is not None
    assert shown.prompt.text[shown.prompt.response_start :] == ALPACA_ROWS[1]["output"]
    assert "".join(shown.prompt.response_tokens).strip() == ALPACA_ROWS[1]["output"]


def test_a_run_says_which_splits_it_has(run: Run) -> None:
    assert say_unsplit(run) == "no split yet"
    split_run(run, rule="gain", threshold=-100.0, name="all")
    assert say_unsplit(run) == "no split without a name (--split takes all)"


def test_another_template_than_the_run_s_is_refused(run: Run) -> None:
    id = run.scores()["id"][0]
    with pytest.raises(TemplateError, match="template tulu: differs from the one that scored"):
        show_example(run, id, template="tulu")


def test_a_jinja_file_that_was_moved_is_asked_for(folder: Path) -> None:
    write_jsonl(folder / "alpaca.jsonl", ALPACA_ROWS)
    jinja = Path("own.jinja")
    jinja.write_text("{{ context }} {{ instruction }}: {{ response }}")
    scorer = Scorer.create(ToyEngine(), ScoreSettings(template="own.jinja"))
    run = score_run(read_examples("alpaca.jsonl"), scorer, folder / "run")
    id = run.scores()["id"][0]
    moved = jinja.rename("moved.jinja")
    with pytest.raises(TemplateError, match="give the file that the run used: --template FILE"):
        show_example(run, id)
    assert show_example(run, id, template=str(moved)).with_context


def test_a_chat_with_several_responses_names_its_turns(folder: Path) -> None:
    asked, answered = {"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ann."}
    write_jsonl(folder / "chat.jsonl", [{"messages": [asked, answered] * 2}])
    scorer = Scorer.create(ToyEngine(), ScoreSettings())
    run = score_run(read_examples("chat.jsonl", turns="all"), scorer, folder / "run")
    id = run.scores()["id"][0]
    assert show_example(run, id).turns == (0, 1)
    assert show_example(run, id, turn=1).turn == 1
    with pytest.raises(RunError, match="has no turn 7; found 0, 1"):
        show_example(run, id, turn=7)


def test_a_row_is_shown_by_its_number_unless_an_id_has_it(folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", ALPACA_ROWS)
    write_jsonl(folder / "b.jsonl", [{**row, "id": "1"} for row in ALPACA_ROWS[3:]])
    scorer = Scorer.create(ToyEngine(), ScoreSettings(template="alpaca"))
    run = score_run(read_examples(["a.jsonl", "b.jsonl"]), scorer, folder / "run")
    shown = show_example(run, "0")
    assert (shown.source, shown.row, shown.turns) == ("a.jsonl", 0, (0,))
    assert show_example(run, "1").source == "b.jsonl"
    with pytest.raises(RunError, match=r"no example '99'.*give one, or a row's number"):
        show_example(run, "99")


def test_an_unknown_id_is_an_error(run: Run) -> None:
    with pytest.raises(RunError, match="no example 'nothing'"):
        show_example(run, "nothing")
