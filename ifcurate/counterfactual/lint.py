"""A linter for anybody's counterfactual rows: the verifier's own checks, on rows already written.

A row is judged by what is known of its original, best first: the edits that it
records, its original in the same file (role `original`, same pair), or its
remembered answer, which is put back to get the original text. A row with none
of these gets only the checks that need no original: articles, pronouns, weekdays.
Nothing is changed.
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ifcurate.records import Example

from .checks import Check, Refusal
from .edit.edits import Edit, apply_edits, place_edits, row_texts
from .edit.forms import find_changes
from .edit.substitutes import person_forms
from .edit.substitution import Change, Substitution
from .edit.views import Stretch, View, view_example
from .lexicon.kinds import types_by_table
from .lexicon.name_words import TITLES
from .lexicon.tables import Lexicon, fold, load_lexicon
from .lexicon.wording import starts_with_vowel, without_end_marks
from .recognise.labelled import span_of
from .recognise.names import LexiconRecogniser
from .recognise.pronouns import count_pronouns, follow_pronouns
from .recognise.runs import Run, capital_runs
from .recognise.spans import NUMERIC, TYPES, VALUES, Recogniser, Span
from .recognise.values import date_mentions, number_mentions
from .verify.cases import Case
from .verify.second_pass import SecondPass
from .verify.verifier import CHECKS, check_type

__all__ = ["CODES", "Finding", "check_rows"]

DUPLICATE = "duplicate"
#: What the linter can find, by the code it prints.
CODES = {
    **{check.code: check.meaning for check in (*CHECKS, Check.TYPE)},
    DUPLICATE: "the same context and question occurred before",
}
_OTHER_ROLES = frozenset({"original", "abstain"})  # rows of a pair that are no counterfactuals
_CLEAR = 3  # pronouns against the name's gender for each that fits, in a row without an original
#: Checks that ask for care before an edit; without the original they say nothing.
_CAREFUL = {Check.GEOGRAPHY, Check.NUMBERS, Check.SPANS, Check.STRUCTURE}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with one row."""

    row: int  # 0-based, in its source
    source: str
    check: str  # a key of CODES
    detail: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        return asdict(self)


def check_rows(examples: Iterable[Example]) -> Iterator[Finding]:
    """Findings of all rows in their order; rows without a context or an answer are passed over."""
    linter = _Linter(load_lexicon())
    seen: dict[tuple[str, str], int] = {}
    originals: dict[str, Mapping[str, Any]] = {}
    for example in examples:
        role, pair = (example.row.get(f"ifcurate_{k}") for k in ("role", "pair"))
        if role == "original" and isinstance(pair, str):
            originals[pair] = example.row
        if role in _OTHER_ROLES or not example.has_context or not example.response.strip():
            continue
        for check, detail in linter.check(example, originals.get(str(pair))):
            yield Finding(example.row_number, example.source, check.code, detail)
        key = (example.context_text, example.without_context().instruction)
        if key in seen:
            detail = f"first at row {seen[key]}"
            yield Finding(example.row_number, example.source, DUPLICATE, detail)
        seen.setdefault(key, example.row_number)


@dataclass(frozen=True)
class _Linter:
    lexicon: Lexicon

    def check(
        self, example: Example, original: Mapping[str, Any] | None
    ) -> Iterator[tuple[Check, str]]:
        """What is wrong with one row."""
        try:
            view = _bare(view_example(example), example.row)
            case, careful = self._case(example, view, original)
        except Refusal as error:
            yield error.check, error.reason
            return
        if case is None:
            yield from self._alone(example, view)
            return
        second = SecondPass(_recogniser(case.plan), self.lexicon, case.plan)
        checks: dict[Check, Callable[[], None]] = {
            check: _bind(run, case, self.lexicon) for check, run in CHECKS.items()
        }
        checks[Check.TYPE] = lambda: check_type(case, second)
        for check, run in checks.items():
            if (careful and check in _CAREFUL) or self._is_part(check, case):
                continue
            try:
                run()
            except Refusal as error:
                yield error.check, error.reason
        if careful:
            yield from self._contradictions(case)

    def _is_part(self, check: Check, case: Case) -> bool:
        """Whether a rebuilt original may be a part of the one name, which `NESTING` asks about."""
        return check is Check.NESTING and case.plan.source == "lint" and self._one_bearer(case)

    def _case(
        self, example: Example, view: View, original: Mapping[str, Any] | None
    ) -> tuple[Case | None, bool]:
        """The row before and after, and whether the "before" is only a reconstruction."""
        row = example.row
        recorded = row.get("ifcurate_edits")
        if isinstance(recorded, list) and isinstance(row.get("ifcurate_original"), str):
            back = [(e["field"], e["new_start"], e["new_end"], e["new"], e["old"])
                    for e in recorded]  # fmt: skip
            kind = str(row.get("ifcurate_type", ""))
            return self._rebuilt(view, back, kind, row["ifcurate_original"], row), False
        answer = _answer(example, view)
        if original is not None:
            return self._beside(view, answer, row_texts(original)), False
        if not view.memory or not answer:
            return None, True
        answer, memory = _differing(answer, view.memory[0])
        kind = self._shared_kind(memory, answer)
        return self._rebuilt(view, self._undone(view, answer, memory, kind), kind, memory, {},
                             answer=answer), True  # fmt: skip

    def _beside(self, view: View, answer: str, before: Mapping[str, str]) -> Case:
        """The row beside its original, compared by names where that explains it, else by words."""
        memory = without_end_marks(before.get(view.response_path, "")).strip().rstrip(".")
        answer, memory = _differing(answer, memory)
        kind = self._shared_kind(memory, answer)
        back = self._undone(view, answer, memory, kind)
        texts = apply_edits(view.texts, place_edits(back))
        if any(texts[path] != text for path, text in before.items() if path in texts):
            back = list(_differences(view.texts, before))
        return self._rebuilt(view, back, kind, memory, {}, answer=answer)

    def _shared_kind(self, memory: str, answer: str) -> str:
        """The type of both; raises `Refusal` where they are the same or of two types."""
        if fold(memory) == fold(answer):
            raise Refusal(Check.ONE_TO_ONE, f"answer and original answer are both {memory!r}")
        old, new = _kind(memory, self.lexicon), _kind(answer, self.lexicon)
        if old and new and old != new and not {old, new} <= types_by_table(answer):
            raise Refusal(Check.TYPE, f"{answer!r} is {new}, {memory!r} is {old}")
        return old or new or "PERSON"

    def _undone(self, view: View, answer: str, memory: str, kind: str) -> list[Change]:
        """The original answer put back wherever the new one stands, in all its forms."""
        forms = {answer: memory}
        if kind == "PERSON":
            with contextlib.suppress(Refusal):
                forms = person_forms(answer, memory)
        span = Span("", 0, len(answer), "ORG", answer)
        plan = Substitution(span, memory, forms, source="lint")
        texts = {p: t for p, t in view.texts.items() if p not in view.keep}
        folded = {p: fold(t) for p, t in texts.items()}
        try:
            return find_changes(texts, plan, self.lexicon, folded=folded)
        except Refusal:
            return []

    def _rebuilt(
        self,
        view: View,
        back: list[Change],
        kind: str,
        original: str,
        row: Mapping[str, Any],
        *,
        answer: str = "",
    ) -> Case:
        """The case of a row from the changes that undo it. Raises `Refusal` (SPANS)."""
        before, edits = _undo(view, back)
        span = span_of(kind, original, self.lexicon)
        here = max((e.new for e in edits if e.path == view.response_path), key=len, default="")
        substitute = self._substitute(span, answer or str(row.get("ifcurate_substitute") or here))
        kept = _shared_words(original, substitute) if kind == "PERSON" else frozenset()
        plan = Substitution(
            span,
            substitute,
            {e.old: e.new for e in edits},
            new_type=_other(row.get("ifcurate_new_type"), kind),
            source=str(row.get("ifcurate_source", "lint")),
            kept=kept,
        )
        gender = str(row.get("ifcurate_gender", "")) or self._gender(view, plan)
        return Case(
            before, view.texts, edits, plan, _moved_back(view.context, edits),
            view.response_path, _moved_back(view.question, edits),
            tuple(m for m in view.memory if m != original), view.keep, gender,
        )  # fmt: skip

    def _substitute(self, span: Span, answer: str) -> str:
        """The answer as a plan has it. Raises `Refusal` (TYPE) where one is of another type."""
        kind = span.type
        if kind in VALUES:
            answer = _value(kind, answer, self.lexicon)
        wrong = (kind == "COUNTRY" and not span.code) or (kind in VALUES and not span.value)
        if wrong or not answer:
            raise Refusal(Check.TYPE, f"{span.text!r} or the answer is no {kind}")
        return answer

    def _gender(self, view: View, plan: Substitution) -> str:
        """The gender that the pronouns give the new name, not the one it is listed with."""
        if plan.type != "PERSON":
            return ""
        he, she = count_pronouns([view.context_text])
        return "m" if he > 2 * she else "f" if she > 2 * he else ""

    def _one_bearer(self, case: Case) -> bool:
        """Whether every name with a word of the original belongs to one longest name.

        A rebuilt original may be a part of it: "Shelley" of "Mary Shelley".
        """
        words = set(fold(case.plan.original).split(" "))
        names: set[frozenset[str]] = set()
        for path, start, end in case.context:
            for run in capital_runs(case.before[path][start:end]):
                parts = self._name_words(run)
                names |= {parts} if words & parts else set()
        longest = max(names, key=len, default=frozenset())
        return all(name <= longest for name in names)

    def _name_words(self, run: Run) -> frozenset[str]:
        """The folded words of a run without those that open the sentence, and titles."""
        parts = [fold(w[2]) for w in run.words]
        while run.opens and len(parts) > 1 and parts[0] in self.lexicon.openers:
            parts.pop(0)
        while len(parts) > 1 and parts[0] in TITLES:
            parts.pop(0)
        return frozenset(parts)

    def _contradictions(self, case: Case) -> Iterator[tuple[Check, str]]:
        """What a rebuilt row says against itself: places, dates, amounts."""
        text = "\n".join(case.after[p] for p in dict.fromkeys(p for p, _, _ in case.context))
        for check in (Check.GEOGRAPHY, Check.NUMBERS):
            try:
                CHECKS[check](case, self.lexicon)
            except Refusal as error:
                if " is said of a " not in error.reason:
                    yield check, error.reason
        yield from _wrong_dates(text)

    def _alone(self, example: Example, view: View) -> Iterator[tuple[Check, str]]:
        """What needs no original: articles, weekdays, pronouns after a name of the other gender."""
        answer, context = _answer(example, view), view.context_text
        if not answer or len(answer.split()) > 5 or not answer[:1].isupper():
            return
        for article in re.finditer(rf"\b(an?) {re.escape(answer)}(?!\w)", context):
            if (article[1] == "an") != starts_with_vowel(answer):
                yield Check.AGREEMENT, article.group()
        yield from _wrong_dates(answer)
        listed = self.lexicon.gender.get(fold(answer.split(" ")[0]), "")
        if " " in answer and listed in {"m", "f"}:
            votes = follow_pronouns([context], [answer])
            own, other = votes if listed == "m" else votes[::-1]
            if other >= _CLEAR and not own:
                yield Check.GENDER, f"{answer}: {other} pronouns of the other gender"


def _bare(view: View, row: Mapping[str, Any]) -> View:
    """The view without the columns that record how the row came about."""
    recorded = {str(e["field"]) for e in row.get("ifcurate_edits") or []}
    added = {"answer"} - recorded - {view.response_path} if "ifcurate_role" in row else set()
    texts = {
        p: t for p, t in view.texts.items() if not p.startswith("ifcurate_") and p not in added
    }
    return replace(view, texts=texts)


def _bind(run: Callable[[Case, Lexicon], None], case: Case, lexicon: Lexicon) -> Callable[[], None]:
    return lambda: run(case, lexicon)


def _recogniser(plan: Substitution) -> Recogniser:
    return LexiconRecogniser(tuple({plan.type, plan.new_type} & set(TYPES)))


def _other(new: Any, kind: str) -> str:
    return str(new) if new and new != kind else ""


def _answer(example: Example, view: View) -> str:
    given = example.row.get("answer")
    text = given if isinstance(given, str) and given.strip() else view.response
    return text.strip().rstrip(".")


def _kind(name: str, lexicon: Lexicon) -> str:
    """The one type that a name has by its form and the tables, "" where it is open."""
    spans: list[Span] = LexiconRecogniser(TYPES, lexicon).spans({"": name})
    whole = [s.type for s in spans if s.text == name.removeprefix("the ")]
    if whole:
        return whole[0]
    kinds = types_by_table(name)
    return next((k for k in ("COUNTRY", "PERSON", "CITY", "LOC") if k in kinds), "")


def _undo(view: View, back: list[Change]) -> tuple[dict[str, str], list[Edit]]:
    """The texts before, and the edits that led from them. Raises `Refusal` (SPANS)."""
    try:
        undo = place_edits(back)
        before = apply_edits(view.texts, undo)
    except (ValueError, KeyError) as error:
        raise Refusal(Check.SPANS, f"the edits do not fit the text: {error}") from None
    edits = [Edit(e.path, e.new_start, e.new_end, e.new, e.old, e.start, e.end) for e in undo]
    return before, edits


def _value(kind: str, text: str, lexicon: Lexicon) -> str:
    """The normal form of a date or an amount, whose unit may stand outside; "" for none."""
    value = span_of(kind, text, lexicon).value.split(" ")[0]
    amount = next((f"{n.value:g}" for n in number_mentions(text)), "") if kind in NUMERIC else ""
    return value or amount


def _differing(new: str, old: str) -> tuple[str, str]:
    """Two answers without the words that both begin or end with: "the historian Ann Kemp"."""
    a, b = new.split(" "), old.split(" ")
    while len(a) > 1 and len(b) > 1 and a[0] == b[0]:
        a, b = a[1:], b[1:]
    while len(a) > 1 and len(b) > 1 and a[-1] == b[-1]:
        a, b = a[:-1], b[:-1]
    return " ".join(a), " ".join(b)


def _differences(after: Mapping[str, str], before: Mapping[str, str]) -> Iterator[Change]:
    """The changes, by words, that make `before` of `after`; texts that one lacks are left out."""
    for path, new in after.items():
        old = before.get(path)
        if old is None or old == new:
            continue
        words = [re.findall(r"\w+|\s+|[^\w\s]", text) for text in (new, old)]
        matcher = difflib.SequenceMatcher(None, words[0], words[1], autojunk=False)
        starts = [0]
        for word in words[0]:
            starts.append(starts[-1] + len(word))
        changed: list[list[int]] = []
        for tag, a, b, c, d in matcher.get_opcodes():
            if tag == "equal":
                continue
            if changed and words[0][changed[-1][1] : a] == [" "]:  # both names of a full name
                changed[-1][1::2] = [b, d]
            else:
                changed.append([a, b, c, d])
        for a, b, c, d in changed:
            yield path, starts[a], starts[b], "".join(words[0][a:b]), "".join(words[1][c:d])


def _back(at: int, path: str, edits: Iterable[Edit]) -> int:
    """A place in the text after the edits, in the text before them."""
    return at - sum(len(e.new) - len(e.old) for e in edits if e.path == path and e.new_end <= at)


def _moved_back(stretches: Iterable[Stretch], edits: Sequence[Edit]) -> tuple[Stretch, ...]:
    return tuple((p, _back(a, p, edits), _back(b, p, edits)) for p, a, b in stretches)


def _shared_words(original: str, substitute: str) -> frozenset[str]:
    return frozenset(fold(original).split()) & frozenset(fold(substitute).split())


def _wrong_dates(text: str) -> Iterator[tuple[Check, str]]:
    """A weekday that is not that date's, a life or a range that ends before it begins."""
    for found in date_mentions(text):
        if found.weekday_fits is False:
            yield Check.NUMBERS, f"{found.text} is not on that weekday"
    for span in re.finditer(r"(?<!\d)(1\d{3}|20\d\d) ?[-–] ?(1\d{3}|20\d\d)(?!\d)", text):
        if span[1] > span[2]:
            yield Check.NUMBERS, f"{span.group()} ends before it begins"
