"""Load an engine, or only its tokenizer, by name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from ifcurate.engines.base import Engine, Tokenizer
from ifcurate.errors import ModelError
from ifcurate.models import resolve_model
from ifcurate.options.score import ENGINE_OPTIONS

__all__ = ["ENGINES", "ENGINE_OPTIONS", "load_engine", "load_tokenizer"]

#: Engine -> the function that loads it. Its module is imported when the engine is loaded.
ENGINES: Final = {
    "hf": "ifcurate.engines.hf.engine:load_hf_engine",
    "vllm": "ifcurate.engines.vllm.engine:load_vllm_engine",
    "server": "ifcurate.engines.server.engine:load_server_engine",
    "toy": "ifcurate.engines.toy:load_toy_engine",
}
#: Engine -> the function that loads only its tokenizer. vllm and server use that of hf.
_TOKENIZERS: Final = {
    "toy": "ifcurate.engines.toy:load_toy_tokenizer",
    "hf": "ifcurate.engines.hf.tokenizer:load_model_tokenizer",
}
#: The function that wraps a loaded model.
_WRAP: Final = "ifcurate.engines.hf.wrapped:wrap_model"


def load_engine(
    engine: str = "hf", *, model: Any = "", tokenizer: Any = None, **options: Any
) -> Engine:
    """An engine by name, with its model loaded.

    Args:
        engine: "hf" (transformers and torch), "vllm", "server" (an OpenAI-compatible
            completions endpoint), or "toy" (no model, for dry runs).
        model: a short name (`ifcurate models`), a Hub id or a local folder. "toy" needs none;
            "server" can ask the server. "hf" also takes a loaded model of transformers.
        tokenizer: the tokenizer of a loaded model; for "server", the name of one.
        options: those of `load_hf_engine`, `load_vllm_engine` or `load_server_engine`.

    Raises:
        ModelError: unknown engine, or the model cannot be found, loaded or used.
    """
    if engine not in ENGINES:
        raise ModelError(f"engine {engine!r}: unknown; known are {', '.join(ENGINES)}")
    if not isinstance(model, str | Path):
        if engine != "hf":
            raise ModelError(
                f"engine {engine!r}: takes the name of a model; use hf for a loaded model"
            )
        wrapped: Engine = _find(_WRAP)(model, tokenizer, **options)
        return wrapped
    name = str(model)
    if tokenizer is not None:
        options["tokenizer"] = tokenizer
    if engine == "server" and not options.get("base_url"):
        raise ModelError(
            "engine 'server': needs the address of a running server; "
            "give base_url, such as http://127.0.0.1:8000/v1"
        )
    if engine in ("hf", "vllm"):
        if not name:
            raise ModelError(
                "no model was given; name one: --model smollm2-135m, a Hub id, a folder, or pocket"
            )
        name = resolve_model(name)
    loaded: Engine = _find(ENGINES[engine])(model=name, **options)
    return loaded


def load_tokenizer(engine: str, *, model: str, revision: str | None = None) -> Tokenizer:
    """The tokenizer that an engine uses for a model, without its weights.

    Raises `ModelError` when the model's files are not found.
    """
    place = _TOKENIZERS["toy" if engine == "toy" else "hf"]
    tokenizer: Tokenizer = _find(place)(model, revision=revision)
    return tokenizer


def _find(place: str) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function
