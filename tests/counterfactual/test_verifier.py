"""The verifier alone: given a good counterfactual made bad in one way, it names the check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ifcurate.counterfactual.checks import Refusal
from ifcurate.counterfactual.edit.edits import Edit, apply_edits, place_edits
from ifcurate.counterfactual.edit.views import View
from ifcurate.counterfactual.recognise.names import LexiconRecogniser
from ifcurate.counterfactual.recognise.spans import Span, Substitution
from ifcurate.counterfactual.verify.cases import Case
from ifcurate.counterfactual.verify.verifier import PASSED, verify

CONTEXT = (
    "Mary Shelley wrote it in Geneva. Shelley was 18, and Mary read it aloud to the others, "
    "who liked it very much and asked for more of the same kind."
)
BEFORE = {"q": "Who wrote it?", "c": CONTEXT, "a": "Mary Shelley wrote it."}
FORMS = {"Mary Shelley": "Angela Kemp", "Shelley": "Kemp", "Mary": "Angela"}


def changes_of(
    texts: dict[str, str], forms: dict[str, str]
) -> list[tuple[str, int, int, str, str]]:
    import re

    ordered = "|".join(sorted(forms, key=len, reverse=True))
    return [
        (p, m.start(), m.end(), m.group(), forms[m.group()])
        for p, t in texts.items()
        for m in re.finditer(rf"\b(?:{ordered})\b", t)
    ]


def make(
    before: dict[str, str] = BEFORE,
    forms: dict[str, str] = FORMS,
    select: Callable[[Edit], bool] = lambda _: True,
    keep: frozenset[str] = frozenset(),
    memory: tuple[str, ...] = (),
) -> Case:
    edits = [e for e in place_edits(changes_of(before, forms)) if select(e)]
    edits = place_edits([(e.path, e.start, e.end, e.old, e.new) for e in edits])
    original, new = next(iter(forms.items()))
    span = Span("c", 0, len(original), "PERSON", original, shape="full", gender="f")
    context, question = ("c", 0, len(before["c"])), ("q", 0, len(before["q"]))
    view = View(before, (context,), (question,), "a", keep, memory)
    plan, after = Substitution(span, new, forms), apply_edits(before, edits)
    return Case(view, after, edits, plan, LexiconRecogniser(), "f")


def failed(case: Case) -> str:
    with pytest.raises(Refusal) as error:
        verify(case)
    return error.value.check.code


def test_a_good_one_passes_every_check() -> None:
    verify(make())
    assert PASSED == ("H1", "H2", "H3", "H4", "H5", "H6", "H8", "H9", "H10", "H11", "H12", "H13")


def test_a_mention_left() -> None:
    assert failed(make(select=lambda e: not (e.old == "Shelley" and e.path == "c"))) == "H1"


def test_a_first_name_left() -> None:
    assert failed(make(select=lambda e: e.old != "Mary")) == "H1"


def test_a_substitute_that_was_there_before() -> None:
    before = {**BEFORE, "c": CONTEXT + " Angela Kemp agreed."}
    assert failed(make(before)) == "H2"


def test_text_outside_the_spans() -> None:
    case = make()
    assert failed(replace(case, after={**case.after, "c": case.after["c"] + " "})) == "H3"


def test_an_edit_where_none_may_be() -> None:
    assert failed(make(keep=frozenset({"c"}))) == "H3"


def test_two_forms_into_one() -> None:
    assert failed(make(forms={**FORMS, "Mary": "Kemp"})) == "H4"


def test_a_substitute_of_another_type() -> None:
    forms = {"Mary Shelley": "Table Spoon", "Shelley": "Spoon", "Mary": "Table"}
    assert failed(make(forms=forms)) == "H5"


def test_an_answer_that_is_not_in_the_context() -> None:
    assert failed(make(select=lambda e: e.path == "a")) in {"H1", "H6"}


def test_an_edit_in_the_question() -> None:
    before = {**BEFORE, "q": "What did Mary Shelley write?"}
    assert failed(make(before)) == "H6"


def test_a_longer_name() -> None:
    before = {**BEFORE, "c": CONTEXT + " Percy Shelley listened."}
    assert failed(make(before)) == "H8"


def test_code_is_not_edited() -> None:
    before = {**BEFORE, "c": CONTEXT + " Run `print(Mary)` now."}
    assert failed(make(before)) == "H9"


def test_the_other_gender() -> None:
    forms = {"Mary Shelley": "Kevin Kemp", "Shelley": "Kemp", "Mary": "Kevin"}
    assert failed(make(forms=forms)) == "H11"


def test_a_possessive_that_does_not_agree() -> None:
    before = {**BEFORE, "c": CONTEXT + " Shelley's house is old."}
    forms = {"Mary Shelley": "Angela Hobbs", "Shelley": "Hobbs", "Mary": "Angela"}
    assert failed(make(before, forms)) == "H10"


def test_a_remembered_answer_may_stay_but_not_be_shared() -> None:
    assert failed(make(memory=("Angela Merkel",))) == "H2"
