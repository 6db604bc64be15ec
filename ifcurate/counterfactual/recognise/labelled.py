"""Labels of other recognisers, converted to typed spans.

For some types a label is not enough. The lexicon decides whether a place is a city or a
country, and which one. Dates and amounts must be readable as values. Other labels are dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ..lexicon.tables import Lexicon
from ..lexicon.wording import TITLES, fold, word_keys
from .people import PersonName, person_name
from .spans import VALUES, Shape, Span
from .values import NUMBER_WORDS, value_spans

#: Label (of spaCy's models or of a GLiNER prompt), lower case -> kind.
LABELS = word_keys("labels")


def labelled_spans(
    path: str, text: str, labels: Iterable[tuple[int, int, str]], lexicon: Lexicon
) -> Iterator[Span]:
    """Typed spans from (start, end, label), in the same order."""
    values: list[Span] | None = None
    for start, end, label in labels:
        kind = LABELS.get(label.lower().replace(" ", "_"), "")
        start, end = _trim(text, start, end)
        if not kind or start >= end:
            continue
        if kind in VALUES:
            values = list(value_spans(path, text)) if values is None else values
            yield from (v for v in values if _is_labelled(kind, v, start, end))
        else:
            yield from _named(kind, path, text, start, end, lexicon)


def _named(
    kind: str, path: str, text: str, start: int, end: int, lexicon: Lexicon
) -> Iterator[Span]:
    """The span of a labelled name, if it can be read as one."""
    if kind == "PERSON":
        yield from _person(path, text, start, end, lexicon)
    elif kind == "PLACE":
        yield from _place(path, text, start, end, lexicon)
    elif text[start].isupper() or text[start].isdigit():
        yield Span(path, start, end, kind, text[start:end])


def _is_labelled(kind: str, value: Span, start: int, end: int) -> bool:
    """Whether a value is inside the label and of its kind; a count may include its noun."""
    inside = start <= value.start and value.end <= end + 1
    return inside and (value.type == kind or (kind == "DATE" and value.type == "YEAR"))


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    """The place without quotes, spaces, a leading article and a possessive s."""
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
    shape, gender = person_name(words, lexicon, title) or _unlisted(words, title, lexicon)
    yield Span(path, start, end, "PERSON", name, shape=shape, gender=gender)


def _unlisted(words: Sequence[str], title: str, lexicon: Lexicon) -> PersonName:
    """Shape and gender of a labelled name that is not in the lists."""
    gender = TITLES.get(title, "") or lexicon.gender.get(fold(words[0]), "")
    alone: Shape = "given" if gender and not title else "family"
    return ("full" if len(words) > 1 else alone), gender


def _place(path: str, text: str, start: int, end: int, lexicon: Lexicon) -> Iterator[Span]:
    name = text[start:end]
    shape, code = lexicon.country(name)
    place = lexicon.class_of.get(fold(name), "")
    if code and name[:1].isupper():
        yield Span(path, start, end, "COUNTRY", name, shape=shape, code=code)
    elif groups := lexicon.groups(name):
        yield Span(path, start, end, "CITY", name, groups=groups)
    elif place:
        yield Span(path, start, end, "LOC", name, code=place)


def span_of(kind: str, text: str, lexicon: Lexicon) -> Span:
    """A span of a given type over a whole text, with its details from lexicon and form."""
    plain = Span("", 0, len(text), kind, text)
    if text.lower() in NUMBER_WORDS:  # alone it lacks the noun that `number_mentions` needs
        return replace(plain, value=str(NUMBER_WORDS.index(text.lower())))
    label = "PLACE" if kind in {"CITY", "COUNTRY", "LOC"} else kind
    named = _named(label, "", text, 0, len(text), lexicon)
    spans = value_spans("", text) if kind in VALUES else named
    return next((s for s in spans if s.type == kind and s.text == text), plain)
