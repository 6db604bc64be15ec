"""spaCy and GLiNER as recognisers: a stand-in for each, and spaCy itself where it is installed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from ifcurate.counterfactual.augment import iterate_counterfactuals
from ifcurate.counterfactual.recognise.labelled import (
    gliner_recogniser,
    load_spacy,
    spacy_recogniser,
)
from ifcurate.counterfactual.recognise.spans import Recogniser
from ifcurate.counterfactual.write.outcomes import Outcome
from ifcurate.errors import ModelError
from ifcurate.options.augment import AugmentOptions

from .invariants import assert_holds
from .making import NAMED, alpaca, examples_of

ROW = alpaca(
    "Zbigniew Kowalczyk opened the meeting. Kowalczyk was calm, and he asked the others for "
    "their reports on the roof, the garden and the two old pumps.",
    "Zbigniew Kowalczyk",
    "Who opened the meeting?",
)
NAMES = {"Zbigniew Kowalczyk": "PERSON", "Kowalczyk": "PERSON", "Peru": "GPE", "Peruvian": "NORP",
         "5 May 1950": "DATE", "$1,250": "MONEY"}  # fmt: skip
PATTERN = re.compile("|".join(sorted(map(re.escape, NAMES), key=len, reverse=True)))


@dataclass
class Entity:
    start_char: int
    end_char: int
    label_: str


@dataclass
class Doc:
    ents: list[Entity]


class Pipeline:
    """What is used of a spaCy pipeline."""

    def pipe(self, texts: Sequence[str]) -> Iterator[Doc]:
        for text in texts:
            yield Doc([Entity(m.start(), m.end(), NAMES[m.group()])
                       for m in PATTERN.finditer(text)])  # fmt: skip


class Model:
    """What is used of a GLiNER model, as its documentation has it."""

    def __init__(self) -> None:
        self.longest = 0

    def predict_entities(
        self, text: str, labels: list[str], threshold: float = 0.5
    ) -> list[dict[str, Any]]:
        assert {"person", "city", "country"} <= set(labels)
        self.longest = max(self.longest, len(text))
        kinds = {"PERSON": "person", "GPE": "country", "NORP": "nationality", "DATE": "date",
                 "MONEY": "money"}  # fmt: skip
        return [
            {"start": m.start(), "end": m.end(), "text": m.group(), "score": 0.9,
             "label": kinds[NAMES[m.group()]]}
            for m in PATTERN.finditer(text)
        ]  # fmt: skip


def outcome_of(row: dict[str, Any], recogniser: Recogniser) -> Outcome:
    (outcome,) = iterate_counterfactuals(examples_of(row), AugmentOptions(), recogniser=recogniser)
    return outcome


RECOGNISERS: list[Recogniser] = [
    spacy_recogniser(Pipeline(), "stand-in", NAMED),
    gliner_recogniser(Model(), "stand-in", NAMED),
]


@pytest.mark.parametrize("recogniser", RECOGNISERS, ids=lambda r: r.name)
def test_spans_of_a_model_go_through_the_same_engine(recogniser: Recogniser) -> None:
    outcome = outcome_of(ROW, recogniser)
    (item,) = outcome.written
    assert "Kowalczyk" not in item.rows[0]["input"]
    assert item.rows[0]["ifcurate_recogniser"] == recogniser.name
    assert item.made.gender == "m"
    assert_holds(item, recogniser)


@pytest.mark.parametrize("recogniser", RECOGNISERS, ids=lambda r: r.name)
def test_labels_are_read_as_our_types(recogniser: Recogniser) -> None:
    text = "On 5 May 1950 Kowalczyk paid $1,250 for the Peruvian's trip to Peru."
    found = {(s.text, s.type, s.shape or s.value, s.code) for s in recogniser.spans({"t": text})}
    assert ("Kowalczyk", "PERSON", "given", "") in found
    assert ("Peru", "COUNTRY", "name", "PE") in found
    assert ("Peruvian", "COUNTRY", "adjective", "PE") in found
    assert ("5 May 1950", "DATE", "1950-5-5", "") in found
    assert ("$1,250", "MONEY", "1250", "") in found


def test_long_texts_are_cut_at_white_space() -> None:
    model = Model()
    text = "nothing here. " * 400 + "Then Zbigniew Kowalczyk came. " + "nothing more. " * 400
    (span,) = gliner_recogniser(model, "m", NAMED).spans({"t": text})
    assert text[span.start : span.end] == "Zbigniew Kowalczyk"
    assert model.longest <= 1400


def test_a_missing_pipeline_says_what_to_do() -> None:
    with pytest.raises(ModelError, match=r"pip install|spacy download"):
        load_spacy("en_no_such_pipeline", NAMED)


def test_a_real_spacy_pipeline() -> None:
    spacy = pytest.importorskip("spacy")
    pipeline = spacy.blank("en")
    ruler = pipeline.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": label, "pattern": name} for name, label in NAMES.items()])
    outcome = outcome_of(ROW, spacy_recogniser(pipeline, "blank", NAMED))
    assert outcome.written
