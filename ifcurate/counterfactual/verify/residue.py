"""What is left of the original (H1), and what of the substitute was there before (H2).

Names are looked for in all their forms: parts, acronyms, nicknames, epithets,
other names of a place; dates and amounts by their value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..edit.forms import GENERIC_WORDS, Refusal, residual_parts
from ..lexicon.tables import Lexicon, fold
from ..lexicon.wording import FUNCTION_WORDS, ordered_words
from ..recognise.values import date_mentions, number_mentions
from .cases import Case
from .order import NUMERIC
from .structure import json_strings

__all__ = ["check_fresh", "check_residual", "check_residue"]

_LETTERS = re.compile(r"[^\W\d_]+")
_WORDS_FOR = ordered_words(
    """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen twenty
    """
)


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


def check_residual(case: Case, lexicon: Lexicon) -> None:
    """H1: nothing of the original is left, in whatever form."""
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


def check_fresh(case: Case, lexicon: Lexicon) -> None:
    """H2: nothing of the substitute stood in the example before."""
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
