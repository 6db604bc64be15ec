"""The marked prompts of the repository, and the fitting of weights."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ifcurate.contexts.find import find_context
from tools.contexts import marked
from tools.contexts.fit import judge, make_example, use_weights
from tools.contexts.marked import Marked, parse_form
from tools.contexts.network import fit_networks

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
    first, second = (fit_networks(examples, n=1, epochs=60) for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    with use_weights(first):
        found = [find_context(row.text, min_confidence=0) for row in rows]
    assert np.mean([judge(row, spans)[0] for row, spans in zip(rows, found, strict=True)]) > 0.7
