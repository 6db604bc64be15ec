"""The model that ranks the runs of units: units, features, probabilities, weights."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ifcurate.contexts import model
from ifcurate.contexts.lines import NUMBER, SIGNS, read_signs
from ifcurate.contexts.model import Candidates, describe, describe_none, rank, read_weights
from ifcurate.contexts.units import MOST, divide

PROMPT = "Passage: The mill has two wheels. One turns.\n\nWho built it?\nAnswer:"


def parts(text: str, cuts: tuple[int, ...] = ()) -> list[str]:
    return [text[unit.start : unit.end] for unit in divide(text, cuts)]


def test_a_prompt_is_divided_at_labels_and_sentences() -> None:
    assert parts(PROMPT) == [
        "Passage:",
        "The mill has two wheels.",
        "One turns.",
        "Who built it?",
        "Answer:",
    ]
    assert [unit.gap for unit in divide(PROMPT)] == [2, 0, 0, 2, 1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('Is "It was so. Was it?" true?', ["Is", '"It was so. Was it?"', "true?"]),
        ("这是磨坊。它有两个轮子。", ["这是磨坊。", "它有两个轮子。"]),
        ("Read this: it is old", ["Read this:", "it is old"]),
        ("<doc>A mill.</doc> Who?", ["<doc>", "A mill.", "</doc>", "Who?"]),
        ("Summarise (briefly) .\nA mill ran .", ["Summarise (briefly) .", "A mill ran ."]),
        (" \n\t\n", []),
    ],
)
def test_quotations_tags_and_lines_are_units(text: str, expected: list[str]) -> None:
    assert parts(text) == expected


def test_cuts_divide_units() -> None:
    text = "Would the mill run be a title?"
    assert parts(text, (6, 18)) == ["Would", "the mill run", "be a title?"]


def test_the_number_of_units_is_bounded() -> None:
    text = "\n\n".join("A mill ran. It stopped.\nNobody came. Why?" for _ in range(400))
    units = divide(text)
    assert len(units) <= MOST
    assert (units[0].start, units[-1].end) == (0, len(text))
    assert all(a.end <= b.start for a, b in pairwise(units))


def test_signs_tell_a_question_from_a_statement() -> None:
    signs, words = read_signs(PROMPT, divide(PROMPT))
    assert signs.shape == (5, len(SIGNS))
    assert list(words) == [1, 5, 2, 3, 1]
    asked = [bool(row[NUMBER["question"]]) for row in signs]
    assert asked == [False, False, False, True, False]
    assert signs[0, NUMBER["context label"]] == 1
    assert signs[4, NUMBER["answer label"]] == 1


def test_features_have_a_row_for_each_run_and_a_weight_for_each_column() -> None:
    candidates = Candidates.of(PROMPT, divide(PROMPT))
    weights = read_weights()
    groups = dict(describe(candidates))
    assert {*groups, "none", "slots"} == {*weights}
    for name, features in groups.items():
        assert features.shape == (5 * 6 // 2, len(weights[name]))
        assert np.isfinite(features).all()
    assert describe_none(candidates).shape == weights["none"].shape


def test_probabilities_are_shares_of_all_runs_and_none() -> None:
    ranking = rank(PROMPT)
    assert ranking is not None
    assert ranking.none + ranking.probabilities.sum() == pytest.approx(1, abs=1e-5)
    best = int(ranking.probabilities.argmax())
    starts, ends = ranking.spans()
    assert PROMPT[starts[best] : ends[best]] == "The mill has two wheels. One turns."
    assert ranking.probabilities[best] <= ranking.confidence(best) <= 1
    assert rank(" ") is None


def test_the_weights_are_numbers_in_a_text_file() -> None:
    path = Path(model.__file__).with_name("weights.json")
    groups = json.loads(path.read_text("utf-8"))
    assert all(isinstance(value, float) for values in groups.values() for value in values)
    assert path.stat().st_size < 20_000
