"""H1: nothing of the original is left. H2: nothing of the substitute was in the example before.

Names are searched in all their forms: parts, acronyms, nicknames, other names of a place.
Dates and amounts are searched by value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from ..lexicon.tables import LEXICON
from ..lexicon.wording import DESCRIBING, FUNCTION_WORDS, GENERIC_WORDS, PARTICLES, fold, has_word
from ..recognise.spans import NUMERIC, PATTERNED, VALUES
from ..recognise.values import NUMBER_WORDS, date_mentions, number_of
from .cases import Case

_ALIAS = re.compile(
    r"\b(?:(?:pen|stage|birth|maiden|real) name|pseudonym|nicknamed|alias|aka|née)\b", re.I
)
_LETTERS = re.compile(r"[^\W\d_]+")
_COMBINED = re.compile(r"\b([a-z]{3})[a-z]*o[-–][a-z]")  # "russo-french", in folded text
#: Escapes of JSON: "\u00e9" for "é", "\n" for the end of a line.
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[bfnrt])")


def check_residual(case: Case) -> Iterator[str]:
    """H1: nothing of the original is left, in any form."""
    texts = _all_texts(case)
    if case.plan.type == "DATE":
        yield from _date_left(case, texts)
    elif case.plan.type in NUMERIC:
        yield from _number_left(case, texts)
    else:
        yield from _name_left(case, texts)
        if case.plan.type == "PERSON" and not case.plan.new_type:
            yield from _nickname_left(case, texts)
            yield from _alias_left(case)


def check_fresh(case: Case) -> Iterator[str]:
    """H2: nothing of the substitute was in the example before."""
    plan = case.plan
    if plan.type in VALUES and not plan.new_type:
        return  # the order of values is kept: H13
    forms = [plan.substitute, *(e.new for e in case.edits)]
    kind = plan.new_type or plan.type
    if part := _first_part(_parts_of(case, forms, plan.original, kind), case.before.values()):
        yield f"{part!r} was there before"
    if plan.source != "alias" and plan.type not in PATTERNED | {"LOC"}:
        yield from _shared_words(case)


def _all_texts(case: Case) -> list[str]:
    """Return the texts after the edits, and those with escapes of JSON also decoded."""
    keep = case.view.keep
    texts = [t for p, t in case.after.items() if p not in keep or p.startswith("tools")]
    escaped = [t for t in texts if "\\" in t]
    return texts + [_ESCAPE.sub(lambda e: chr(int(e[1] or "20", 16)), t) for t in escaped]


def _parts_of(case: Case, forms: Sequence[str], other: str, kind: str) -> set[str]:
    """Return the folded parts that identify a name: its forms, and their longer words.

    `forms` begin with the name itself. `other` is the other name of the substitution.
    """
    plan, folded = case.plan, [fold(f) for f in forms]
    if plan.type == "WORK" or plan.source == "alias":  # single words of a title are no evidence
        return {folded[0]}
    parts = set(folded)
    for words in map(_LETTERS.findall, folded if kind not in VALUES else ()):
        parts |= {w for w in words if len(w) >= 3} - PARTICLES - GENERIC_WORDS
        parts |= {"".join(words)} - {*words}
    if plan.type in PATTERNED | {"LOC"} and not plan.new_type:
        parts -= {*_LETTERS.findall(fold(other)), *DESCRIBING}
    return parts - {""}


def _first_part(parts: Iterable[str], texts: Iterable[str]) -> str:
    """Return the first part that occurs in one of the texts; "" if none does.

    Parts of four letters or more are searched inside words too, shorter ones as whole words.
    """
    ordered = sorted(parts, key=lambda part: (len(part) < 4, part))
    for folded in map(fold, texts):
        for part in ordered:
            if part in folded and (len(part) >= 4 or has_word(part, folded)):
                return part
    return ""


def _name_left(case: Case, texts: Sequence[str]) -> Iterator[str]:
    plan = case.plan
    forms = [plan.original, *plan.forms, *(e.old for e in case.edits)]
    parts = _parts_of(case, forms, plan.substitute, plan.type)
    acronyms: set[str] = set()
    if plan.source != "alias":
        names, acronyms = _other_names(case)
        parts |= {fold(n) for n in names if len(n) > 3}
    elif fold(plan.original) in fold(plan.substitute):
        parts = set()
    if part := _first_part(parts, texts):
        yield f"{part!r} is left"
    if plan.type == "COUNTRY":
        yield from _combined_left(parts, texts)
    for acronym in sorted(acronyms):
        if any(has_word(acronym, text) for text in texts):
            yield f"{acronym!r} is left"


def _combined_left(parts: set[str], texts: Sequence[str]) -> Iterator[str]:
    """Yield a form that begins another word: "Russo-French" is left of "Russia"."""
    begins = {part[:3] for part in parts}
    for found in (found for text in texts for found in _COMBINED.finditer(fold(text))):
        if found[1] in begins:
            yield f"{found.group()!r} is left"


def _other_names(case: Case) -> tuple[set[str], set[str]]:
    """Return the other names of a country or a city, and the acronyms of any name."""
    plan = case.plan
    if plan.type == "COUNTRY":
        country = LEXICON.countries[plan.span.code]
        acronyms = {n for n in country.names if len(n) <= 4 and n.isupper()}
        return {*country.names, country.adjective, country.plural}, acronyms
    if plan.type == "CITY":
        aliases = LEXICON.city_aliases
        name = aliases.get(plan.original.lower(), plan.original)
        others = {a for a, n in aliases.items() if n.lower() == name.lower()}
        return {*others, name}, set()
    words = _LETTERS.findall(plan.original)
    return set(), {"".join(w[0] for w in words).upper()} if len(words) > 1 else set()


def _nickname_left(case: Case, texts: Sequence[str]) -> Iterator[str]:
    """Yield a word that may be short for the name: "Sam" for "Samantha"."""
    new = {w.lower() for e in case.edits for w in _LETTERS.findall(e.new)}
    spared = new | FUNCTION_WORDS | {"mary", "john"}
    first = spared | LEXICON.common  # "Ray" at the start of a sentence, but not "him Ray"
    for word in _LETTERS.findall(case.plan.original):
        if len(word) < 4 or word.lower() in GENERIC_WORDS:
            continue
        begins = re.compile(rf"([.!?:\n]\W*|(?<![^\W\d_]))({re.escape(word[:3])}[^\W\d_]*)")
        for opens, nickname in begins.findall("\n".join(["", *texts])):
            low = nickname.lower()
            known = low in (first if opens else spared) or low in LEXICON.country_names
            if not known and _is_short_for(low, word.lower()):
                yield f"{nickname!r} may be short for {word!r}"


def _is_short_for(nickname: str, name: str) -> bool:
    """Return whether a name begins with the nickname, with or without its ending: "Danny"."""
    stem = re.sub(r"(?:ie|ey|y|i)\Z", "", nickname)
    return name.startswith((nickname, stem if len(stem) >= 3 else nickname))


def _alias_left(case: Case) -> Iterator[str]:
    """Yield a word for another name of the person, such as "pen name"."""
    for edit in case.edits:
        around = case.after[edit.path][max(0, edit.new_start - 60) : edit.new_end + 60]
        if alias := _ALIAS.search(around):
            yield f"{alias.group()!r} gives another name"


def _date_left(case: Case, texts: Sequence[str]) -> Iterator[str]:
    old = date_mentions(case.plan.original)[0]
    month = next(old.text[a:b] for a, b, group in old.pieces if group == "month")
    for text in texts:
        if old.year and re.search(rf"(?<!\d){old.year}(?!\d)", text):
            yield f"the year {old.year} is left"
        if not month.isdigit() and re.search(rf"\b{month[:3]}(?:{month[3:]})?\b", text):
            yield f"the month {month} is left"


def _number_left(case: Case, texts: Sequence[str]) -> Iterator[str]:
    old = number_of(case.plan.span)
    word = NUMBER_WORDS[int(old.value)] if old.value in range(2, 21) else ""
    bare = re.sub(r"\D", "", old.text) or f"{old.value:g}"
    for text in texts:
        runs = re.findall(r"\d[\d,]*(?:\.\d+)?", text)
        if any(re.sub(r"\D", "", r) == bare for r in runs):
            yield f"the digits {bare} are left"
        if word and re.search(rf"\b{word}\b", text, re.I):
            yield f"the word {word!r} is left"


def _shared_words(case: Case) -> Iterator[str]:
    """Words that the substitute shares with the original or a remembered answer."""
    plan = case.plan
    known = fold("\n".join([plan.original, *case.view.memory]))
    old = {*re.findall(r"[^\W\d_]{4,}", known)} - GENERIC_WORDS
    new = {*re.findall(r"[^\W\d_]{4,}", fold(plan.substitute))}
    if shared := old & new:
        yield f"{min(shared)!r} is shared with the original"
    if plan.type == "PERSON" and {w[:3] for w in old} & {w[:3] for w in new}:
        yield f"{plan.substitute!r} is similar to the original"  # Marc, Mark
