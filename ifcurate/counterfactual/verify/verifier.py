"""The verifier: reads the example before and after, and says what is wrong with it.

It knows nothing of the recogniser that proposed the spans nor of how the
substitute was chosen. Every check raises `Refusal` with its id; an example
that fails one is not written. The checks on text are in `residue`, `neighbours`,
`structure` and `geography`; those before the edit in `gates` and `gender`;
`checks.Check` says in words what each is about.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from ..checks import Check, Refusal
from ..edit.edits import Edit, invert_edits
from ..lexicon.name_words import TITLES
from ..lexicon.tables import Lexicon, fold
from ..lexicon.wording import word_places
from ..recognise.spans import NUMERIC, VALUES, Span
from ..recognise.values import number_of
from .cases import Case
from .geography import check_geography
from .neighbours import check_agreement, check_nesting
from .order import check_order
from .residue import check_fresh, check_residual
from .structure import check_structure

__all__ = ["CHECKS", "check_type", "is_option", "verify"]

_BULLET = re.compile(r"[ \t]*(?:[-*•]|\(?[A-Ha-h0-9][.)])?[ \t]*")
_OWNER = re.compile(r"['’]s [A-Z]")  # "Martha's Vineyard"
_CHOICES = re.compile(r"\b(?:options|choices)\b", re.I)

#: Finds spans in texts, a list for each way of finding them, the cheapest first.
Recognise = Callable[[Mapping[str, str]], Iterable[Sequence[Span]]]


def verify(case: Case, lexicon: Lexicon, recognise: Recognise) -> list[Check]:
    """The checks that the example passed; raises `Refusal` at the first failure.

    `recognise` is a second pass over the new texts, for TYPE.
    """
    for check in CHECKS.values():
        check(case, lexicon)
    check_type(case, recognise)
    return [c for c in Check if c in CHECKS or c is Check.TYPE]


def _check_spans(case: Case, lexicon: Lexicon) -> None:
    if not case.edits:
        raise Refusal(Check.SPANS, "nothing to edit")
    try:
        restored = invert_edits(case.after, case.edits)
    except (ValueError, KeyError) as error:
        raise Refusal(Check.SPANS, f"the edits do not fit the text: {error}") from None
    if restored != dict(case.before):
        raise Refusal(Check.SPANS, "text outside the recorded spans has changed")
    for edit in case.edits:
        if edit.path in case.keep:
            raise Refusal(Check.SPANS, f"an edit in {edit.path!r}, which must stay as it is")


def _check_bijection(case: Case, lexicon: Lexicon) -> None:
    forth: dict[str, str] = {}
    back: dict[str, str] = {}
    for edit in case.edits:
        if forth.setdefault(edit.old, edit.new) != edit.new:
            raise Refusal(Check.ONE_TO_ONE, f"{edit.old!r} becomes two different things")
        if back.setdefault(edit.new, edit.old) != edit.old:
            raise Refusal(Check.ONE_TO_ONE, f"two different things become {edit.new!r}")
        if edit.old == edit.new:
            raise Refusal(Check.ONE_TO_ONE, f"{edit.old!r} stays as it is")


def _check_support(case: Case, lexicon: Lexicon) -> None:
    if not any(_is_within(edit, *stretch) for edit in case.edits for stretch in case.context):
        raise Refusal(Check.SUPPORT, "the answer does not stand in the context")
    if not any(e.path == case.response_path for e in case.edits):
        raise Refusal(Check.SUPPORT, "the answer does not stand in the response")
    if any(_touches(edit, *stretch) for edit in case.edits for stretch in case.question):
        raise Refusal(Check.SUPPORT, "the answer is named in the question")
    if case.plan.type not in VALUES:
        _check_unasked(case)


def _is_within(edit: Edit, path: str, start: int, end: int) -> bool:
    return edit.path == path and start <= edit.start and edit.end <= end


def _touches(edit: Edit, path: str, start: int, end: int) -> bool:
    return edit.path == path and start < edit.end and edit.start < end


def _check_unasked(case: Case) -> None:
    """The question, and the options it gives, name no form of the answer."""
    asked = fold(case.question_text)
    for form in sorted({fold(e.old) for e in case.edits}):
        if any(word_places(form, asked)):
            raise Refusal(Check.SUPPORT, f"the question names {form!r}")
    for path, start, end in case.context:
        if is_option(case.before[path][start:end], case.plan.original):
            raise Refusal(Check.SUPPORT, "the answer is one of the question's own options")


def is_option(text: str, answer: str) -> bool:
    """Whether the answer is a line of a list of short lines, or one choice of several."""
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


def _check_nesting(case: Case, lexicon: Lexicon) -> None:
    owners = [e for e in case.edits if any(_is_within(e, *c) for c in case.context)]
    if case.plan.type == "PERSON" and all(_OWNER.match(case.before[e.path], e.end) for e in owners):
        raise Refusal(Check.NESTING, f"{case.plan.original!r} only stands in a longer name")
    for edit in case.edits:
        check_nesting(case.before[edit.path], edit.start, edit.end, lexicon, case.plan)


def _check_agreement(case: Case, lexicon: Lexicon) -> None:
    for edit in case.edits:
        check_agreement(case.after[edit.path], edit, case.plan)


def _check_geography(case: Case, lexicon: Lexicon) -> None:
    if case.plan.source != "alias" and not case.plan.new_type:
        check_geography(case.plan, case.before, lexicon)


def _check_structure(case: Case, lexicon: Lexicon) -> None:
    for path in dict.fromkeys(e.path for e in case.edits):
        spans = [(e.start, e.end) for e in case.edits if e.path == path]
        check_structure(case.before[path], case.after[path], spans)


def _check_numbers(case: Case, lexicon: Lexicon) -> None:
    check_order(case.plan, case.before, case.edits)


def _check_gender(case: Case, lexicon: Lexicon) -> None:
    plan = case.plan
    if plan.type != "PERSON" or plan.new_type or case.gender not in {"m", "f"}:
        return
    first = fold(plan.substitute.split(" ")[0])
    listed = TITLES.get(first, "") or lexicon.gender.get(first, "")
    if plan.span.shape != "family" and listed in {"m", "f"} and listed != case.gender:
        raise Refusal(Check.GENDER, f"{plan.substitute!r} has the other gender")


CHECKS: Final[Mapping[Check, Callable[[Case, Lexicon], None]]] = {
    Check.SPANS: _check_spans,
    Check.ONE_TO_ONE: _check_bijection,
    Check.SUPPORT: _check_support,
    Check.RESIDUE: check_residual,
    Check.FRESHNESS: check_fresh,
    Check.NESTING: _check_nesting,
    Check.AGREEMENT: _check_agreement,
    Check.GEOGRAPHY: _check_geography,
    Check.NUMBERS: _check_numbers,
    Check.STRUCTURE: _check_structure,
    Check.GENDER: _check_gender,
}


def check_type(case: Case, recognise: Recognise) -> None:
    """H5: every new form is recognised as what the original was."""
    wanted = case.plan.new_type or case.plan.type
    check = _check_amounts if wanted in NUMERIC else _check_names
    texts = {p: case.after[p] for p in dict.fromkeys(e.path for e in case.edits)}
    spans: list[Span] = []
    refusal = Refusal(Check.TYPE, f"nothing is recognised as {wanted}")
    for found in recognise(texts):
        spans += [s for s in found if s.type == wanted]
        try:
            return check(case, spans, wanted)
        except Refusal as error:
            refusal = error
    raise refusal


def _check_names(case: Case, spans: Sequence[Span], wanted: str) -> None:
    """Every new form is a whole span, a word of one, or inside one."""
    whole = {w for s in spans for w in (s.text, *re.findall(r"[^\W\d_]+", s.text))}
    folded = {fold(w) for w in whole}
    for edit in case.edits:
        if fold(edit.new) not in folded and not any(_covers(s, edit) for s in spans):
            raise Refusal(Check.TYPE, f"{edit.new!r} is not recognised as {wanted}")


def _covers(span: Span, edit: Edit) -> bool:
    return span.path == edit.path and span.start <= edit.new_start and edit.new_end <= span.end


def _check_amounts(case: Case, spans: Sequence[Span], wanted: str) -> None:
    values = {number_of(s).value for s in spans}
    if float(case.plan.substitute) not in values:
        raise Refusal(Check.TYPE, f"an amount is not recognised as {wanted}")
