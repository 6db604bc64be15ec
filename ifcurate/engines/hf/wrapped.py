"""An engine around a model that is already in memory, as in a notebook or a trainer."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from ifcurate.engines.hf.engine import HFEngine
from ifcurate.engines.hf.source import ModelSource
from ifcurate.engines.hf.tokenizer import HFTokenizer
from ifcurate.errors import ModelError
from ifcurate.options.base import takes_options
from ifcurate.options.score import LoadOptions


@takes_options(LoadOptions, ("batch_size", "max_length", "threads"))
def wrap_model(model: Any, tokenizer: Any, *, options: LoadOptions) -> HFEngine:
    """Score with a causal language model of transformers that is loaded.

    The model keeps its dtype and device. It must be in evaluation mode. Its identity is a
    hash of its config and weights, so scores of different weights are never mixed.

    Raises:
        TypeError: there is no tokenizer, or `model` is not a model of transformers.
        ModelError: the model is in training mode, or cannot be used for scoring.
    """
    if not isinstance(model, torch.nn.Module) or not hasattr(model, "config"):
        raise TypeError(
            f"model: found {type(model).__name__}; give a name, a folder, or a loaded causal "
            "language model of transformers"
        )
    if tokenizer is None:
        raise TypeError("tokenizer: found None; a loaded model needs its tokenizer too")
    if isinstance(tokenizer, str | Path):
        raise TypeError(
            f"tokenizer: found a text; load it: AutoTokenizer.from_pretrained({str(tokenizer)!r})"
        )
    if model.training:
        raise ModelError(
            "model: is in training mode, so dropout would change its numbers; call model.eval()"
        )
    name = str(getattr(model.config, "_name_or_path", "")) or type(model).__name__
    source = ModelSource(name, Path(), _hash_model(model), (), False)
    wrapped = HFTokenizer(tokenizer, where=name)
    return HFEngine(model, wrapped, source, options, threads=options.threads or 1)


def _hash_model(model: Any) -> str:
    """Return a hash of the config and of every weight."""
    digest = hashlib.blake2b(digest_size=12)
    digest.update(model.config.to_json_string(use_diff=False).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(
            tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        )
    return f"memory:{digest.hexdigest()}"
