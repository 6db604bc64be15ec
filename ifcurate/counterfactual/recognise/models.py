"""spaCy and GLiNER as recognisers: `spacy:en_core_web_trf`, `gliner:urchade/gliner_medium-v2.1`.

They need the extras `spacy` and `gliner`. A model only proposes spans; the verifier judges them
like all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

from ifcurate.errors import ModelError
from ifcurate.phrases import install_line

from ..lexicon.tables import load_lexicon
from .labelled import labelled_spans
from .spans import Span

_LABELS = [
    "person", "organization", "city", "country", "nationality", "location", "facility",
    "work of art", "event", "product", "date", "money", "quantity", "number",
]  # fmt: skip
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
            for span in labelled_spans(path, text, own, load_lexicon())
            if span.type in self._types
        ]


def spacy_recogniser(pipeline: Any, name: str, types: Sequence[str]) -> ModelRecogniser:
    """The recogniser of a spaCy pipeline, which gets all texts of a row as one batch."""

    def label(texts: list[str]) -> Iterator[Labels]:
        for doc in pipeline.pipe(texts):
            yield [(e.start_char, e.end_char, e.label_) for e in doc.ents]

    return ModelRecogniser(f"spacy:{name}", types, label)


def gliner_recogniser(model: Any, name: str, types: Sequence[str]) -> ModelRecogniser:
    """The recogniser of a GLiNER model, which gets long texts in pieces cut at white space."""

    def label(texts: list[str]) -> Iterator[Labels]:
        for text in texts:
            yield [
                (start + e["start"], start + e["end"], e["label"])
                for start, end in _windows(text)
                for e in sorted(
                    model.predict_entities(text[start:end], _LABELS, threshold=0.5),
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
    """The recogniser of an installed spaCy pipeline; nothing is downloaded.

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
    """The recogniser of a GLiNER model by its Hub name or folder.

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
