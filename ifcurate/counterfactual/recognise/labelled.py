"""spaCy and GLiNER as recognisers: `spacy:en_core_web_trf`, `gliner:urchade/gliner_medium-v2.1`.

They need the extras `spacy` and `gliner`. Their labels are converted to typed spans. For some
types a label is not enough: the lexicon decides whether a place is a city or a country, and
dates and amounts must be readable as values. Other labels are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

from ifcurate.errors import ModelError
from ifcurate.phrases import install_line

from ..lexicon.tables import LEXICON
from ..lexicon.wording import TITLES, fold, word_keys, word_list
from .people import person_name, unlisted_name
from .spans import VALUES, Span
from .values import NUMBER_WORDS, value_spans

#: Label (of spaCy's models or of a GLiNER prompt), lower case -> kind.
LABELS = word_keys("labels")


def labelled_spans(path: str, text: str, labels: Iterable[tuple[int, int, str]]) -> Iterator[Span]:
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
            yield from _named(kind, path, text, start, end)


def _named(kind: str, path: str, text: str, start: int, end: int) -> Iterator[Span]:
    """Yield the span of a labelled name, if it can be read as one."""
    if kind == "PERSON":
        yield from _person(path, text, start, end)
    elif kind == "PLACE":
        yield from _place(path, text, start, end)
    elif text[start].isupper() or text[start].isdigit():
        yield Span(path, start, end, kind, text[start:end])


def _is_labelled(kind: str, value: Span, start: int, end: int) -> bool:
    """Return whether a value is inside the label and of its kind; a count may include its noun."""
    inside = start <= value.start and value.end <= end + 1
    return inside and (value.type == kind or (kind == "DATE" and value.type == "YEAR"))


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the place without quotes, spaces, a leading article and a possessive s."""
    while start < end and not text[start].isalnum() and text[start] not in "$€£¥₹":
        start += 1
    while end > start and not text[end - 1].isalnum() and text[end - 1] != ".":
        end -= 1
    if text[start:end].endswith(("'s", "’s")):
        end -= 2
    if text[start : start + 4].lower() == "the ":
        start += 4
    return start, end


def _person(path: str, text: str, start: int, end: int) -> Iterator[Span]:
    words = text[start:end].split(" ")
    title = ""
    while len(words) > 1 and words[0].lower().rstrip(".") in TITLES:
        title = words.pop(0).lower().rstrip(".")
    name = " ".join(words)
    start = end - len(name)
    if not name[:1].isupper() or text[start:end] != name or len(words) > 4:
        return
    shape, gender = person_name(words, title) or unlisted_name(words, title)
    yield Span(path, start, end, "PERSON", name, shape=shape, gender=gender)


def _place(path: str, text: str, start: int, end: int) -> Iterator[Span]:
    name = text[start:end]
    shape, code = LEXICON.country(name)
    place = LEXICON.class_of.get(fold(name), "")
    if code and name[:1].isupper():
        yield Span(path, start, end, "COUNTRY", name, shape=shape, code=code)
    elif groups := LEXICON.groups(name):
        yield Span(path, start, end, "CITY", name, groups=groups)
    elif place:
        yield Span(path, start, end, "LOC", name, code=place)


def span_of(kind: str, text: str) -> Span:
    """Return a span of a given type over a whole text, with its details from lexicon and form."""
    plain = Span("", 0, len(text), kind, text)
    if text.lower() in NUMBER_WORDS:  # alone it lacks the noun that `number_mentions` needs
        return replace(plain, value=str(NUMBER_WORDS.index(text.lower())))
    label = "PLACE" if kind in {"CITY", "COUNTRY", "LOC"} else kind
    named = _named(label, "", text, 0, len(text))
    spans = value_spans("", text) if kind in VALUES else named
    return next((s for s in spans if s.type == kind and s.text == text), plain)


#: The labels that GLiNER is asked for.
_ASKED = [label.replace("_", " ") for label in word_list("asked_labels")]
_WINDOW = 1400  # most characters of one call of GLiNER, about 280 words

Labels = Iterable[tuple[int, int, str]]  # start, end, label


class ModelRecogniser:
    """Proposes what a model labels; `label` yields the labels of each text."""

    def __init__(
        self, name: str, types: Sequence[str], label: Callable[[list[str]], Iterable[Labels]]
    ):
        self.name = name
        self._types = frozenset(types)
        self._label = label

    def spans(self, texts: Mapping[str, str]) -> list[Span]:
        """Typed spans of all texts, in their order."""
        labels = self._label(list(texts.values()))
        return [
            span
            for (path, text), own in zip(texts.items(), labels, strict=True)
            for span in labelled_spans(path, text, own)
            if span.type in self._types
        ]


def spacy_recogniser(pipeline: Any, name: str, types: Sequence[str]) -> ModelRecogniser:
    """Return the recogniser of a spaCy pipeline, which gets all texts of a row as one batch."""

    def label(texts: list[str]) -> Iterator[Labels]:
        for doc in pipeline.pipe(texts):
            yield [(e.start_char, e.end_char, e.label_) for e in doc.ents]

    return ModelRecogniser(f"spacy:{name}", types, label)


def gliner_recogniser(model: Any, name: str, types: Sequence[str]) -> ModelRecogniser:
    """Return the recogniser of a GLiNER model; long texts are cut at white space."""

    def label(texts: list[str]) -> Iterator[Labels]:
        for text in texts:
            yield [
                (start + e["start"], start + e["end"], e["label"])
                for start, end in _windows(text)
                for e in sorted(
                    model.predict_entities(text[start:end], _ASKED, threshold=0.5),
                    key=lambda e: int(e["start"]),
                )
            ]

    return ModelRecogniser(f"gliner:{name}", types, label)


def _windows(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(text):
        end = min(len(text), start + _WINDOW)
        if end < len(text):
            cut = max(text.rfind(mark, start + _WINDOW // 2, end) for mark in ("\n", ". ", " "))
            end = cut + 1 if cut > start else end
        yield start, end
        start = end


def load_spacy(name: str, types: Sequence[str]) -> ModelRecogniser:
    """Return the recogniser of an installed spaCy pipeline; nothing is downloaded.

    Raises `ModelError` if spaCy or the pipeline is not installed.
    """
    spacy = _import("spacy", name)
    try:
        pipeline = spacy.load(name)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"spacy:{name}: no such pipeline is installed; {str(error).splitlines()[0]}; "
            f"python -m spacy download {name}"
        ) from error
    return spacy_recogniser(pipeline, f"{name}@{pipeline.meta.get('version', '')}", types)


def load_gliner(name: str, types: Sequence[str]) -> ModelRecogniser:
    """Return the recogniser of a GLiNER model by its Hub name or folder.

    Raises `ModelError` if the package is not installed or the model is not found.
    """
    gliner = _import("gliner", name)
    try:
        model = gliner.GLiNER.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ModelError(f"gliner:{name}: the model cannot be loaded; {error}") from error
    return gliner_recogniser(model, name, types)


def _import(package: str, name: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        advice = install_line(package)
        raise ModelError(f"{package}:{name}: {package} is not installed; {advice}") from error
