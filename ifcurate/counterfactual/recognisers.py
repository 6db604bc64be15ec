"""Recognisers by name: `lexicon`, `spacy:NAME`, `gliner:NAME`, `openai:URL`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ifcurate.errors import DataError

from .recognise.names import LexiconRecogniser
from .recognise.spans import DEFAULT_TYPES, Recogniser


def load_recogniser(
    name: str = "lexicon",
    *,
    types: Sequence[str] = DEFAULT_TYPES,
    model: str = "",
    cache: Path | None = None,
) -> Recogniser:
    """Return the recogniser with this name.

    `model` and `cache` are for `openai:`: the name of the model on the server, and the file of
    cached answers. Raises `DataError` for an unknown name, and `ModelError` if a package or a
    model is missing or the server does not answer.
    """
    kind, _, rest = name.partition(":")
    if name == "lexicon":
        return LexiconRecogniser(types)
    if kind in {"spacy", "gliner"} and rest:
        from .recognise.labelled import load_gliner, load_spacy

        return (load_spacy if kind == "spacy" else load_gliner)(rest, types)
    if kind == "openai" and rest:
        from .planner import OpenAIPlanner, PlanCache

        return OpenAIPlanner(rest, model=model, types=types, cache=PlanCache(cache))
    raise DataError(
        f"recogniser {name!r}: unknown; known are lexicon, spacy:NAME, gliner:NAME, openai:URL"
    )
