"""The verifier: the table of checks that judge an example before and after its edits.

A check yields the reasons why an example fails it. It does not know how the substitute was
chosen. `checks.Check` has the meaning of each check. Checks outside this module:

| check | module |
|---|---|
| RESIDUE, FRESHNESS | `residue` |
| TYPE | `second_pass` |
| NESTING, AGREEMENT | `neighbours` |
| STRUCTURE | `structure` |
| GEOGRAPHY | `geography` |
| NUMBERS | `order` |
| checks of the original example alone | `gates`, `gender` |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from ..checks import Check, Refusal
from ..edit.edits import invert_edits
from ..edit.views import touches, within
from ..lexicon.wording import TITLES, either, fold, word_places
from ..recognise.spans import VALUES
from .cases import Case
from .geography import check_geography
from .neighbours import check_agreement, check_nesting
from .order import check_order
from .residue import check_fresh, check_residual
from .second_pass import check_type
from .structure import check_structure

_BULLET = re.compile(r"[ \t]*(?:[-*•]|\(?[A-Ha-h0-9][.)])?[ \t]*")
#: "Which band played?", but not "Which band member left?".
_ASKS_THING = re.compile(
    rf"\b(?:what|which)(?: is the| was the| [\w-]+)? "
    rf"(?:{either('makers')}|{either('things')}|{either('places')})\b"
    rf"(?!['’]|(?: \w+)? (?:{either('people_by_role')}|member|leader|founder|owner)\b)",
    re.I,
)
_CHOICES = re.compile(r"\b(?:options|choices)\b", re.I)


def verify(case: Case) -> None:
    """Raise `Refusal` for the first check that the example fails."""
    for check, reasons in CHECKS.items():
        for reason in reasons(case):
            raise Refusal(check, reason)


def _check_spans(case: Case) -> Iterator[str]:
    if not case.edits:
        yield "nothing to edit"
    if invert_edits(case.after, case.edits) != case.before:
        yield "text outside the recorded spans has changed"
    for edit in case.edits:
        if edit.path in case.view.keep:
            yield f"an edit in {edit.path!r}, which must not change"


def _check_bijection(case: Case) -> Iterator[str]:
    forth: dict[str, str] = {}
    back: dict[str, str] = {}
    for edit in case.edits:
        if forth.setdefault(edit.old, edit.new) != edit.new:
            yield f"{edit.old!r} becomes two different things"
        if back.setdefault(edit.new, edit.old) != edit.old:
            yield f"two different things become {edit.new!r}"


def _check_support(case: Case) -> Iterator[str]:
    view = case.view
    if not any(within(edit, view.context) for edit in case.edits):
        yield "the answer is not in the context"
    if not any(e.path == view.response_path for e in case.edits):
        yield "the answer is not in the response"
    if any(touches(edit, view.question) for edit in case.edits):
        yield "the question names the answer"
    if case.plan.type not in VALUES:
        yield from _check_unasked(case)
    if case.plan.type == "PERSON" and (thing := _ASKS_THING.search(view.question_text)):
        yield f"the question asks for a thing: {thing.group()!r}"


def _check_unasked(case: Case) -> Iterator[str]:
    """Neither the question nor its options name a form of the answer."""
    view, asked = case.view, fold(case.view.question_text)
    for form in sorted({fold(e.old) for e in case.edits}):
        if any(word_places(form, asked)):
            yield f"the question names {form!r}"
    for path, start, end in view.context:
        if _is_option(view.texts[path][start:end], case.plan.original):
            yield "the answer is one of the question's own options"


def _is_option(text: str, answer: str) -> bool:
    """Whether the answer is an item of a list of short lines, or follows "options"."""
    lines = text.split("\n")
    for at, line in enumerate(lines):
        if answer not in line:
            continue
        before, _, after = line.partition(answer)
        if _CHOICES.search(before):
            return True
        if _BULLET.fullmatch(before) and not re.search(r"\w", after):
            near = lines[max(0, at - 2) : at] + lines[at + 1 : at + 3]
            if sum(0 < len(ln.split()) <= 6 and ":" not in ln for ln in near) >= 2:
                return True
    return False


def _check_gender(case: Case) -> Iterator[str]:
    plan = case.plan
    if plan.type != "PERSON" or plan.new_type or case.gender not in {"m", "f"}:
        return
    first = fold(plan.substitute.split(" ")[0])
    listed = TITLES.get(first, "") or case.lexicon.gender.get(first, "")
    if plan.span.shape != "family" and listed in {"m", "f"} and listed != case.gender:
        yield f"{plan.substitute!r} has the other gender"


#: The checks of an edited example, in the order in which they run.
CHECKS: Final[Mapping[Check, Callable[[Case], Iterator[str]]]] = {
    Check.SPANS: _check_spans,
    Check.ONE_TO_ONE: _check_bijection,
    Check.SUPPORT: _check_support,
    Check.RESIDUE: check_residual,
    Check.FRESHNESS: check_fresh,
    Check.NESTING: check_nesting,
    Check.AGREEMENT: check_agreement,
    Check.GEOGRAPHY: check_geography,
    Check.NUMBERS: check_order,
    Check.STRUCTURE: check_structure,
    Check.GENDER: _check_gender,
    Check.TYPE: check_type,
}
#: The codes of these checks, which every written row records.
PASSED: Final = tuple(check.code for check in Check if check in CHECKS)
