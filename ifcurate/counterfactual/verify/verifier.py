"""The verifier: reads the example before and after, and says what is wrong with it.

It knows nothing of the recogniser that proposed the spans nor of how the
substitute was chosen. Every check raises `Refusal` with its id; an example
that fails one is not written. The checks on text are in `residue`, `neighbours`,
`structure` and `geography`; those before the edit in `gates` and `gender`;
`outcomes.CHECKS` says in words what each is about.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from ..edit.edits import invert_edits
from ..edit.forms import Refusal
from ..lexicon.tables import Lexicon, fold
from ..recognise.spans import Span
from ..recognise.values import number_mentions
from .cases import Case
from .geography import check_geography
from .neighbours import check_agreement, check_nesting
from .order import NUMERIC, check_order
from .residue import check_fresh, check_residual
from .structure import check_structure

__all__ = ["verify"]


def verify(
    case: Case, lexicon: Lexicon, recognise: Callable[[Mapping[str, str]], Sequence[Span]]
) -> list[str]:
    """The ids of the checks that the example passed; raises `Refusal` at the first failure.

    `recognise` is a second pass over the new texts, for H5.
    """
    passed = []
    for name, check in (
        ("H3", _check_spans),
        ("H4", _check_bijection),
        ("H6", _check_support),
        ("H1", check_residual),
        ("H2", check_fresh),
        ("H8", check_nesting_case),
        ("H10", check_agreement_case),
        ("H12", check_geography_case),
        ("H13", _check_numbers),
        ("H9", check_structure_case),
        ("H11", _check_gender),
    ):
        check(case, lexicon)
        passed.append(name)
    _check_type(case, recognise)
    return sorted([*passed, "H5"], key=lambda n: int(n[1:]))


def _check_spans(case: Case, lexicon: Lexicon) -> None:
    if not case.edits:
        raise Refusal("H3", "nothing to edit")
    try:
        restored = invert_edits(case.after, case.edits)
    except (ValueError, KeyError) as error:
        raise Refusal("H3", f"the edits do not fit the text: {error}") from None
    if restored != dict(case.before):
        raise Refusal("H3", "text outside the recorded spans has changed")
    for edit in case.edits:
        if edit.path in case.keep:
            raise Refusal("H3", f"an edit in {edit.path!r}, which must stay as it is")


def _check_bijection(case: Case, lexicon: Lexicon) -> None:
    forth: dict[str, str] = {}
    back: dict[str, str] = {}
    for edit in case.edits:
        if forth.setdefault(edit.old, edit.new) != edit.new:
            raise Refusal("H4", f"{edit.old!r} becomes two different things")
        if back.setdefault(edit.new, edit.old) != edit.old:
            raise Refusal("H4", f"two different things become {edit.new!r}")
        if edit.old == edit.new:
            raise Refusal("H4", f"{edit.old!r} stays as it is")


def _check_support(case: Case, lexicon: Lexicon) -> None:
    inside = any(
        e.path == path and start <= e.start and e.end <= end
        for e in case.edits
        for path, start, end in case.context
    )
    if not inside:
        raise Refusal("H6", "the answer does not stand in the context")
    if not any(e.path == case.response_path for e in case.edits):
        raise Refusal("H6", "the answer does not stand in the response")
    for edit in case.edits:
        for path, start, end in case.question:
            if edit.path == path and start < edit.end and edit.start < end:
                raise Refusal("H6", "the answer is named in the question")


def check_nesting_case(case: Case, lexicon: Lexicon) -> None:
    """H8 for every edit."""
    for edit in case.edits:
        check_nesting(
            case.before[edit.path], edit.start, edit.end, lexicon, case.plan, anchored=case.anchored
        )


def check_agreement_case(case: Case, lexicon: Lexicon) -> None:
    """H10 for every edit."""
    for edit in case.edits:
        check_agreement(case.after[edit.path], edit, case.plan)


def check_geography_case(case: Case, lexicon: Lexicon) -> None:
    """H12 for the whole example."""
    if case.plan.source != "alias" and not case.plan.new_type:
        check_geography(case.plan, case.before, lexicon, anchored=case.anchored)


def check_structure_case(case: Case, lexicon: Lexicon) -> None:
    """H9 for every edited text."""
    for path in {e.path for e in case.edits}:
        spans = [(e.start, e.end) for e in case.edits if e.path == path]
        check_structure(case.before[path], case.after[path], spans)


def _check_numbers(case: Case, lexicon: Lexicon) -> None:
    check_order(case.plan, case.before, case.edits)


def _check_gender(case: Case, lexicon: Lexicon) -> None:
    plan = case.plan
    if plan.type != "PERSON" or plan.new_type or not case.gender:
        return
    first = plan.substitute.split(" ")[0]
    listed = lexicon.gender.get(first.lower(), "")
    if plan.detail.startswith("family") or not listed or listed == "b":
        return
    if listed != case.gender:
        raise Refusal("H11", f"{plan.substitute!r} has the other gender")


def _check_type(case: Case, recognise: Callable[[Mapping[str, str]], Sequence[Span]]) -> None:
    wanted = case.plan.new_type or case.plan.type
    paths = {e.path for e in case.edits}
    spans = [
        s
        for s in recognise({p: case.after[p] for p in case.after if p in paths})
        if s.type == wanted
    ]
    whole = {w for s in spans for w in (s.text, *re.findall(r"[^\W\d_]+", s.text))}
    folded = {fold(w) for w in whole}
    if wanted in NUMERIC:
        values = {n.value for s in spans for n in number_mentions(s.text)}
        if any(n.value not in values for e in case.edits for n in number_mentions(e.new)):
            raise Refusal("H5", f"an amount is not recognised as {wanted}")
        return
    for edit in case.edits:
        covered = any(
            s.path == edit.path and s.start <= edit.new_start and edit.new_end <= s.end
            for s in spans
        )
        if not covered and fold(edit.new) not in folded:
            raise Refusal("H5", f"{edit.new!r} is not recognised as {wanted}")
