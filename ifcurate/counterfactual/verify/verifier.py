"""The verifier: the table of checks that judge an example before and after its edits.

A check yields the reasons why an example fails it. It does not know how the substitute was
chosen. `checks.Check` has the meaning of each check. Checks outside this module:

| check | module |
|---|---|
| RESIDUE, FRESHNESS | `residue` |
| NESTING, AGREEMENT | `neighbours` |
| GEOGRAPHY | `geography` |
| NUMBERS | `order` |
| checks of the original example alone | `gates` |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from ..checks import Check, Refusal
from ..edit.edits import Edit, invert_edits
from ..edit.views import touches, within
from ..lexicon.kinds import types_by_table
from ..lexicon.tables import LEXICON
from ..lexicon.wording import INITIALS, TITLES, either, fold
from ..recognise.patterns import pattern_type
from ..recognise.spans import NUMERIC, VALUES, Span, Substitution
from ..recognise.values import number_of
from .cases import Case
from .geography import check_geography
from .neighbours import check_agreement, check_nesting
from .order import check_order
from .residue import check_fresh, check_residual

#: "Which band played?", but not "Which band member left?".
_ASKS_THING = re.compile(
    rf"\b(?:what|which)(?: is the| was the| [\w-]+)? "
    rf"(?:{either('makers')}|{either('things')}|{either('places')})\b"
    rf"(?!['’]|(?: \w+)? (?:{either('people_by_role')}|member|leader|founder|owner)\b)",
    re.I,
)
_CHOICES = re.compile(r"\b(?:options|choices)\b", re.I)
_FENCE = re.compile(r"```[\s\S]*?(?:```|\Z)|`[^`\n]+`")
#: A key of JSON around an edit, and the signs that JSON and tables are made of.
_KEY_BEFORE, _KEY_AFTER = re.compile(r'[{,]\s*"[^"\n]*\Z'), re.compile(r'[^"\n]*"\s*:')
_SIGNS = frozenset('"\\{}[]|\t\r\n')


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
    """The answer is none of the question's options."""
    view, answer = case.view, case.plan.original
    for line in (ln for p, a, b in view.context for ln in view.texts[p][a:b].split("\n")):
        if answer in line and _CHOICES.search(line.partition(answer)[0]):
            yield "the answer is one of the question's own options"


def _check_gender(case: Case) -> Iterator[str]:
    plan = case.plan
    if plan.type != "PERSON" or plan.new_type or case.gender not in {"m", "f"}:
        return
    first = fold(plan.substitute.split(" ")[0])
    listed = TITLES.get(first, "") or LEXICON.gender.get(first, "")
    if plan.span.shape != "family" and listed in {"m", "f"} and listed != case.gender:
        yield f"{plan.substitute!r} has the other gender"


def _check_structure(case: Case) -> Iterator[str]:
    """H9: no edit is inside code or a key of JSON, or adds a sign of JSON or of a table."""
    for path in dict.fromkeys(e.path for e in case.edits):
        codes = [(path, *code.span()) for code in _FENCE.finditer(case.before[path])]
        if any(touches(edit, codes) for edit in case.edits):
            yield "an edit inside code"
    for edit in case.edits:
        text, start, end = case.before[edit.path], edit.start, edit.end
        key = _KEY_AFTER.match(text, end, end + 80)
        if key and _KEY_BEFORE.search(text, max(0, start - 80), start):
            yield "a key of JSON would change"
        if added := (_SIGNS & {*edit.new}) - {*edit.old}:
            yield f"the new text has {min(added)!r}"


def _check_type(case: Case) -> Iterator[str]:
    """H5: every new form is recognised as the type of the original."""
    plan = case.plan
    wanted = plan.new_type or plan.type
    names = {plan.substitute, *plan.forms.values()}
    known = _words(
        n for n in names if wanted in types_by_table(n) | {pattern_type(n)} or INITIALS.match(n)
    )
    missing = [e for e in case.edits if fold(e.new) not in known]
    if missing:
        recognised = case.recogniser.spans({e.path: case.after[e.path] for e in missing})
        spans = [s for s in recognised if s.type == wanted]
        unseen = _unseen_amount(plan, spans) if wanted in NUMERIC else _unseen_name(missing, spans)
        if unseen:
            yield f"{unseen} is not recognised as {wanted}"


def _unseen_amount(plan: Substitution, spans: Iterable[Span]) -> str:
    values = {number_of(s).value for s in spans}
    return "" if float(plan.substitute) in values else "an amount"


def _unseen_name(edits: Iterable[Edit], spans: Sequence[Span]) -> str:
    """Return the first new form that is not a span, a word of a span, or inside a span."""
    known = _words(s.text for s in spans)
    for edit in edits:
        if fold(edit.new) not in known and not any(_covers(s, edit) for s in spans):
            return repr(edit.new)
    return ""


def _words(names: Iterable[str]) -> set[str]:
    """Return the folded names and their words."""
    return {fold(w) for name in names for w in (name, *re.findall(r"[^\W\d_]+", name))}


def _covers(span: Span, edit: Edit) -> bool:
    return span.path == edit.path and span.start <= edit.new_start and edit.new_end <= span.end


#: The checks of an edited example, in the order in which they run.
CHECKS: Final[Mapping[Check, Callable[[Case], Iterator[str]]]] = {
    Check.SPANS: _check_spans,
    Check.ONE_TO_ONE: _check_bijection,
    Check.SUPPORT: _check_support,
    Check.NUMBERS: check_order,
    Check.RESIDUE: check_residual,
    Check.FRESHNESS: check_fresh,
    Check.NESTING: check_nesting,
    Check.AGREEMENT: check_agreement,
    Check.GEOGRAPHY: check_geography,
    Check.STRUCTURE: _check_structure,
    Check.GENDER: _check_gender,
    Check.TYPE: _check_type,
}
#: The codes of these checks, which every written row records.
PASSED: Final = tuple(check.code for check in Check if check in CHECKS)


def verify(case: Case) -> None:
    """Raise `Refusal` for the first check that a case fails."""
    for check, reasons in CHECKS.items():
        for reason in reasons(case):
            raise Refusal(check, reason)
