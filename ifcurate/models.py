"""Short names of models, and their Hub ids."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ifcurate.phrases import did_you_mean
from ifcurate.pocket import model_path


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A model with a short name."""

    name: str
    hub_id: str  # "" for the bundled one
    parameters: str  # roughly, as its authors state it
    note: str = ""


_GATED: Final = "gated"

MODELS: Final = (
    NamedModel("pocket", "", "under 2M", "bundled, for demos and tests"),
    NamedModel("llama-2-7b", "meta-llama/Llama-2-7b-hf", "7B", _GATED),
    NamedModel("llama-2-13b", "meta-llama/Llama-2-13b-hf", "13B", _GATED),
    NamedModel("llama-3.1-8b", "meta-llama/Llama-3.1-8B", "8B", _GATED),
    NamedModel("llama-3.2-1b", "meta-llama/Llama-3.2-1B", "1B", _GATED),
    NamedModel("llama-3.2-3b", "meta-llama/Llama-3.2-3B", "3B", _GATED),
    NamedModel("mistral-7b", "mistralai/Mistral-7B-v0.1", "7B"),
    NamedModel("mistral-7b-v0.3", "mistralai/Mistral-7B-v0.3", "7B"),
    NamedModel("pythia-160m", "EleutherAI/pythia-160m", "160M"),
    NamedModel("pythia-1.4b", "EleutherAI/pythia-1.4b", "1.4B"),
    NamedModel("pythia-6.9b", "EleutherAI/pythia-6.9b", "6.9B"),
    NamedModel("qwen2.5-0.5b", "Qwen/Qwen2.5-0.5B", "0.5B"),
    NamedModel("qwen2.5-1.5b", "Qwen/Qwen2.5-1.5B", "1.5B"),
    NamedModel("qwen2.5-7b", "Qwen/Qwen2.5-7B", "7B"),
    NamedModel("qwen3-0.6b", "Qwen/Qwen3-0.6B-Base", "0.6B"),
    NamedModel("qwen3-8b", "Qwen/Qwen3-8B-Base", "8B"),
    NamedModel("gemma-2-2b", "google/gemma-2-2b", "2B", _GATED),
    NamedModel("smollm2-135m", "HuggingFaceTB/SmolLM2-135M", "135M"),
    NamedModel("smollm2-360m", "HuggingFaceTB/SmolLM2-360M", "360M"),
    NamedModel("smollm2-1.7b", "HuggingFaceTB/SmolLM2-1.7B", "1.7B"),
    NamedModel("gpt2", "openai-community/gpt2", "124M"),
)


def resolve_model(name: str) -> str:
    """Return the Hub id of a short name.

    Any other name (a Hub id, a folder, `pocket`) unchanged.
    """
    known = {model.name: model.hub_id for model in MODELS if model.hub_id}
    return known.get(name.lower(), name)


def local_model(name: str) -> Path:
    """Return the folder or file that a name says, if it is one; the bundled model for `pocket`."""
    return model_path() if name == "pocket" else Path(name).expanduser()


def model_folder(engine: Mapping[str, Any], command: str) -> str:
    """Return the folder of a local model, as the command line that scored with it names it.

    `engine` is the engine's identity. Returns "" for a model that is not local, and where the
    command line names no folder of that name.
    """
    words: list[str] = []
    with contextlib.suppress(ValueError):
        words = shlex.split(command)
    for text in (part for word in words for part in (word, word.partition("=")[2]) if part):
        folder = Path(text).expanduser()
        with contextlib.suppress(OSError):
            if (folder / "config.json").is_file() and folder.resolve().name == engine["model"]:
                return text
    return ""


def nearest_model(name: str) -> str:
    """Return the end of a message that suggests a similar short name, Hub id or model folder."""
    known = [text for model in MODELS for text in (model.name, model.hub_id) if text]
    parent = Path(name).expanduser().parent
    with contextlib.suppress(OSError):
        known += [str(path.parent) for path in parent.glob("*/config.json")]
    return did_you_mean(name, known)
