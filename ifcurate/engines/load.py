"""Load an engine, or only its tokenizer, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from ifcurate.engines.base import Engine, Tokenizer
from ifcurate.engines.toy import ToyTokenizer
from ifcurate.errors import ModelError
from ifcurate.models import resolve_model
from ifcurate.options.score import LoadOptions
from ifcurate.phrases import check_type, did_you_mean

#: Engine -> the function that loads it. Its module is imported when the engine is loaded.
ENGINES: Final = {
    "hf": "ifcurate.engines.hf.engine:load_hf_engine",
    "vllm": "ifcurate.engines.vllm.engine:load_vllm_engine",
    "server": "ifcurate.engines.server.engine:load_server_engine",
    "toy": "ifcurate.engines.toy:load_toy_engine",
}
#: The function that wraps a loaded model.
_WRAP: Final = "ifcurate.engines.hf.engine:wrap_model"


def load_engine(
    engine: str = "hf", *, model: Any = "", tokenizer: Any = None, **options: Any
) -> Engine:
    """Return an engine by name, with its model loaded.

    Args:
        engine: "hf" (transformers and torch), "vllm", "server" (an OpenAI-compatible
            completions endpoint), or "toy" (no model, for dry runs).
        model: a short name (`ifcurate models`), a Hub id or a local folder. "toy" needs none;
            "server" can ask the server. "hf" also takes a loaded model of transformers.
        tokenizer: the tokenizer of a loaded model; for "server", the name of one.
        options: those of `LoadOptions` that the engine has (`ENGINE_OPTIONS`).

    Raises:
        TypeError: an option that the engine does not have.
        OptionError: an option has a wrong value.
        ModelError: unknown engine, or the model cannot be found, loaded or used.
    """
    check_type("engine", engine, str, f"give the name of one: {', '.join(ENGINES)}")
    if engine not in ENGINES:
        raise ModelError(
            f"engine {engine!r}: unknown; known are {', '.join(ENGINES)}; "
            f"a model is named by model={engine!r}"
        )
    if not isinstance(model, str | Path):
        if engine != "hf":
            raise ModelError(
                f"engine {engine!r}: takes the name of a model; use hf for a loaded model"
            )
        wrap = _find(_WRAP)
        _refuse_unknown(wrap, options, "a loaded model")
        wrapped: Engine = wrap(model, tokenizer, **options)
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
    load = _find(ENGINES[engine])
    _refuse_unknown(load, options, f"engine {engine!r}")
    loaded: Engine = load(model=name, **options)
    return loaded


def _refuse_unknown(load: Callable[..., Any], options: Mapping[str, Any], where: str) -> None:
    """Raise `TypeError` for an option that the function does not take."""
    known = [name for name in inspect.signature(load).parameters if name != "model"]
    for name in options.keys() - set(known):
        raise TypeError(
            f"load_engine: {where} has no option {name!r}; its options are "
            f"{', '.join(known) or 'none'}{did_you_mean(name, known)}"
        )


def load_tokenizer(engine: str, *, model: str, revision: str | None = None) -> Tokenizer:
    """Return the tokenizer that an engine uses for a model, without its weights.

    Raises `ModelError` when the model's files are not found.
    """
    if engine == "toy":
        return ToyTokenizer()
    from ifcurate.engines.hf.tokenizer import load_model_tokenizer

    return load_model_tokenizer(model, LoadOptions(revision=revision))


def _find(place: str) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function
