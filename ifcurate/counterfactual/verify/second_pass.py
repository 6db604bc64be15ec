"""H5: the new text is recognised, by the tables of names or by the recogniser."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ..edit.edits import Edit
from ..lexicon.kinds import fictional_type, types_by_table
from ..lexicon.wording import GENERIC_WORDS, fold
from ..recognise.patterns import pattern_type
from ..recognise.runs import capital_runs
from ..recognise.spans import NUMERIC, PATTERNED, VALUES, Span
from ..recognise.values import number_of
from .cases import Case

_INITIALS = re.compile(r"(?:[A-Z]\.){2,}")


def check_type(case: Case) -> Iterator[str]:
    """H5: every new form is recognised as the type of the original."""
    wanted = case.plan.new_type or case.plan.type
    missing = _missing_amount if wanted in NUMERIC else _missing_name
    texts = {p: case.after[p] for p in dict.fromkeys(e.path for e in case.edits)}
    spans: list[Span] = []
    what = ""
    for recognised in _recognise(case, texts):
        spans += [s for s in recognised if s.type == wanted]
        what = missing(case, spans)
        if not what:
            return
    yield f"{what} is not recognised as {wanted}"


def _recognise(case: Case, texts: Mapping[str, str]) -> Iterator[Sequence[Span]]:
    """The spans of the texts after the edits, in batches, the fastest first."""
    plan = case.plan
    if plan.type not in VALUES or plan.new_type:
        yield list(_by_table(case))
    if plan.source == "fictional":
        yield [
            Span(path, run.start, run.end, kind, text[run.start : run.end])
            for path, text in texts.items()
            for run in capital_runs(text)
            if (kind := fictional_type(text[run.start : run.end]))
        ]
    yield case.recogniser.spans(texts)


def _by_table(case: Case) -> Iterator[Span]:
    """A span of each new form, with the types that tables and patterns give it alone."""
    plan = case.plan
    for new in {plan.substitute, *plan.forms.values()}:
        plain = " ".join(w for w in new.split(" ") if w.lower() not in GENERIC_WORDS)
        kinds = types_by_table(new) | types_by_table(plain) | {pattern_type(new, case.lexicon)}
        part = plan.type in PATTERNED | {"LOC"} or _INITIALS.fullmatch(new)
        if part and new != plan.substitute:
            kinds.add(plan.type)  # "Harwick" of "Harwick University", "M.T." of "M.T. Kemp"
        yield from (Span("", 0, len(new), kind, new) for kind in kinds - {""})


def _missing_name(case: Case, spans: Sequence[Span]) -> str:
    """The first new form that is not a span, a word of a span, or inside a span; "" if all are."""
    whole = {w for s in spans for w in (s.text, *re.findall(r"[^\W\d_]+", s.text))}
    folded = {fold(w) for w in whole}
    for edit in case.edits:
        if fold(edit.new) not in folded and not any(_covers(s, edit) for s in spans):
            return repr(edit.new)
    return ""


def _covers(span: Span, edit: Edit) -> bool:
    return span.path == edit.path and span.start <= edit.new_start and edit.new_end <= span.end


def _missing_amount(case: Case, spans: Sequence[Span]) -> str:
    values = {number_of(s).value for s in spans}
    return "" if float(case.plan.substitute) in values else "an amount"
