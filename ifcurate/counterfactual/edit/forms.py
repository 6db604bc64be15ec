"""The forms of an entity, and every place in a row where one of them occurs.

A `Substitution` maps old forms to new ones, one to one. `find_changes` finds every occurrence
of every old form in the texts of a row, and refuses what it cannot map.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ..checks import Check, Refusal
from ..lexicon.tables import LEXICON
from ..lexicon.wording import HONOURS, INITIALS, PARTICLES, SUFFIX, fold
from ..recognise.spans import NUMERIC, VALUES, Substitution
from ..recognise.values import DateMention, date_mentions, date_of_value, number_mentions, number_of
from .edits import Change
from .views import View

_QUOTES = "\"“”‘’'"


def name_forms(name: str) -> dict[str, str]:
    """Return the forms of a person's name by their role: full, first, last, ...

    "Ludwig van Beethoven" has full, first, last ("Beethoven") and particle
    ("van Beethoven"). An initial or a suffix is part of the full form only.
    """
    parts = name.split()
    forms = {"full": name}
    if len(parts) > 1 and parts[0].lower() in HONOURS:
        parts = parts[1:]
        forms["bare"] = " ".join(parts)
    parts = " ".join(parts).split(" the ")[0].split()  # Catherine the Great
    plain = _plain_words(parts)
    if plain and (len(parts) > 1 or len(forms) > 1):
        forms["initials" if INITIALS.match(parts[0]) else "first"] = parts[0]
        forms |= _family_forms(parts, plain) if plain[-1] != parts[0] else {}
    return {role: form for role, form in forms.items() if len(form.strip(". ")) > 1}


def _plain_words(parts: Sequence[str]) -> list[str]:
    """Return the words without initials, suffixes and particles."""
    return [
        w for w in parts if not (INITIALS.match(w) or SUFFIX.match(w) or w.lower() in PARTICLES)
    ]


def _family_forms(parts: Sequence[str], plain: Sequence[str]) -> dict[str, str]:
    """Return the forms with the family name, and the middle names."""
    last = plain[-1]
    forms = {"last": last}
    particles = [w for w in parts[: parts.index(last)] if w.lower() in PARTICLES]
    if particles:
        forms["particle"] = " ".join([*particles, last])
    if len(plain) > 2 or (len(parts) > 2 and not particles):
        forms["first_last"] = f"{parts[0]} {last}"
        for index, middle in enumerate(plain[1:-1]):
            forms[f"middle{index}"] = middle.strip(_QUOTES)
        forms["middle_last"] = " ".join(parts[1:])
        if particles:
            forms["middle_plain"] = " ".join(plain[1:])
    return forms


def find_changes(view: View, plan: Substitution) -> list[Change]:
    """Return every occurrence of every old form, with what it becomes.

    Raises `Refusal` if an occurrence fits no form.
    """
    texts = {path: text for path, text in view.texts.items() if path not in view.keep}
    if plan.new_type or plan.type not in VALUES:
        return list(_name_changes(texts, view.folded, plan))
    return list(
        _number_changes(texts, plan) if plan.type in NUMERIC else _date_changes(texts, plan)
    )


def _name_changes(
    texts: Mapping[str, str], folded: Mapping[str, str], plan: Substitution
) -> Iterator[Change]:
    by_case = {form.lower(): form for form in reversed(list(plan.forms))}
    ordered = sorted(plan.forms, key=lambda f: (-len(f), f))
    pattern = re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, ordered)) + r")(?!\w)", re.I)
    keys = [fold(f) for f in ordered]
    for path, text in texts.items():
        if not any(k in folded[path] for k in keys):
            continue
        for match in pattern.finditer(text):
            written = match.group()
            old = by_case.get(written.lower())
            new = _new_form(written, old, plan, small=text.islower())
            yield path, match.start(), match.end(), written, new


def _new_form(written: str, old: str | None, plan: Substitution, *, small: bool) -> str:
    """Return the new form in the letter case of the old one.

    `small` says that the text has no capitals. Raises `Refusal` (AGREEMENT, RESIDUE) if the
    letter case leaves this open.
    """
    if written.islower() and not small and _is_word(written, plan):
        raise Refusal(Check.RESIDUE, f"{written!r} may be a word and not the name")
    for like in (str, str.upper, str.lower):
        if old is not None and written == like(old):
            return like(plan.forms[old])
    raise Refusal(Check.AGREEMENT, f"the letter case of {written!r} is mixed")


def _is_word(written: str, plan: Substitution) -> bool:
    """Return whether a name is a word in lower case: "dowager" is, "martha" is not."""
    if plan.type == "COUNTRY" or " " in written or written in plan.forms:
        return False
    listed = fold(written) in LEXICON.gender or LEXICON.is_city(written)
    return not listed or written in LEXICON.wordy or written in LEXICON.common


def _date_changes(texts: Mapping[str, str], plan: Substitution) -> Iterator[Change]:
    old = date_mentions(plan.original)[0]
    target = date_of_value(plan.substitute)
    for path, text in texts.items():
        for mention in (d for d in date_mentions(text) if d.matches(old)):
            yield path, mention.start, mention.end, mention.text, _dated(mention, target)


def _dated(mention: DateMention, target: DateMention) -> str:
    """Return the target in the notation of a date; a part that the target lacks is kept."""
    year, day = target.year or mention.year, target.day or mention.day
    return mention.rewritten(year or 0, target.month, day or 0)


def _number_changes(texts: Mapping[str, str], plan: Substitution) -> Iterator[Change]:
    old = number_of(plan.span)
    new_value = float(plan.substitute)
    for path, text in texts.items():
        for mention in number_mentions(text):
            if mention.value != old.value:
                continue
            if mention.kind not in {plan.type, "NUMBER"} or mention.scale != old.scale:
                raise Refusal(Check.NUMBERS, f"{mention.text!r} is another amount elsewhere")
            new = mention.rewritten(new_value)
            if mention.text[0].isdigit() and float(new.replace(",", "")) != new_value:
                raise Refusal(Check.NUMBERS, f"{mention.text!r} cannot hold {new_value:g}")
            yield path, mention.start, mention.end, mention.text, new
