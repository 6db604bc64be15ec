"""The model that ranks the runs of units: units, features, probabilities, weights."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

from ifcurate.contexts import model
from ifcurate.contexts.lines import NUMBER, SIGNS, read_signs
from ifcurate.contexts.model import N_WORDS, Candidates, describe_units, rank, read_words
from ifcurate.contexts.units import MOST, Unit, divide
from tools.contexts.fit import make_example
from tools.contexts.marked import Marked
from tools.contexts.network import N_NETWORKS, Batch, Network, fit_networks

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


def test_a_unit_has_features_and_words() -> None:
    units = divide(PROMPT)
    features = describe_units(Candidates.of(PROMPT, units))
    assert len(features) == 5
    assert np.isfinite(features).all()
    words, ends = read_words(PROMPT, units[1])
    assert len(words) == 6  # "The mill has two wheels." with its full stop
    assert len(ends) == 3 + 1 + 3
    assert {*words, *ends} <= set(range(N_WORDS))
    assert read_words("THE MILL", Unit(0, 8, 2)) == read_words("the mill", Unit(0, 8, 2))


def test_the_networks_score_each_run_as_in_torch() -> None:
    example = make_example(Marked(PROMPT, [(9, 43)], [], "", "t", "f"))
    assert example is not None
    weights = fit_networks([example], n=2, epochs=1)
    with mock.patch.object(model, "read_weights", return_value=weights):
        ranking = rank(PROMPT)
    assert ranking is not None
    scores = []
    for k in range(2):
        network = Network(example.units.shape[1]).eval()
        with torch.no_grad():
            for name, values in network.values.items():
                values.copy_(torch.tensor(weights[name][k]))
            runs, none = network(Batch([example]))
        scores.append(torch.cat([none, runs]))
    expected = torch.softmax(torch.stack(scores).mean(0), 0).numpy()
    assert [ranking.none, *ranking.probabilities] == pytest.approx(expected, abs=1e-5)


def test_probabilities_are_shares_of_all_runs_and_none() -> None:
    ranking = rank(PROMPT)
    assert ranking is not None
    assert ranking.none + ranking.probabilities.sum() == pytest.approx(1, abs=1e-5)
    best = int(ranking.probabilities.argmax())
    starts, ends = ranking.spans()
    assert PROMPT[starts[best] : ends[best]] == "The mill has two wheels. One turns."
    assert ranking.probabilities[best] <= ranking.confidence(best) <= 1
    assert rank(" ") is None


def test_the_weights_are_numbers_of_16_bits_for_each_network() -> None:
    path = Path(model.__file__).with_name("weights.npz")
    with np.load(path, allow_pickle=False) as arrays:
        weights = dict(arrays)
    assert {values.dtype for values in weights.values()} == {np.dtype(np.float16)}
    assert weights["words"].shape[:2] == (N_NETWORKS, N_WORDS)
    assert all(np.isfinite(values).all() for values in weights.values())
    assert path.stat().st_size < 700_000
