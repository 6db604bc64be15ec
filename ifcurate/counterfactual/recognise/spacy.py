"""spaCy as the recogniser: ``--recogniser spacy:en_core_web_trf``.

Needs the extra ``spacy`` and a pipeline that is installed; nothing is
downloaded. The pipeline only proposes: its spans pass the same verifier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from ifcurate.errors import ModelError
from ifcurate.phrases import install_line

from ..lexicon.tables import load_lexicon
from .labelled import labelled_spans
from .spans import Span

__all__ = ["SpacyRecogniser", "load_spacy"]


class SpacyRecogniser:
    """Proposes what a spaCy pipeline's entity recogniser finds."""

    def __init__(self, pipeline: Any, name: str, types: Sequence[str]):
        self._pipeline = pipeline
        self._name = f"spacy:{name}"
        self._types = frozenset(types)
        self._lexicon = load_lexicon()

    @property
    def name(self) -> str:
        """The pipeline's name and version."""
        return self._name

    def spans(self, texts: Mapping[str, str]) -> list[Span]:
        """Typed spans of all texts; all texts go through the pipeline in one batch."""
        paths = list(texts)
        found: list[Span] = []
        for path, doc in zip(paths, self._pipeline.pipe([texts[p] for p in paths]), strict=True):
            entities = ((e.start_char, e.end_char, e.label_) for e in doc.ents)
            spans = labelled_spans(path, texts[path], entities, self._lexicon)
            found.extend(s for s in spans if s.type in self._types)
        return found


def load_spacy(name: str, types: Sequence[str]) -> SpacyRecogniser:
    """The recogniser for an installed pipeline.

    Raises `ModelError` when spaCy or the pipeline is not installed.
    """
    try:
        spacy = import_module("spacy")
    except ImportError as error:
        raise ModelError(
            f"spacy:{name}: spaCy is not installed; {install_line('spacy')}"
        ) from error
    try:
        pipeline = spacy.load(name)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"spacy:{name}: no such pipeline is installed; {str(error).splitlines()[0]}; "
            f"python -m spacy download {name}"
        ) from error
    version = pipeline.meta.get("version", "")
    return SpacyRecogniser(pipeline, f"{name}@{version}", types)
