"""The linter: each kind of finding, and silence on what is right."""

from __future__ import annotations

from typing import Any

import pytest

from ifcurate.counterfactual.augment import iterate_counterfactuals
from ifcurate.counterfactual.lint import CODES, Finding, check_rows
from ifcurate.options.augment import AugmentOptions

from .making import examples_of, qca

WHO = "What is the name of the author who wrote the diary?"


def findings(*rows: dict[str, Any]) -> list[Finding]:
    return list(check_rows(e for n, r in enumerate(rows) for e in examples_of(r, n)))


def checks(*rows: dict[str, Any]) -> set[str]:
    return {f.check for f in findings(*rows)}


@pytest.mark.parametrize(
    ("row", "check"),
    [
        (qca("The king moved from Kabul to Herat.", "Which city?", "Herat", "Kabul"), "H1"),
        (qca("Angela Kemp wrote it. Shelley was 18.", WHO, "Angela Kemp", "Mary Shelley"), "H1"),
        (qca("We saw Chile. A Peruvian cooked.", "Which country?", "Chile", "Peru"), "H1"),
        (qca("Kevin Kemp wrote it. Her diary is long, and Kevin Kemp said that she loved it.",
             WHO, "Kevin Kemp", "Mary Shelley"), "H11"),
        (qca("Kevin Kemp wrote it. His friend Pierre Kemp wept.", WHO, "Kevin Kemp",
             "Paul Nobody"), "H8"),
        (qca("Kevin Kemp wrote it. The Kempian style is old.", WHO, "Kevin Kemp", "Paul Nobody"),
         "H2"),
        (qca("We saw a Estonian ship.", "Which ship?", "Estonian", "Danish"), "H10"),
        (qca("Nobody knows.", WHO, "Kevin Kemp", "Mary Shelley"), "H6"),
        (qca("Kevin Kemp wrote it.", "What did Kevin Kemp write?", "Kevin Kemp", "Paul Nobody"),
         "H6"),
        (qca("Kevin Kemp wrote it.", WHO, "Kevin Kemp", "Kevin Kemp"), "H4"),
        (qca("Chile wrote it in his youth.", WHO, "Chile", "Mary Shelley"), "H5"),
        (qca("In Chile, Lima is the seat of the king.", "Which country?", "Chile", "Peru"), "H12"),
    ],
)  # fmt: skip
def test_each_finding(row: dict[str, Any], check: str) -> None:
    assert check in checks(row)
    assert check in CODES


def test_silence_on_what_is_right() -> None:
    row = qca(
        "Kevin Kemp wrote it. In his youth Kemp read much, and Kevin's diary says what. But Kemp "
        "was ill. Though Kemp lived long, he wrote little.",
        WHO, "Kevin Kemp", "Mary Shelley",
    )  # fmt: skip
    assert findings(row) == []


def test_duplicates_are_listed_with_the_first_row() -> None:
    row = qca("Kevin Kemp wrote it.", WHO, "Kevin Kemp")
    (found,) = findings(row, row)
    assert (found.check, found.row, found.detail) == ("duplicate", 1, "first at row 0")


ROWS = [
    qca(
        "Mary Shelley was born in a cold house. Shelley was 18 when Mary began to write, and "
        "Shelley's book was read by everybody in the town.",
        "Who was born in a cold house?", "Mary Shelley",
    ),
    qca(
        "The hearing is on Monday, January 5, 2015, in the small room. The meeting was long, and "
        "people talked about the weather, the food and the old garden.",
        "When is the hearing?", "Monday, January 5, 2015",
    ),
    qca(
        "She studied at Harwell University for a year. Harwell is old, and its halls are cold, "
        "but she liked the garden and the food.",
        "Where did she study?", "Harwell University",
    ),
]  # fmt: skip


@pytest.mark.parametrize("emit", ["counterfactual", "pair+abstain"])
@pytest.mark.parametrize("row", ROWS, ids=lambda r: r["answer"])
def test_what_augment_writes_passes_the_linter(row: dict[str, Any], emit: Any) -> None:
    settings = AugmentOptions(emit=emit, variants=3)
    (outcome,) = iterate_counterfactuals(examples_of(row), settings)
    rows = [r for w in outcome.written for r in w.rows]
    assert len(rows) >= 3
    assert findings(*rows) == []


def test_an_original_in_the_same_file_is_compared() -> None:
    (outcome,) = iterate_counterfactuals(examples_of(ROWS[0]), AugmentOptions(emit="pair"))
    original, good = outcome.written[0].rows
    bad = {k: v for k, v in good.items() if k not in {"ifcurate_edits", "ifcurate_original"}}
    assert findings(original, bad) == []
    first = good["answer"].split(" ")[0]
    bad["context"] = bad["context"].replace(f"when {first}", "when Mary")
    assert checks(original, bad) >= {"H1"}


def test_untouched_rows_are_left_alone() -> None:
    assert findings(*({**row, "question": row["question"] + "?"} for row in ROWS)) == []
