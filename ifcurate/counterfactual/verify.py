"""The verifier: reads the example before and after, and says what is wrong with it.

It knows nothing of the recogniser that proposed the spans nor of how the
substitute was chosen. Every check raises `Refusal` with its id; an example
that fails one is not written. The checks on text are in `neighbours`,
`structure` and `geography`; those before the edit in `gates` and `gender`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .edits import Edit, invert_edits
from .forms import GENERIC_WORDS, Refusal, Substitution, residual_parts
from .geography import check_geography
from .lexicon import Lexicon, fold
from .mentions import Span
from .neighbours import check_agreement, check_nesting
from .order import NUMERIC, check_order
from .structure import check_structure, json_strings
from .values import date_mentions, number_mentions
from .wording import FUNCTION_WORDS, ordered_words

__all__ = ["Case", "check_residue", "verify"]

_LETTERS = re.compile(r"[^\W\d_]+")
_WORDS_FOR = ordered_words(
    """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen twenty
    """
)


@dataclass(frozen=True, slots=True)
class Case:
    """One example before and after its edits."""

    before: Mapping[str, str]  # every string of the row by its path
    after: Mapping[str, str]
    edits: Sequence[Edit]
    plan: Substitution
    context: Sequence[tuple[str, int, int]]  # stretches of `before` that are context
    response_path: str
    question: Sequence[tuple[str, int, int]]  # stretches that ask: no edit may fall there
    memory: Sequence[str] = ()  # remembered answers that stay as they are
    keep: frozenset[str] = field(default_factory=frozenset)  # paths no edit may touch
    gender: str = ""
    anchored: bool = False  # the answer was given; geography is the question's own matter


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
        ("H1", _check_residual),
        ("H2", _check_fresh),
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


def check_residue(parts: set[str], texts: Mapping[str, str]) -> str:
    """The first part that is left in one of the texts, "" when there is none.

    Parts of four letters or more are found inside words too, shorter ones as whole words.
    """
    long = [p for p in parts if len(p) >= 4]
    short = [p for p in parts if len(p) < 4]
    pattern = None
    if short:
        pattern = re.compile(
            r"(?<![^\W_])(?:" + "|".join(map(re.escape, sorted(short))) + r")(?![^\W_])"
        )
    for text in texts.values():
        folded = fold(text)
        for part in long:
            if part in folded:
                return part
        if pattern is not None and (found := pattern.search(folded)):
            return found.group()
    return ""


def _forms_of(case: Case) -> set[str]:
    plan = case.plan
    if plan.source == "alias":
        return {fold(plan.original)} if fold(plan.original) not in fold(plan.substitute) else set()
    written = {e.old: e.new for e in case.edits}
    return residual_parts(plan.original, {**plan.forms, **written}, plan.type)


def _place_parts(case: Case, parts: set[str]) -> set[str]:
    """Parts of a place's name count as whole words only, and not where they name something else.

    "Novi" is no part of "innovation", and "Cairo" stays when "New Cairo" goes and the
    remembered answer is Cairo. Whole names are looked for inside words as well.
    """
    whole = {fold(f) for f in (*case.plan.forms, case.plan.original)}
    asked = " ".join(case.before[p][a:b] for p, a, b in case.question)
    spoken = set(re.findall(r"[^\W\d_]+", fold(" ".join([asked, *case.memory]))))
    kept = {p for p in parts if p in whole or " " in p or len(p) < 4}
    for part in parts - kept - spoken:
        pattern = re.compile(rf"(?<![^\W_]){re.escape(part)}(?![^\W_])")
        if any(pattern.search(fold(t)) for t in case.after.values()):
            kept.add(part)
    return kept - spoken


def _acronym(name: str) -> str:
    words = re.findall(r"[^\W\d_]+", name)
    return "".join(w[0] for w in words).upper() if len(words) >= 2 else ""


def _check_residual(case: Case, lexicon: Lexicon) -> None:
    plan = case.plan
    texts = dict(case.after)
    for path, text in case.after.items():
        for number, inner in enumerate(json_strings(text)):
            texts[f"{path}#{number}"] = inner
    if plan.type == "DATE":
        _check_date_left(case, texts)
        return
    if plan.type in NUMERIC:
        _check_number_left(case, texts)
        return
    parts = _forms_of(case)
    if plan.type == "COUNTRY" and plan.source != "alias" and ":" in plan.detail:
        country = lexicon.countries[plan.detail.split(":")[1]]
        names = (*country.names, country.adjective, country.plural)
        parts |= {fold(n) for n in names if len(n) > 3}
        acronyms = {n for n in country.names if len(n) <= 4 and n.isupper()}
    elif plan.type == "CITY" and plan.source != "alias":
        name = lexicon.city_aliases.get(plan.original.lower(), plan.original)
        others = {a for a, n in lexicon.city_aliases.items() if n.lower() == name.lower()}
        parts |= {fold(a) for a in {*others, name} if len(a) > 3}
        acronyms = {a.upper() for a in others if len(a) <= 3}
    else:
        acronyms = {a for a in [_acronym(plan.original)] if len(a) >= 2}
    if plan.type != "PERSON":
        parts = _place_parts(case, parts)
    if left := check_residue(parts, texts):
        raise Refusal("H1", f"{left!r} is left")
    for acronym in acronyms:
        for text in texts.values():
            if re.search(rf"(?<!\w){re.escape(acronym)}(?!\w)", text):
                raise Refusal("H1", f"{acronym!r} is left")
    if plan.type == "PERSON":
        _check_nicknames(case, texts, lexicon)


def _check_nicknames(case: Case, texts: Mapping[str, str], lexicon: Lexicon) -> None:
    new = {w.lower() for e in case.edits for w in re.findall(r"[^\W\d_]+", e.new)}
    for word in re.findall(r"[^\W\d_]+", case.plan.original):
        if len(word) < 4 or word.lower() in GENERIC_WORDS:
            continue
        for text in texts.values():
            if word[:3] not in text:
                continue
            for found in _LETTERS.findall(text):
                if not found.startswith(word[:3]):
                    continue
                low = found.lower()
                stem = re.sub(r"(?:ie|ey|y|i)\Z", "", low)
                if (
                    low in lexicon.country_names
                    or low in new
                    or low in lexicon.common
                    or low in FUNCTION_WORDS | {"mary", "john"}
                ):
                    continue
                if word.lower().startswith((low, stem)) and len(stem) >= 3:
                    raise Refusal("H1", f"{found!r} may be short for {word!r}")
    _check_epithet(case)
    initial = re.match(r"([A-Z])[a-z]", case.plan.original)
    last = case.plan.original.split(" ")[-1]
    if initial and " " in case.plan.original and not re.search(r"\b[A-Z]\.", case.plan.original):
        new_last = {e.new.split(" ")[-1] for e in case.edits if e.old.endswith(last)}
        for text in texts.values():
            for name in new_last:
                if f". {name}" in text and re.search(
                    rf"(?<!\w)[A-Z]\. {re.escape(name)}(?!\w)", text
                ):
                    raise Refusal("H1", f"an initial before {name!r}")


def _check_epithet(case: Case) -> None:
    """ "Catherine the Great" called "Great": a form that has no counterpart."""
    epithet = re.search(r" the ([A-Z]\w+)\Z", case.plan.original)
    for text in case.after.values() if epithet else ():
        if epithet and re.search(rf"(?<!the ){epithet[1]}(?!\w)", text):
            raise Refusal("H1", f"{epithet[1]!r} is left")


def _check_date_left(case: Case, texts: Mapping[str, str]) -> None:
    old = date_mentions(case.plan.original)[0]
    for text in texts.values():
        if any(d.matches(old) for d in date_mentions(text)):
            raise Refusal("H1", f"{case.plan.original!r} is left")
        if old.year and re.search(rf"(?<!\d){old.year}(?!\d)", text):
            raise Refusal("H1", f"the year {old.year} is left")
        month = next(
            case.plan.original[a:b]
            for a, b, g in date_mentions(case.plan.original)[0].pieces
            if g == "month"
        )
        if not month.isdigit() and re.search(rf"\b{month[:3]}(?:{month[3:]})?\b", text):
            raise Refusal("H1", f"the month {month} is left")


def _check_number_left(case: Case, texts: Mapping[str, str]) -> None:
    old = next(number_mentions(case.plan.original))
    word = _WORDS_FOR[int(old.value)] if old.value in range(21) else ""
    bare = re.sub(r"\D", "", old.text)
    for text in texts.values():
        if any(n.value == old.value for n in number_mentions(text)):
            raise Refusal("H1", f"{old.text!r} is left")
        runs = re.findall(r"\d[\d,]*(?:\.\d+)?", text)
        if any(re.sub(r"\D", "", r) == bare for r in runs):
            raise Refusal("H1", f"the digits {bare} are left")
        if word and re.search(rf"\b{word}\b", text, re.I):
            raise Refusal("H1", f"the word {word!r} is left")


def _check_fresh(case: Case, lexicon: Lexicon) -> None:
    plan = case.plan
    if (plan.type == "DATE" or plan.type in NUMERIC) and not plan.new_type:
        new = {e.new for e in case.edits}
        for text in case.before.values():
            for name in new:
                if re.search(rf"(?<![\w.,]){re.escape(name)}(?!\w)", text):
                    raise Refusal("H2", f"{name!r} was there before")
        return
    written = {e.new: e.old for e in case.edits}
    parts = residual_parts(plan.substitute, written, plan.new_type or plan.type)
    if plan.source == "alias":
        parts = {fold(plan.substitute)}
    if found := check_residue(parts, case.before):
        raise Refusal("H2", f"{found!r} was there before")
    if plan.source == "alias":
        return
    old = {w for m in (plan.original, *case.memory) for w in re.findall(r"[^\W\d_]{4,}", fold(m))}
    old -= GENERIC_WORDS
    new_words = set(re.findall(r"[^\W\d_]{4,}", fold(plan.substitute)))
    if shared := old & new_words:
        raise Refusal("H2", f"{sorted(shared)[0]!r} is shared with the original")


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
