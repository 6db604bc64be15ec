"""The bars that are held on real data; skipped where that data is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ifcurate.counterfactual.augment import iterate_counterfactuals
from ifcurate.counterfactual.lint import check_rows
from ifcurate.counterfactual.recognise.names import LexiconRecogniser
from ifcurate.counterfactual.write.outcomes import Funnel
from ifcurate.data.sources import read_examples
from ifcurate.options.augment import AugmentOptions, parse_types

from .invariants import assert_holds

pytestmark = pytest.mark.slow

FILES = (
    "alpaca_5pct.json", "p3_inline_context.jsonl", "sharegpt_dummy.json",
    "toolcall_sharegpt.json", "conflict_suites/country_capitals_only.json",
    "conflict_suites/world_facts.json", "conflict_suites/famous_biographies.jsonl",
)  # fmt: skip
WOMEN = {
    "Angela Merkel",
    "Cleopatra",
    "Emily Bront\u00eb",
    "Empress Catherine the Great",
    "Frida Kahlo",
    "Georgia O'Keeffe",
    "J.K. Rowling",
    "Jane Austen",
    "Margaret Thatcher",
    "Marie Curie",
    "Mary Shelley",
    "Queen Elizabeth II",
    "Rosalind Franklin",
    "Toni Morrison",
    "Virginia Woolf",
}

#: The first five of the types.
FIRST = "PERSON,DATE,YEAR,ORG,WORK"


@pytest.mark.parametrize(
    "settings",
    [
        AugmentOptions(),
        AugmentOptions(policy="corpus", seed=1, types=FIRST),
        AugmentOptions(policy="fictional", emit="pair+abstain", types=FIRST),
        AugmentOptions(policy="type-swap", types=FIRST),
        AugmentOptions(types="all", variants=2, seed=2),
    ],
    ids=lambda s: f"{s.policy}-{s.variants}-{len(parse_types(s.types))}",
)
def test_the_invariants_hold_on_everything_written(
    shared_data: Path, settings: AugmentOptions
) -> None:
    recogniser = LexiconRecogniser(parse_types(settings.types))
    for name in FILES:
        examples = read_examples(shared_data / name, turns="all")
        for outcome in iterate_counterfactuals(examples, settings, recogniser=recogniser):
            for item in outcome.written:
                assert_holds(item, recogniser)


@pytest.mark.parametrize(
    ("name", "skip", "bar"),
    [
        ("famous_biographies.jsonl", 0, 0.55),  # 0.56; pronouns do not fit in 119 contexts
    ],
)
def test_most_of_a_conflict_suite_is_written(
    shared_data: Path, name: str, skip: int, bar: float
) -> None:
    examples = [
        e for e in read_examples(shared_data / "conflict_suites" / name) if e.row_number >= skip
    ]
    funnel = Funnel()
    for outcome in iterate_counterfactuals(examples, AugmentOptions()):
        funnel.add(outcome.as_record())
    assert funnel.written >= bar * funnel.read, funnel.as_dict()


def test_the_linter_finds_pronouns_that_do_not_fit(shared_data: Path) -> None:
    examples = list(read_examples(shared_data / "conflict_suites" / "famous_biographies.jsonl"))
    wrong = set()
    for example in examples:
        he = len(re.findall(r"\b(?:he|him|his|himself)\b", example.context, re.I))
        she = len(re.findall(r"\b(?:she|her|hers|herself)\b", example.context, re.I))
        if (example.response in WOMEN) != (she > he):
            wrong.add(example.row_number)
    found = {f.row for f in check_rows(examples) if f.check == "H11"}
    assert len(wrong) == 119
    assert len(found & wrong) >= 0.95 * len(wrong)
    assert len(found - wrong) <= 0.1 * len(found)
