"""The forms of an entity, and every place in a row where one of them occurs.

A `Substitution` maps old forms to new ones, one to one. `find_changes` finds every occurrence
of every old form in the texts of a row, and refuses what it cannot map.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ..checks import Check, Refusal
from ..lexicon.wording import INITIALS, PARTICLES, SUFFIX
from ..recognise.spans import NUMERIC, VALUES, Substitution
from ..recognise.values import DateMention, date_mentions, date_of_value, number_mentions, number_of
from .edits import Change
from .views import View


def name_forms(name: str) -> dict[str, str]:
    """Return the forms of a person's name by their role.

    "Ludwig van Beethoven" has full, first, last ("Beethoven") and rest ("van Beethoven"). A
    suffix is part of the full form only.
    """
    parts = name.split()
    forms = {"full": name}
    plain = [w for w in parts if not (INITIALS.match(w) or SUFFIX.match(w))]
    plain = [w for w in plain if w.lower() not in PARTICLES]
    if plain and len(parts) > 1:
        forms["initials" if INITIALS.match(parts[0]) else "first"] = parts[0]
        if plain[-1] != parts[0]:
            forms |= {"last": plain[-1], "rest": " ".join(parts[1:])}
    return {role: form for role, form in forms.items() if len(form.strip(". ")) > 1}


def find_changes(view: View, plan: Substitution) -> list[Change]:
    """Return every occurrence of every old form, with what it becomes.

    Raises `Refusal` if an occurrence fits no form.
    """
    texts = {path: text for path, text in view.texts.items() if path not in view.keep}
    if plan.new_type or plan.type not in VALUES:
        return list(_name_changes(texts, plan))
    return list(
        _number_changes(texts, plan) if plan.type in NUMERIC else _date_changes(texts, plan)
    )


def _name_changes(texts: Mapping[str, str], plan: Substitution) -> Iterator[Change]:
    ordered = sorted(plan.forms, key=lambda f: (-len(f), f))
    pattern = re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, ordered)) + r")(?!\w)")
    for path, text in texts.items():
        for match in pattern.finditer(text):
            yield path, match.start(), match.end(), match.group(), plan.forms[match.group()]


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
            yield path, mention.start, mention.end, mention.text, mention.rewritten(new_value)
