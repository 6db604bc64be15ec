"""Suites are read, a killed evaluation resumes, and the same numbers come twice."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ifcurate.errors import DataError, OptionError, RunError
from ifcurate.evaluation import evaluate
from ifcurate.evaluation.answers import names
from ifcurate.evaluation.evaluate import evaluate_model
from ifcurate.evaluation.measures import _share, compare_outcomes, position_of_answer
from ifcurate.evaluation.models import LocalModel
from ifcurate.evaluation.suites import load_suite, note_duplicates
from ifcurate.options.evaluate import SUITES
from tests.conftest import SHARED_DATA

SHARED = SHARED_DATA / "conflict_suites"
PAPER = ("country_capitals_only.json", "world_facts.json", "famous_biographies.jsonl")


@pytest.mark.parametrize("name", SUITES)
def test_a_built_in_suite_is_coherent(name: str) -> None:
    suite = load_suite(name)
    assert len(suite.questions) >= 200
    assert not suite.notes  # every context has its answer
    assert not note_duplicates([suite])
    for question in suite.questions:
        assert not names(question.question, question.memory_answers)
        if name in ("biographies", "world-facts"):  # nothing of the real answer is left over
            assert not names(question.context, question.memory_answers)
    if name in ("capitals", "world-facts"):
        places = {position_of_answer(q) for q in suite.questions}
        assert {"first third", "middle third", "last third"} <= places


def suite_file(folder: Path, n: int = 6) -> Path:
    rows = [
        {
            "context": f"The capital of Nowhere {i} is Herat.",
            "question": f"What is the capital of Nowhere {i}?",
            "answer": "Herat",
            "memory_answer": "Kabul (Cabul)",
        }
        for i in range(n)
    ]
    path = folder / "own.json"
    path.write_text(json.dumps(rows))
    return path


def run(folder: Path, suite: Path) -> dict[str, object]:
    result = evaluate_model(
        "pocket", folder, suite=(str(suite),), template="alpaca", batch_size=1, max_new_tokens=12
    )
    found: dict[str, object] = result["suites"]["own"]
    return found


@pytest.mark.slow
def test_a_killed_evaluation_resumes_with_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = suite_file(tmp_path)
    whole = run(tmp_path / "a", suite)
    asked: list[int] = []
    answer = LocalModel.continue_greedily

    def dies(
        self: LocalModel, prompts: Sequence[Sequence[int]], *, max_new_tokens: int
    ) -> list[str]:
        asked.append(len(prompts))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return answer(self, prompts, max_new_tokens=max_new_tokens)

    monkeypatch.setattr(LocalModel, "continue_greedily", dies)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b", suite)
    path = next((tmp_path / "b").rglob("own.answers.jsonl"))
    with path.open("ab") as stream:
        stream.write(b'{"question": "own-5", "te')  # what a kill leaves of a line
    asked.clear()
    asked.extend([0] * 3)
    assert run(tmp_path / "b", suite) == whole
    assert sum(asked) == 2 * 2  # the two that were left, with and without the context


@pytest.mark.slow
def test_answers_of_another_template_are_not_mixed(tmp_path: Path) -> None:
    suite = suite_file(tmp_path, 1)
    run(tmp_path, suite)
    with pytest.raises(RunError, match="template"):
        evaluate_model("pocket", tmp_path, suite=(str(suite),), template="plain",
                       batch_size=1, max_new_tokens=12)  # fmt: skip


def test_a_file_that_is_no_suite_is_refused_with_the_row(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"question": "Who?", "answer": "X"}\n')
    with pytest.raises(DataError, match=r"row 0.*memory_answer"):
        load_suite(str(path))
    path.write_text('{"question": "Who?", "answer": "X", "memory_answer": ""}\n')
    with pytest.raises(DataError, match=r"found question, answer; add"):
        load_suite(str(path))
    path.write_text('{"question": "Who, X?", "answer": "X", "memory_answer": ["Y", "x"]}\n')
    assert "1 question of 1 whose context answer names" in load_suite(str(path)).notes[0]
    with pytest.raises(DataError, match="capitals"):
        load_suite("capital")


def test_two_suites_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "capitals.jsonl"
    path.write_text('{"question": "Who, X?", "answer": "X", "memory_answer": "Y"}\n')
    with pytest.raises(OptionError, match="two suites have this name"):
        evaluate_model("pocket", tmp_path, suite=("capitals", str(path)))


def test_equal_outcomes_have_an_interval_with_a_width() -> None:
    found = [_share([hit] * 20, 0) for hit in (False, True)]
    # Wilson's interval of 0 of 20, and of 20 of 20.
    ends = [end for interval in found for end in (interval["low"], interval["high"])]
    assert ends == pytest.approx([0.0, 0.1611, 0.8389, 1.0], abs=1e-4)


def test_a_paired_difference_knows_its_sign() -> None:
    first = {str(i): i < 80 for i in range(100)}
    second = {str(i): i < 50 for i in range(100)}
    found = compare_outcomes(first, second, seed=0)
    assert found["difference"] == pytest.approx(-0.3)
    assert found["high"] < 0
    assert found["p"] < 1e-6
    assert compare_outcomes(first, first, seed=0)["p"] == 1.0


def test_the_folder_of_a_checkpoint_names_its_run() -> None:
    assert evaluate._folder_name("runs/a/checkpoint-50") == "a--checkpoint-50"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared suites are not here")
def test_the_papers_suites_load_as_they_are() -> None:
    suites = [load_suite(str(SHARED / name)) for name in PAPER]
    assert [len(suite.questions) for suite in suites] == [196, 313, 555]
    assert "196 questions" in note_duplicates(suites)[0]
    assert "2 contexts of 313" in suites[1].notes[0]


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared suites are not here")
def test_the_papers_suites_survive_a_kill_and_give_the_same_numbers_twice(tmp_path: Path) -> None:
    suites = tuple(str(SHARED / name) for name in PAPER)
    given: dict[str, Any] = {
        "suite": suites, "template": "alpaca", "limit": 6, "batch_size": 1, "max_new_tokens": 8
    }  # fmt: skip
    whole = evaluate_model("pocket", tmp_path / "a", **given)
    code = f"from ifcurate.evaluation.evaluate import *; evaluate_model('pocket', 'b', **{given!r})"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    answers = tmp_path / "b" / "pocket" / "world_facts.answers.jsonl"  # the second of three
    while process.poll() is None and not answers.exists():
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not (tmp_path / "b" / "pocket" / "famous_biographies.json").exists()
    resumed = evaluate_model("pocket", tmp_path / "b", **given)
    assert resumed["suites"] == whole["suites"]
    assert "6 questions of world_facts also occur in country_capitals_only" in resumed["notes"]


@pytest.mark.parametrize("name", ["own.json", "own.answers.jsonl", "own.run.json"])
def test_files_that_no_evaluation_wrote_stay(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(RunError, match=r"choose another"):  # noqa: PT012
        evaluate._refuse_foreign(tmp_path, "own")
        evaluate._check_identity(tmp_path / "own.run.json", {"model": "pocket"})
    assert (tmp_path / name).read_text() == "mine"
