"""The bundled model `pocket`, the small world it knows, and the demo data.

`model_path()` is a folder that transformers loads like any other; `demo_path()`
holds the three files of demo rows. Both are part of the package.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def model_path() -> Path:
    """Return the folder with the pocket model's config, weights and tokenizer."""
    return Path(str(files(__name__) / "model"))


def demo_path() -> Path:
    """Return the folder with alpaca.jsonl, prompts.jsonl and chats.jsonl."""
    return Path(str(files(__name__) / "demo"))
