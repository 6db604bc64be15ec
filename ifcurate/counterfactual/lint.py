"""A linter for counterfactual rows from any source: the verifier's checks on written rows.

A row is checked against its original. The original is known from the edits that the row
records, from the row with role `original` and the same pair in the same file, or from the
remembered answer, which is put back into the text. A row with none of these gets only the
checks that need no original: articles, pronouns, weekdays.
"""

from __future__ import annotations

import contextlib
import difflib
import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ifcurate.options.augment import TYPES
from ifcurate.records import Example

from .checks import Check, Refusal
from .edit.edits import Change, Edit, apply_edits, moved, place_edits, row_texts
from .edit.forms import find_changes
from .edit.substitutes import person_forms
from .edit.views import TextRange, View, view_example
from .lexicon.kinds import types_by_table
from .lexicon.wording import fold, without_end_marks
from .recognise.labelled import span_of
from .recognise.names import LexiconRecogniser, named_words
from .recognise.people import count_pronouns, follow_pronouns
from .recognise.runs import capital_runs
from .recognise.spans import NUMERIC, VALUES, Span, Substitution
from .recognise.values import date_mentions, number_mentions
from .verify.cases import Case
from .verify.verifier import CHECKS

DUPLICATE = "duplicate"
#: The meaning of each code that the linter prints.
CODES = {
    **{check.code: check.meaning for check in Check if check in CHECKS},
    DUPLICATE: "the same context and question occurred before",
}
_OTHER_ROLES = frozenset({"original", "abstain"})  # rows of a pair that are not counterfactuals
_CLEAR = 3  # pronouns of one gender, without any of the other, that are needed to decide a gender
#: The checks for a rebuilt original: how the edits were made is unknown.
_REBUILT = tuple(c for c in CHECKS if c not in {Check.SPANS, Check.STRUCTURE})
_ALONE = (Check.AGREEMENT, Check.GENDER)  # checks that need no original


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with one row."""

    row: int  # 0-based, in its source
    source: str
    check: str  # a key of CODES
    detail: str


def check_rows(examples: Iterable[Example]) -> Iterator[Finding]:
    """Yield the findings of all rows, in order. Rows without a context or an answer are skipped."""
    seen: dict[tuple[str, str], int] = {}
    originals: dict[str, Mapping[str, Any]] = {}
    for example in examples:
        role, pair = (example.row.get(f"ifcurate_{k}") for k in ("role", "pair"))
        if role == "original" and isinstance(pair, str):
            originals[pair] = example.row
        if role in _OTHER_ROLES or not example.has_context or not example.response.strip():
            continue
        for check, detail in _check_row(example, originals.get(str(pair))):
            yield Finding(example.row_number, example.source, check.code, detail)
        key = (example.context_text, example.without_context().instruction)
        if key in seen:
            detail = f"first at row {seen[key]}"
            yield Finding(example.row_number, example.source, DUPLICATE, detail)
        seen.setdefault(key, example.row_number)


def _check_row(example: Example, original: Mapping[str, Any] | None) -> Iterator[tuple[Check, str]]:
    """Yield the failed checks of one row, each with its detail."""
    try:
        view = _without_record(view_example(example), example.row)
        case, checks, dated = _read_row(view, example.row, original)
    except Refusal as error:
        yield error.check, error.reason
        return
    for check in checks:
        reason = next(CHECKS[check](case), "")
        part = check is Check.NESTING and case.plan.source == "lint" and _is_one_name(case)
        careful = dated and check is Check.GEOGRAPHY and " describes a " in reason
        if reason and not part and not careful:
            yield check, reason
    yield from _find_wrong_dates(dated)


def _read_row(
    view: View, row: Mapping[str, Any], original: Mapping[str, Any] | None
) -> tuple[Case, Collection[Check], str]:
    """Return the row as a case, the checks to run, and the text whose dates are compared."""
    answer = _answer_of(view, row)
    if isinstance(row.get("ifcurate_edits"), list):
        return _case_from_record(view, row), CHECKS, ""
    if original is not None:
        before = row_texts(original)
        memory = without_end_marks(before.get(view.response_path, "")).strip().rstrip(".")
        return _case_from_answers(view, answer, memory, before), CHECKS, ""
    if view.memory and answer:
        return _case_from_answers(view, answer, view.memory[0]), _REBUILT, view.context_text
    named = answer[:1].isupper() and len(answer.split()) <= 5
    return _case_without_original(view, answer), _ALONE if named else (), answer if named else ""


def _case_from_record(view: View, row: Mapping[str, Any]) -> Case:
    """Return the case of a row that records its edits."""
    back = [
        (e["field"], e["new_start"], e["new_end"], e["new"], e["old"])
        for e in row["ifcurate_edits"]
    ]
    kind, new_type, original, substitute, source, gender = (
        str(row.get(f"ifcurate_{key}") or "")
        for key in ("type", "new_type", "original", "substitute", "source", "gender")
    )
    new_type = new_type if new_type != kind else ""
    case = _build_case(view, back, kind, original, substitute, new_type=new_type, source=source)
    return replace(case, gender=gender or case.gender)


def _case_from_answers(
    view: View, answer: str, memory: str, before: Mapping[str, str] | None = None
) -> Case:
    """Return the case of a row whose original answer, or whose original (`before`), is known.

    An original is compared word by word. Without it the original answer is put back.
    """
    answer, memory = _strip_shared(answer, memory)
    kind = _shared_type(memory, answer)
    if before is None:
        back = _find_undo(view, answer, memory, kind)
    else:
        back = list(_diff_words(view.texts, before))
    return _build_case(view, back, kind, memory, answer)


def _case_without_original(view: View, answer: str) -> Case:
    """Return the case of a row without an original. Its answer is used as the new name."""
    name = re.compile(rf"(?<!\w){re.escape(answer)}(?!\w)")
    edits = [
        Edit(path, match.start(), match.end(), answer, answer, match.start(), match.end())
        for path, start, end in view.context
        for match in name.finditer(view.texts[path], start, end)
    ]
    plan = Substitution(Span("", 0, len(answer), "PERSON", answer), answer)
    he, she = follow_pronouns([view.context_text], [answer] if " " in answer else [])
    gender = "m" if he >= _CLEAR and not she else "f" if she >= _CLEAR and not he else ""
    return Case(view, view.texts, edits, plan, LexiconRecogniser(), gender)


def _shared_type(memory: str, answer: str) -> str:
    """Return the type of both names; raises `Refusal` if the names are equal or differ in type."""
    if fold(memory) == fold(answer):
        raise Refusal(Check.ONE_TO_ONE, f"the answer and the original answer are both {memory!r}")
    old, new = _type_of(memory), _type_of(answer)
    if old and new and old != new and not {old, new} <= types_by_table(answer):
        raise Refusal(Check.TYPE, f"{answer!r} is {new}, {memory!r} is {old}")
    return old or new or "PERSON"


def _find_undo(view: View, answer: str, memory: str, kind: str) -> list[Change]:
    """Return the changes that put the original answer back, in all its forms."""
    forms = {answer: memory}
    with contextlib.suppress(Refusal):
        forms = person_forms(answer, memory) if kind == "PERSON" else forms
    plan = Substitution(Span("", 0, len(answer), "ORG", answer), memory, forms, source="lint")
    with contextlib.suppress(Refusal):
        return find_changes(view, plan)
    return []


def _build_case(
    view: View,
    back: Sequence[Change],
    kind: str,
    original: str,
    substitute: str,
    *,
    new_type: str = "",
    source: str = "lint",
) -> Case:
    """Return the case of a row from the changes that undo its edits.

    Raises `Refusal` (SPANS, TYPE).
    """
    was, edits = _undo_edits(view, back, original)
    span = span_of(kind, original)
    if kind in VALUES:
        substitute = _normal_form(kind, substitute) if span.value else ""
    if not substitute or (kind == "COUNTRY" and not span.code):
        raise Refusal(Check.TYPE, f"{original!r} or the answer is no {kind}")
    he, she = count_pronouns([view.context_text]) if kind == "PERSON" else (0, 0)
    gender = "m" if he > 2 * she else "f" if she > 2 * he else ""
    forms = {e.old: e.new for e in edits}
    plan = Substitution(span, substitute, forms, new_type=new_type, source=source)
    recogniser = LexiconRecogniser(tuple({kind, new_type} & {*TYPES}))
    return Case(was, view.texts, edits, plan, recogniser, gender)


def _undo_edits(view: View, back: Sequence[Change], original: str) -> tuple[View, list[Edit]]:
    """Return the row before the edits, and the edits. Raises `Refusal` (SPANS)."""
    try:
        undo = place_edits(back)
        before = apply_edits(view.texts, undo)
    except (ValueError, KeyError) as error:
        raise Refusal(Check.SPANS, f"the edits do not fit the text: {error}") from None

    def moved_back(ranges: Iterable[TextRange]) -> tuple[TextRange, ...]:
        return tuple((p, moved(a, p, undo), moved(b, p, undo)) for p, a, b in ranges)

    edits = [Edit(e.path, e.new_start, e.new_end, e.new, e.old, e.start, e.end) for e in undo]
    context, question = moved_back(view.context), moved_back(view.question)
    memory = tuple(m for m in view.memory if m != original)
    return replace(view, texts=before, context=context, question=question, memory=memory), edits


def _is_one_name(case: Case) -> bool:
    """Return whether every name with a word of the original belongs to one longest name.

    A rebuilt original may be part of it: "Shelley" of "Mary Shelley".
    """
    words = set(fold(case.plan.original).split(" "))
    names: set[frozenset[str]] = set()
    for path, start, end in case.view.context:
        for run in capital_runs(case.before[path][start:end]):
            parts = frozenset(fold(word) for _, _, word in named_words(run)[0])
            names |= {parts} if words & parts else set()
    longest = max(names, key=len, default=frozenset())
    return all(name <= longest for name in names)


def _without_record(view: View, row: Mapping[str, Any]) -> View:
    """Return the view without the columns that record the edits."""
    recorded = {str(e["field"]) for e in row.get("ifcurate_edits") or []}
    added = {"answer"} - recorded - {view.response_path} if "ifcurate_role" in row else set()
    texts = {
        p: t for p, t in view.texts.items() if not p.startswith("ifcurate_") and p not in added
    }
    return replace(view, texts=texts)


def _answer_of(view: View, row: Mapping[str, Any]) -> str:
    given = row.get("answer")
    text = given if isinstance(given, str) and given.strip() else view.response
    return text.strip().rstrip(".")


def _type_of(name: str) -> str:
    """Return the type of a name by its form, else by the tables; "" if unknown."""
    spans = LexiconRecogniser(TYPES).spans({"": name})
    whole = [s.type for s in spans if s.text == name.removeprefix("the ")]
    kinds = types_by_table(name)
    return next(iter(whole + [k for k in ("COUNTRY", "PERSON", "CITY", "LOC") if k in kinds]), "")


def _normal_form(kind: str, text: str) -> str:
    """Return the normal form of a date or an amount, with or without its unit.

    "" for other text.
    """
    value = span_of(kind, text).value.split(" ")[0]
    amount = next((f"{n.value:g}" for n in number_mentions(text)), "") if kind in NUMERIC else ""
    return value or amount


def _strip_shared(new: str, old: str) -> tuple[str, str]:
    """Two answers without the words that they share at the start or the end ("the historian")."""
    a, b = new.split(" "), old.split(" ")
    while len(a) > 1 and len(b) > 1 and a[0] == b[0]:
        a, b = a[1:], b[1:]
    while len(a) > 1 and len(b) > 1 and a[-1] == b[-1]:
        a, b = a[:-1], b[:-1]
    return " ".join(a), " ".join(b)


def _diff_words(after: Mapping[str, str], before: Mapping[str, str]) -> Iterator[Change]:
    """Yield the word changes that turn `after` into `before`.

    Texts that only one of them has are skipped.
    """
    for path, new in after.items():
        old = before.get(path)
        if old is None or old == new:
            continue
        words = [re.findall(r"\w+|\s+|[^\w\s]", text) for text in (new, old)]
        matcher = difflib.SequenceMatcher(None, words[0], words[1], autojunk=False)
        starts = [0, *itertools.accumulate(map(len, words[0]))]
        changed: list[list[int]] = []
        for tag, a, b, c, d in matcher.get_opcodes():
            if tag == "equal":
                continue
            if changed and words[0][changed[-1][1] : a] == [
                " "
            ]:  # first and last name are one change
                changed[-1][1::2] = [b, d]
            else:
                changed.append([a, b, c, d])
        for a, b, c, d in changed:
            yield path, starts[a], starts[b], "".join(words[0][a:b]), "".join(words[1][c:d])


def _find_wrong_dates(text: str) -> Iterator[tuple[Check, str]]:
    """Dates on the wrong weekday, and ranges of years that end before they begin."""
    for mention in date_mentions(text):
        if mention.weekday_fits is False:
            yield Check.NUMBERS, f"{mention.text} is not on that weekday"
    for span in re.finditer(r"(?<!\d)(1\d{3}|20\d\d) ?[-–] ?(1\d{3}|20\d\d)(?!\d)", text):
        if span[1] > span[2]:
            yield Check.NUMBERS, f"{span.group()} ends before it begins"
