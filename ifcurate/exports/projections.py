"""Whether the queries and keys of a model's attention have their own weights.

The names of the weights are read from the headers of the model's files. No weight is loaded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ifcurate.errors import DataError, ModelError
from ifcurate.exports.models import locate_model
from ifcurate.models import nearest_model
from ifcurate.phrases import first_line

_FUSED: Final = re.compile(
    r"(?:^|\.)(qkv_proj|c_attn|query_key_value|Wqkv|wqkv|qkv|in_proj_weight)(?:\.|$)"
)
_SEPARATE: Final = re.compile(r"^model\.layers\.\d+\.self_attn\.[qk]_proj\.")


def list_weights(model: str) -> list[str]:
    """Return the names of a model's weights. Raises `ModelError` when they cannot be read."""
    location = locate_model(model)
    folder = Path(location).expanduser()
    try:
        if folder.is_dir():
            return _local_weights(folder)
        from huggingface_hub import get_safetensors_metadata

        return list(get_safetensors_metadata(location).weight_map)
    except Exception as error:
        raise ModelError(
            f"model {model!r}: the names of its weights cannot be read: {first_line(error)}"
            f"{nearest_model(model)}; give a local folder with safetensors files"
        ) from error


def _local_weights(folder: Path) -> list[str]:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return list(json.loads(index.read_text("utf-8"))["weight_map"])
    from safetensors import safe_open

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(f"{folder} holds no safetensors file")
    names: list[str] = []
    for file in files:
        with safe_open(file, framework="numpy") as opened:
            names += opened.keys()
    return names


def check_separate_projections(model: str, weights: Iterable[str]) -> None:
    """Raise `DataError` unless queries and keys can be trained without other weights."""
    weights = list(weights)
    fused = sorted({m[1] for name in weights if (m := _FUSED.search(name))})
    if fused:
        raise DataError(
            f"qk-only: {model} computes queries, keys and values with one weight "
            f"({', '.join(fused)}); training it would train the values too; choose a model with "
            "q_proj and k_proj, or train the same data without --qk-only"
        )
    if not any(_SEPARATE.match(name) for name in weights):
        shown = ", ".join(name for name in weights if "attn" in name or "attention" in name)[:120]
        raise DataError(
            f"qk-only: {model} has no weights model.layers.N.self_attn.q_proj and k_proj; "
            f"found {shown or 'no attention weights'}; choose another model"
        )
