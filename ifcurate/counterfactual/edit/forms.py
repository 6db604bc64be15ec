"""All forms of an entity: how one old form becomes one new form, wherever it stands.

A `Substitution` is a function from old forms to new ones that can be read both
ways. `find_changes` finds every occurrence of every old form in every text of
the row; what it cannot map one to one it refuses, with a reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..lexicon.tables import Lexicon, fold
from ..lexicon.wording import PARTICLES, words
from ..recognise.values import date_mentions, number_mentions

__all__ = [
    "GENERIC_WORDS",
    "HONOURS",
    "Refusal",
    "Substitution",
    "find_changes",
    "name_forms",
    "residual_parts",
]

Change = tuple[str, int, int, str, str]  # path, start, end, old, new

_SUFFIX = re.compile(r"(?:Jr|Sr|I{1,3}|IV|VI{0,3}|IX|X{1,3}|[A-Z])\.?\Z")


class Refusal(Exception):  # noqa: N818 - not an error: an example that is passed over
    """Why an entity or an example is not substituted: the check's id, then the reason."""

    def __init__(self, check: str, reason: str):
        super().__init__(f"{check}: {reason}")
        self.check = check
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Substitution:
    """What is replaced by what.

    `forms` maps exact strings; letter case is followed by `find_changes`. For
    dates and numbers it is filled from what stands in the texts.
    """

    type: str
    original: str
    substitute: str
    detail: str = ""  # the span's detail: shape and gender, country code, value
    forms: Mapping[str, str] = field(default_factory=dict)
    new_type: str = ""  # only where it differs (policy type-swap)
    source: str = "lexicon"  # where the substitute came from


#: Titles that are written as part of a name and stay when the name goes.
HONOURS = words(
    """
    queen king empress emperor prince princess pope sir lady lord saint
    """
)


def _name_words(name: str) -> list[str]:
    return [w for w in name.split(" ") if w]


def name_forms(name: str) -> dict[str, str]:
    """Roles of a person's name and the form each has: full, first, last, ...

    "Ludwig van Beethoven" has full, first, last ("Beethoven") and particle
    ("van Beethoven"); initials and suffixes are part of the full form only.
    """
    words = _name_words(name)
    forms = {"full": name}
    if words and words[0].lower() in HONOURS and len(words) > 1:
        bare = " ".join(words[1:])
        words = words[1:]
        forms["bare"] = bare
    if "the" in words:  # an epithet is no part of the name: Catherine the Great
        words = words[: words.index("the")]
    plain = [w for w in words if not _SUFFIX.fullmatch(w) and w.lower() not in PARTICLES]
    if not plain or (len(words) == 1 and len(forms) == 1):
        return forms
    if not re.match(r"(?:[A-Z]\.)+|[A-Z]\Z", words[0]):
        forms["first"] = words[0]
    last = plain[-1]
    if last != words[0]:
        forms["last"] = last
        before = words[: words.index(last)]
        particles = [w for w in before if w.lower() in PARTICLES]
        if particles:
            forms["particle"] = " ".join([*particles, last])
        if len(plain) > 2 or (len(words) > 2 and not particles):
            forms["first_last"] = f"{words[0]} {last}"
            for index, middle in enumerate(plain[1:-1]):
                forms[f"middle{index}"] = middle
            forms["middle_last"] = " ".join(words[1:])
            if particles and len(plain) > 2:
                forms["middle_plain"] = " ".join(plain[1:])
    return {role: form for role, form in forms.items() if len(form.strip(". ")) > 1}


def residual_parts(original: str, forms: Mapping[str, str], kind: str) -> set[str]:
    """What must be left nowhere, folded: the old forms and their words of 3 letters or more."""
    parts = {fold(f) for f in (*forms, original)}
    if kind not in {"DATE", "MONEY", "YEAR", "NUMBER", "QUANTITY"}:
        for form in (*forms, original):
            words = re.findall(r"[^\W\d_]+", fold(form))
            parts.update(w for w in words if len(w) >= 3 and w not in PARTICLES | GENERIC_WORDS)
            if len(words) > 1:
                compact = "".join(words)
                parts.add(compact)
    return {p for p in parts if p}


#: Words of names that name nothing by themselves.
GENERIC_WORDS = words(
    """
    the and of city saint san santa new republic united states kingdom islands island south north
    east west river rivers lake mount mountain empire ocean desert great falls rainforest museum art
    national gallery queen king empress emperor prince princess pope dr mr mrs jr sr ii iii iv
    operation war wars
    """
)


def _like(written: str, old: str, new: str) -> str | None:
    """`new` in the letter case of `written`; None where the case follows no rule."""
    if written == old:
        return new
    if written == old.upper():
        return new.upper()
    if written == old.lower():
        return new.lower()
    return None


def find_changes(
    texts: Mapping[str, str], plan: Substitution, lexicon: Lexicon, *, folded: Mapping[str, str]
) -> list[Change]:
    """Every occurrence of every old form, with what it becomes.

    Raises `Refusal` (H4) where an occurrence fits no form.
    """
    if plan.new_type:
        pass  # a name in a value's place: only what is written alike is replaced
    elif plan.type == "DATE":
        return _date_changes(texts, plan)
    elif plan.type in {"MONEY", "YEAR", "NUMBER", "QUANTITY"}:
        return _number_changes(texts, plan)
    by_fold: dict[str, str] = {}
    for form in plan.forms:
        by_fold.setdefault(form.lower(), form)
    ordered = sorted(plan.forms, key=lambda f: (-len(f), f))
    pattern = re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, ordered)) + r")(?!\w)", re.I)
    keys = [fold(f) for f in ordered]
    changes: list[Change] = []
    for path, text in texts.items():
        if not any(k in folded[path] for k in keys):
            continue
        for match in pattern.finditer(text):
            written = match.group()
            old = by_fold.get(written.lower())
            new = _like(written, old, plan.forms[old]) if old else None
            if new is None:
                raise Refusal("H10", f"letter case of {written!r} follows no rule")
            if (
                written.islower()
                and old != written
                and old is not None
                and plan.type != "COUNTRY"
                and (old.lower() in lexicon.wordy or old.lower() in lexicon.common)
            ):
                raise Refusal("H1", f"{written!r} may be a word and not the name")
            changes.append((path, match.start(), match.end(), written, new))
    _check_bijection(changes)
    return changes


def _check_bijection(changes: Sequence[Change]) -> None:
    forth: dict[str, str] = {}
    back: dict[str, str] = {}
    for _, _, _, old, new in changes:
        if forth.setdefault(old, new) != new or back.setdefault(new, old) != old:
            raise Refusal("H4", f"{old!r} and {back.get(new, new)!r} would both become {new!r}")


def _date_changes(texts: Mapping[str, str], plan: Substitution) -> list[Change]:
    old = date_mentions(plan.original)[0]
    year, month, day = (int(p) if p else 0 for p in plan.substitute.split("-"))
    changes: list[Change] = []
    for path, text in texts.items():
        for found in date_mentions(text):
            if not found.matches(old):
                continue
            if (found.year, found.day) != (old.year, old.day) and (
                old.day is None or found.day is None
            ):
                raise Refusal("H4", f"{found.text!r} may or may not be {old.text!r}")
            new = found.rewritten(year or found.year or 0, month, day or found.day or 0)
            changes.append((path, found.start, found.end, found.text, new))
    return changes


def _number_changes(texts: Mapping[str, str], plan: Substitution) -> list[Change]:
    old = next(number_mentions(plan.original))
    new_value = float(plan.substitute)
    changes: list[Change] = []
    for path, text in texts.items():
        for found in number_mentions(text):
            if found.value != old.value:
                continue
            if found.kind != old.kind and found.kind != "NUMBER":
                raise Refusal("H13", f"{found.text!r} is a {found.kind} elsewhere")
            if found.scale != old.scale:
                raise Refusal("H13", f"{found.text!r} has another scale elsewhere")
            new = found.rewritten(new_value)
            if float(new.replace(",", "")) != new_value:
                raise Refusal("H13", f"{found.text!r} cannot hold {new_value:g}")
            changes.append((path, found.start, found.end, found.text, new))
    return changes
