"""What is left of the original (H1), and what of the substitute was there before (H2).

Names are looked for in all their forms: parts, acronyms, nicknames, epithets,
other names of a place; dates and amounts by their value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..checks import Check, Refusal
from ..edit.substitution import Substitution
from ..lexicon.name_words import DESCRIBING, GENERIC_WORDS
from ..lexicon.tables import Country, Lexicon, fold
from ..lexicon.wording import FUNCTION_WORDS, PARTICLES
from ..recognise.spans import NUMERIC, PATTERNED, VALUES
from ..recognise.values import NUMBER_WORDS, date_mentions, number_mentions, number_of
from .cases import Case
from .structure import json_strings

__all__ = ["check_fresh", "check_residual", "check_residue"]

_ALIAS = re.compile(
    r"\b(?:(?:pen|stage|birth|maiden|real) name|pseudonym|nicknamed|alias|aka|née)\b", re.I
)
_LETTERS = re.compile(r"[^\W\d_]+")


def check_residue(parts: set[str], texts: Mapping[str, str]) -> str:
    """The first part that is left in one of the texts, "" when there is none.

    Parts of four letters or more are found inside words too, shorter ones as whole words.
    """
    long = sorted(p for p in parts if len(p) >= 4)
    pattern = _whole_words([p for p in parts if len(p) < 4])
    for text in texts.values():
        folded = fold(text)
        if left := next((part for part in long if part in folded), ""):
            return left
        if pattern is not None and (found := pattern.search(folded)):
            return found.group()
    return ""


def _whole_words(parts: Sequence[str]) -> re.Pattern[str] | None:
    """A pattern of the parts as whole words, None without any."""
    either = "|".join(map(re.escape, sorted(parts)))
    return re.compile(rf"(?<![^\W_])(?:{either})(?![^\W_])") if either else None


def _parts_of(original: str, forms: Mapping[str, str], kind: str) -> set[str]:
    """What must be left nowhere, folded: the old forms and their words of 3 letters or more."""
    parts = {fold(f) for f in (*forms, original)}
    if kind not in VALUES:
        for form in (*forms, original):
            found = re.findall(r"[^\W\d_]+", fold(form))
            parts.update(w for w in found if len(w) >= 3 and w not in PARTICLES | GENERIC_WORDS)
            if len(found) > 1:
                parts.add("".join(found))
    return {p for p in parts if p}


def _forms_of(case: Case) -> set[str]:
    plan = case.plan
    if plan.source == "alias":
        return {fold(plan.original)} if fold(plan.original) not in fold(plan.substitute) else set()
    if plan.type == "WORK":  # the words of a title are words; as a title it stands as a whole
        return {fold(plan.original)}
    written = {e.old: e.new for e in case.edits}
    parts = _parts_of(plan.original, {**plan.forms, **written}, plan.type)
    if plan.type in PATTERNED | {"LOC"} and not plan.new_type:
        stay = set(_LETTERS.findall(fold(plan.substitute))) | DESCRIBING
        parts -= {p for p in parts if p in stay}
    return parts - plan.kept


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
    """H1: nothing of the original is left, in any form."""
    plan = case.plan
    texts = _all_texts(case)
    if plan.type == "DATE":
        _check_date_left(case, texts)
        return
    if plan.type in NUMERIC:
        _check_number_left(case, texts)
        return
    parts = _forms_of(case)
    acronyms: set[str] = set()
    if plan.source != "alias":
        more, acronyms = _other_names(plan, lexicon)
        parts |= more
    if plan.type in {"CITY", "COUNTRY"}:
        parts = _place_parts(case, parts)
    if left := check_residue(parts, texts) or _acronym_left(acronyms, texts):
        raise Refusal(Check.RESIDUE, f"{left!r} is left")
    if plan.type == "PERSON" and not plan.new_type:
        _check_nicknames(case, texts, lexicon)
        _check_alias(case)
        _check_initials(case, texts)


def _acronym_left(acronyms: set[str], texts: Mapping[str, str]) -> str:
    """The first acronym that stands in one of the texts, "" when there is none."""
    for acronym in sorted(acronyms):
        if any(re.search(rf"(?<!\w){re.escape(acronym)}(?!\w)", t) for t in texts.values()):
            return acronym
    return ""


def _all_texts(case: Case) -> dict[str, str]:
    """The texts after the edits, and the strings of the JSON in them as they read."""
    texts = {p: t for p, t in case.after.items() if p not in case.keep or p.startswith("tools")}
    for path, text in list(texts.items()):
        for number, inner in enumerate(json_strings(text)):
            texts[f"{path}#{number}"] = inner
    return texts


def _other_names(plan: Substitution, lexicon: Lexicon) -> tuple[set[str], set[str]]:
    """Other names of the same thing, folded, and its acronyms as they are written."""
    if plan.type == "COUNTRY":
        return _country_names(lexicon.countries[plan.span.code])
    if plan.type == "CITY":
        return _city_names(plan.original, lexicon)
    acronym = _acronym(plan.original) if plan.type != "WORK" and not plan.kept else ""
    return set(), {acronym} if len(acronym) >= 2 else set()


def _country_names(country: Country) -> tuple[set[str], set[str]]:
    names = (*country.names, country.adjective, country.plural)
    acronyms = {n for n in country.names if len(n) <= 4 and n.isupper()}
    return {fold(n) for n in names if len(n) > 3}, acronyms


def _city_names(city: str, lexicon: Lexicon) -> tuple[set[str], set[str]]:
    name = lexicon.city_aliases.get(city.lower(), city)
    others = {a for a, n in lexicon.city_aliases.items() if n.lower() == name.lower()}
    acronyms = {a.upper() for a in others if len(a) <= 3}
    return {fold(a) for a in {*others, name} if len(a) > 3}, acronyms


def _check_nicknames(case: Case, texts: Mapping[str, str], lexicon: Lexicon) -> None:
    """A word that a name begins with ("Sam" of "Samantha") may be short for it."""
    spared = _new_words(case) | FUNCTION_WORDS | lexicon.common | case.plan.kept | {"mary", "john"}
    for word in _LETTERS.findall(case.plan.original):
        if len(word) < 4 or word.lower() in GENERIC_WORDS:
            continue
        begins = re.compile(rf"(?<![^\W\d_]){re.escape(word[:3])}[^\W\d_]*")
        for found in (f for text in texts.values() for f in begins.findall(text)):
            low = found.lower()
            known = low in spared or low in lexicon.country_names
            if not known and _is_short_for(low, word.lower()):
                raise Refusal(Check.RESIDUE, f"{found!r} may be short for {word!r}")


def _new_words(case: Case) -> set[str]:
    return {w.lower() for e in case.edits for w in _LETTERS.findall(e.new)}


def _is_short_for(nickname: str, name: str) -> bool:
    """Whether a name begins with the nickname, or with it less its ending: "Danny"."""
    stem = re.sub(r"(?:ie|ey|y|i)\Z", "", nickname)
    return len(stem) >= 3 and name.startswith((nickname, stem))


def _check_initials(case: Case, texts: Mapping[str, str]) -> None:
    """ "P. Walters" beside "Peter Walters": an initial that would not fit the new name."""
    original = case.plan.original
    last = original.split(" ")[-1]
    if " " not in original or re.search(r"\b[A-Z]\.", original):
        return
    for name in sorted({e.new.split(" ")[-1] for e in case.edits if e.old.endswith(last)}):
        pattern = re.compile(rf"(?<!\w)[A-Z]\. {re.escape(name)}(?!\w)")
        if any(f". {name}" in text and pattern.search(text) for text in texts.values()):
            raise Refusal(Check.RESIDUE, f"an initial before {name!r}")


def _check_alias(case: Case) -> None:
    """Another name that the text gives the person, such as a pen name."""
    for edit in case.edits:
        around = case.after[edit.path][max(0, edit.new_start - 60) : edit.new_end + 60]
        if found := _ALIAS.search(around):
            raise Refusal(Check.RESIDUE, f"{found.group()!r} gives another name")


def _check_date_left(case: Case, texts: Mapping[str, str]) -> None:
    old = date_mentions(case.plan.original)[0]
    for text in texts.values():
        if any(d.matches(old) for d in date_mentions(text)):
            raise Refusal(Check.RESIDUE, f"{case.plan.original!r} is left")
        if old.year and re.search(rf"(?<!\d){old.year}(?!\d)", text):
            raise Refusal(Check.RESIDUE, f"the year {old.year} is left")
        month = next(
            case.plan.original[a:b]
            for a, b, g in date_mentions(case.plan.original)[0].pieces
            if g == "month"
        )
        if not month.isdigit() and re.search(rf"\b{month[:3]}(?:{month[3:]})?\b", text):
            raise Refusal(Check.RESIDUE, f"the month {month} is left")


def _check_number_left(case: Case, texts: Mapping[str, str]) -> None:
    old = number_of(case.plan.span)
    word = NUMBER_WORDS[int(old.value)] if old.value in range(2, 21) else ""
    bare = re.sub(r"\D", "", old.text) or f"{old.value:g}"
    for text in texts.values():
        if any(n.value == old.value for n in number_mentions(text)):
            raise Refusal(Check.RESIDUE, f"{old.text!r} is left")
        runs = re.findall(r"\d[\d,]*(?:\.\d+)?", text)
        if any(re.sub(r"\D", "", r) == bare for r in runs):
            raise Refusal(Check.RESIDUE, f"the digits {bare} are left")
        if word and re.search(rf"\b{word}\b", text, re.I):
            raise Refusal(Check.RESIDUE, f"the word {word!r} is left")


def check_fresh(case: Case, lexicon: Lexicon) -> None:
    """H2: nothing of the substitute stood in the example before."""
    plan = case.plan
    if plan.type in VALUES and not plan.new_type:
        _check_values_fresh(case)
        return
    if found := check_residue(_new_parts(case), case.before):
        raise Refusal(Check.FRESHNESS, f"{found!r} was there before")
    if plan.source != "alias" and plan.type not in PATTERNED | {"LOC"}:
        _check_unshared(case)


def _new_parts(case: Case) -> set[str]:
    """What of the substitute must not have been there, folded."""
    plan = case.plan
    if plan.type == "WORK" or plan.source == "alias":
        parts = {fold(plan.substitute)}
    else:
        written = {e.new: e.old for e in case.edits}
        parts = _parts_of(plan.substitute, written, plan.new_type or plan.type) - plan.kept
    if plan.type in PATTERNED | {"LOC"} and not plan.new_type:
        parts -= set(_LETTERS.findall(fold(plan.original))) | DESCRIBING
    return parts


def _check_unshared(case: Case) -> None:
    """Original, remembered answers and substitute have no word in common."""
    plan = case.plan
    old = {w for m in (plan.original, *case.memory) for w in re.findall(r"[^\W\d_]{4,}", fold(m))}
    new_words = set(re.findall(r"[^\W\d_]{4,}", fold(plan.substitute)))
    old -= GENERIC_WORDS | plan.kept
    if shared := old & new_words:
        raise Refusal(Check.FRESHNESS, f"{min(shared)!r} is shared with the original")
    if plan.type == "PERSON" and {w[:3] for w in old} & {w[:3] for w in new_words - plan.kept}:
        raise Refusal(Check.FRESHNESS, f"{plan.substitute!r} is like the original")  # Marc, Mark


def _check_values_fresh(case: Case) -> None:
    for name in sorted({e.new for e in case.edits}):
        pattern = re.compile(rf"(?<![\w.,]){re.escape(name)}(?!\w)", re.I)
        if any(pattern.search(text) for text in case.before.values()):
            raise Refusal(Check.FRESHNESS, f"{name!r} was there before")
