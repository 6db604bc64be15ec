"""Recognisers by name: `lexicon`, `spacy:NAME`, `gliner:NAME`, `openai:URL`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ifcurate.options.augment import AugmentOptions

from .recognise.names import LexiconRecogniser
from .recognise.spans import Recogniser


def load_recogniser(options: AugmentOptions, types: Sequence[str], cache: Path) -> Recogniser:
    """Return the recogniser of the options.

    `cache` is the file of cached answers of `openai:URL`. Raises `ModelError` if a package or a
    model is missing or the server does not answer.
    """
    kind, _, rest = options.recogniser.partition(":")
    if kind in ("spacy", "gliner"):
        from .recognise.labelled import load_gliner, load_spacy

        return (load_spacy if kind == "spacy" else load_gliner)(rest, types)
    if kind == "openai":
        from .planner import OpenAIPlanner, PlanCache

        return OpenAIPlanner(
            rest, model=options.recogniser_model, types=types, cache=PlanCache(cache)
        )
    return LexiconRecogniser(types)
