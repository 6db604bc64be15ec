"""Labels of other recognisers, read as our types.

A model's label alone says too little for a substitution: whether a place is a
city or a country, and which, comes from the lexicon; dates and amounts must be
readable as values. What cannot be read so is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..lexicon.name_words import TITLES
from ..lexicon.tables import Lexicon
from .names import person_detail
from .spans import Span
from .values import value_spans

__all__ = ["LABELS", "labelled_spans"]

#: Label (of spaCy's models or of a GLiNER prompt), lower-case -> kind.
LABELS = {
    "person": "PERSON", "per": "PERSON", "gpe": "PLACE", "loc": "PLACE", "city": "PLACE",
    "country": "PLACE", "location": "PLACE", "norp": "PLACE", "nationality": "PLACE",
    "date": "DATE", "money": "MONEY", "cardinal": "NUMBER", "quantity": "QUANTITY",
}  # fmt: skip


def labelled_spans(
    path: str, text: str, found: Iterator[tuple[int, int, str]], lexicon: Lexicon
) -> Iterator[Span]:
    """Typed spans from (start, end, label), in their order."""
    values: list[Span] | None = None
    for start, end, label in found:
        kind = LABELS.get(label.lower(), "")
        start, end = _trim(text, start, end)
        if not kind or start >= end:
            continue
        if kind == "PERSON":
            yield from _person(path, text, start, end, lexicon)
        elif kind == "PLACE":
            yield from _place(path, text, start, end, lexicon)
        else:
            if values is None:
                values = list(value_spans(path, text))
            yield from (
                v
                for v in values
                if v.start >= start
                and v.end <= end + 1
                and (v.type == kind or (kind == "DATE" and v.type == "YEAR"))
            )


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Without quotes, spaces, a leading article and a possessive s."""
    while start < end and not text[start].isalnum() and text[start] not in "$€£¥₹":
        start += 1
    while end > start and not text[end - 1].isalnum() and text[end - 1] != ".":
        end -= 1
    if text[start:end].endswith(("'s", "’s")):
        end -= 2
    if text[start : start + 4].lower() == "the ":
        start += 4
    return start, end


def _person(path: str, text: str, start: int, end: int, lexicon: Lexicon) -> Iterator[Span]:
    words = text[start:end].split(" ")
    title = ""
    while len(words) > 1 and words[0].lower().rstrip(".") in TITLES:
        title = words.pop(0).lower().rstrip(".")
    name = " ".join(words)
    start = end - len(name)
    if not name[:1].isupper() or text[start:end] != name or len(words) > 4:
        return
    detail = person_detail(words, lexicon, title)
    if detail is None:
        gender = TITLES.get(title, "") or lexicon.gender.get(words[0].lower(), "")
        shape = "full" if len(words) > 1 else "given" if gender and not title else "family"
        detail = f"{shape}:{gender}"
    yield Span(path, start, end, "PERSON", name, detail)


def _place(path: str, text: str, start: int, end: int, lexicon: Lexicon) -> Iterator[Span]:
    name = text[start:end]
    key = name.lower()
    for shape, table in (
        ("name", lexicon.country_names),
        ("adjective", lexicon.adjectives),
        ("plural", lexicon.plurals),
    ):
        if key in table and name[:1].isupper():
            yield Span(path, start, end, "COUNTRY", name, f"{shape}:{table[key]}")
            return
    if groups := lexicon.groups(key):
        yield Span(path, start, end, "CITY", name, "|".join(groups))
