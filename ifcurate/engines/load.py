"""Engines: where log-probabilities come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from ifcurate.engines.base import Engine
from ifcurate.errors import ModelError
from ifcurate.options.score import ENGINE_OPTIONS

__all__ = ["ENGINES", "ENGINE_OPTIONS", "load_engine"]

ENGINES: Final = ("hf", "vllm", "server", "toy")


def load_engine(
    engine: str = "hf", *, model: Any = "", tokenizer: Any = None, **options: Any
) -> Engine:
    """An engine by name, with its model loaded.

    Args:
        engine: "hf" (transformers and torch), "vllm", "server" (an OpenAI-compatible
            completions endpoint), or "toy" (no model, for dry runs).
        model: a short name (`ifcurate models`), a Hub id or a local folder; "toy" needs
            none, "server" asks the server. For "hf" also a loaded model of transformers.
        tokenizer: the tokenizer of a loaded model; for "server", the name of one.
        options: those of `load_hf_engine`, `load_vllm_engine` or `load_server_engine`.

    Raises:
        ModelError: unknown engine, or the model cannot be found, loaded or used.
    """
    if not isinstance(model, str | Path):
        if engine != "hf":
            raise ModelError(f"engine {engine!r}: takes the name of a model; a loaded one needs hf")
        from ifcurate.engines.hf.wrapped import wrap_model

        return wrap_model(model, tokenizer, **options)
    model = str(model)
    if tokenizer is not None:
        options["tokenizer"] = tokenizer
    if engine == "toy":
        from ifcurate.engines.toy import ToyEngine

        return ToyEngine()
    if engine == "server":
        if not options.get("base_url"):
            raise ModelError(
                "engine 'server': needs the address of one that runs; "
                "give base_url, such as http://127.0.0.1:8000/v1"
            )
        from ifcurate.engines.server.engine import load_server_engine

        return load_server_engine(model=model, **options)  # a name of the server's own
    if engine in ("hf", "vllm"):
        if not model:
            raise ModelError(
                "no model was given; name one: --model llama-2-7b, a Hub id, a folder, or pocket"
            )
        from ifcurate.models import resolve_model

        if engine == "vllm":
            from ifcurate.engines.vllm.engine import load_vllm_engine

            return load_vllm_engine(resolve_model(model), **options)
        from ifcurate.engines.hf.engine import load_hf_engine

        return load_hf_engine(resolve_model(model), **options)
    raise ModelError(f"engine {engine!r}: unknown; known are {', '.join(ENGINES)}")
