"""The linter: each kind of finding, and silence on what is right."""

from __future__ import annotations

from typing import Any

import pytest

from ifcurate.counterfactual.augment import AugmentSettings, iterate_counterfactuals
from ifcurate.counterfactual.lint import CHECKS, Finding, check_rows

from .making import examples_of, qca

WHO = "What is the name of the author who wrote the diary?"


def findings(*rows: dict[str, Any]) -> list[Finding]:
    return list(check_rows(e for n, r in enumerate(rows) for e in examples_of(r, n)))


def checks(*rows: dict[str, Any]) -> set[str]:
    return {f.check for f in findings(*rows)}


@pytest.mark.parametrize(
    ("row", "check"),
    [
        (qca("The capital moved from Kabul to Herat.", "Which city?", "Herat", "Kabul"),
         "memory-in-context"),
        (qca("Angela Kemp wrote it. Shelley was 18.", WHO, "Angela Kemp", "Mary Shelley"),
         "partial-name"),
        (qca("Kevin Kemp wrote it. Her diary is long, and she loved it.", WHO, "Kevin Kemp",
             "Mary Shelley"), "gender"),
        (qca("Kevin Kemp wrote it. His friend Pierre Kemp wept.", WHO, "Kevin Kemp", "A. Nobody"),
         "over-replacement"),
        (qca("Kevin Kemp wrote it. The Kemp Prizes are old.", WHO, "Kevin Kemp", "A. Nobody"),
         "over-replacement"),
        (qca("Kevin Kemp wrote it. The Kempian style is old.", WHO, "Kevin Kemp", "A. Nobody"),
         "over-replacement"),
        (qca("Kevin Kemp was born in the town of Kemp, Italy.", WHO, "Kevin Kemp", "A. Nobody"),
         "over-replacement"),
        (qca("We saw a Estonian ship.", "Which ship?", "Estonian", "Danish"), "article"),
        (qca("Nobody knows.", WHO, "Kevin Kemp", "Mary Shelley"), "answer-not-in-context"),
        (qca("Kevin Kemp wrote it.", "What did Kevin Kemp write?", "Kevin Kemp"),
         "answer-in-question"),
        (qca("Kevin Kemp wrote it.", WHO, "Kevin Kemp", "Kevin Kemp"), "same-answer"),
    ],
)  # fmt: skip
def test_each_finding(row: dict[str, Any], check: str) -> None:
    assert check in checks(row)
    assert check in CHECKS


def test_silence_on_what_is_right() -> None:
    row = qca(
        "Kevin Kemp wrote it. In his youth Kemp read much, and Kevin's diary says what. But Kemp "
        "was ill. Though Kemp lived long, he wrote little.",
        WHO, "Kevin Kemp", "Mary Shelley",
    )  # fmt: skip
    assert findings(row) == []


def test_duplicates_are_told_with_the_first() -> None:
    row = qca("Kevin Kemp wrote it.", WHO, "Kevin Kemp")
    (found,) = findings(row, row)
    assert (found.check, found.row, found.detail) == ("duplicate", 1, "first at row 0")


def test_what_augment_writes_passes_the_linter() -> None:
    row = qca(
        "In 2030 the capital was moved from Kabul to Herat. Herat is near the border, and its "
        "old walls have stood in the sun for a very long time.",
        "What is the capital of Afghanistan?", "Herat",
    )  # fmt: skip
    settings = AugmentSettings(emit="pair+abstain", variants=3)
    (outcome,) = iterate_counterfactuals(examples_of(row), settings)
    rows = [r for w in outcome.written for r in w.rows]
    assert len(rows) >= 6
    assert findings(*rows) == []
