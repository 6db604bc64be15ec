"""GLiNER as the recogniser: ``--recogniser gliner:urchade/gliner_medium-v2.1``.

Needs the extra ``gliner``. A model sees some hundreds of words at a time, so
longer texts are cut at white space; offsets are those of the whole text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

from ifcurate.errors import ModelError
from ifcurate.phrases import install_line

from ..lexicon.tables import load_lexicon
from .labelled import labelled_spans
from .spans import Span

__all__ = ["GlinerRecogniser", "load_gliner"]

_LABELS = [
    "person", "organization", "city", "country", "nationality", "location", "facility",
    "work of art", "event", "product", "date", "money", "quantity", "number",
]  # fmt: skip
_WINDOW = 1400  # characters, about 280 words


class GlinerRecogniser:
    """Proposes what a GLiNER model predicts for our labels."""

    def __init__(self, model: Any, name: str, types: Sequence[str], threshold: float = 0.5):
        self._model = model
        self._name = f"gliner:{name}"
        self._types = frozenset(types)
        self._threshold = threshold
        self._lexicon = load_lexicon()

    @property
    def name(self) -> str:
        """The model's name."""
        return self._name

    def spans(self, texts: Mapping[str, str]) -> list[Span]:
        """Typed spans of all texts, in their order."""
        found: list[Span] = []
        for path, text in texts.items():
            spans = labelled_spans(path, text, self._predicted(text), self._lexicon)
            found.extend(s for s in spans if s.type in self._types)
        return found

    def _predicted(self, text: str) -> Iterator[tuple[int, int, str]]:
        for start, end in _windows(text):
            entities = self._model.predict_entities(
                text[start:end], _LABELS, threshold=self._threshold
            )
            for entity in sorted(entities, key=lambda e: int(e["start"])):
                a, b = start + int(entity["start"]), start + int(entity["end"])
                yield a, b, str(entity["label"])


def _windows(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(text):
        end = min(len(text), start + _WINDOW)
        if end < len(text):
            cut = max(text.rfind(mark, start + _WINDOW // 2, end) for mark in ("\n", ". ", " "))
            end = cut + 1 if cut > start else end
        yield start, end
        start = end


def load_gliner(name: str, types: Sequence[str]) -> GlinerRecogniser:
    """The recogniser for a GLiNER model by its Hub name or folder.

    Raises `ModelError` when the package is not installed or the model not found.
    """
    try:
        gliner = import_module("gliner")
    except ImportError as error:
        raise ModelError(
            f"gliner:{name}: GLiNER is not installed; {install_line('gliner')}"
        ) from error
    try:
        model = gliner.GLiNER.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ModelError(f"gliner:{name}: the model cannot be loaded; {error}") from error
    return GlinerRecogniser(model, name, types)
