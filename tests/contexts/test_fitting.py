"""The marked prompts of the repository, and the fitting of weights."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tools.contexts import marked
from tools.contexts.fit import fit_model, group_sizes, judge, make_example
from tools.contexts.marked import Marked, parse_form

PROMPTS = sorted((Path(marked.__file__).parent / "prompts").glob("*.jsonl"))


def test_a_form_gives_the_text_and_its_marks() -> None:
    text, contexts, requests = parse_form("Text: ⟦A mill.⟧\n‹Where?›")
    assert text == "Text: A mill.\nWhere?"
    assert [text[a:b] for a, b in contexts] == ["A mill."]
    assert [text[a:b] for a, b in requests] == ["Where?"]


@pytest.mark.parametrize("path", PROMPTS, ids=lambda path: path.stem)
def test_marked_prompts_are_well_formed(path: Path) -> None:
    forms = [json.loads(line)["form"] for line in path.read_text("utf-8").splitlines()]
    assert len(set(forms)) == len(forms) > 100
    for form in forms:
        text, contexts, requests = parse_form(form)
        assert not set(text) & set("⟦⟧‹›")
        spans = sorted([*contexts, *requests])
        assert spans
        assert all(text[start:end].strip() for start, end in spans)
        assert all(a[1] <= b[0] for a, b in pairwise(spans))


def test_a_right_context_is_whole_and_has_no_request() -> None:
    row = Marked(*parse_form("‹Who?›\n⟦A miller of Varn came by.⟧\nAnswer:"), "", "t", "f")
    assert row.is_right(5, 31)
    assert row.is_right(5, 30)
    assert not row.is_right(5, 15)
    assert row.is_damaged(0, 31)
    assert not row.is_right(0, 31)
    assert judge(row, []) == (False, False)


def test_fitting_learns_from_few_prompts_and_repeats_itself() -> None:
    rows = marked.read_own()[:60]
    examples = [example for row in rows if (example := make_example(row)) is not None]
    first, second = fit_model(examples, epochs=8), fit_model(examples, epochs=8)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert [(name, len(first[name])) for name, _ in group_sizes()] == group_sizes()

    def best_is_right() -> float:
        runs = np.concatenate([first[name] for name, _ in group_sizes()])
        hits = [
            example.right[
                np.argmax([example.none @ first["none"], *(example.features.astype(float) @ runs)])
            ]
            for example in examples
        ]
        return float(np.mean(hits))

    assert best_is_right() > 0.7
