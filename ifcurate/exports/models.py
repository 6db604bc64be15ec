"""The model of an export: where a trainer finds it, and which of its parts can be used.

These parts are the weights of queries and keys, if they are separate, and the chat template. The
names of the weights are read from the headers of the model's files. No weight is loaded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from ifcurate.errors import DataError, ModelError
from ifcurate.mixing.mixture import Mixture
from ifcurate.models import local_model, nearest_model, resolve_model
from ifcurate.phrases import first_line

_FUSED: Final = re.compile(
    r"(?:^|\.)(qkv_proj|c_attn|query_key_value|Wqkv|wqkv|qkv|in_proj_weight)(?:\.|$)"
)
_SEPARATE: Final = re.compile(r"^model\.layers\.\d+\.self_attn\.[qk]_proj\.")


def locate_model(name: str) -> str:
    """Return the model's folder or Hub id, as trainers expect it."""
    return str(local_model(name)) if name == "pocket" else resolve_model(name)


def scored_by(mixture: Mixture) -> str:
    """Return the model that scored the components; "" when no model or several models did."""
    engines = [o["engine"] for o in mixture.origins.values() if o.get("engine")]
    models = {engine["model"] for engine in engines if engine.get("engine") != "toy"}
    return str(models.pop()) if len(models) == 1 else ""


def find_scored_model(mixture: Mixture) -> str:
    """Return the model that scored the components, a local one by its folder; "" as `scored_by`.

    Raises `DataError` when the folder is not known, or does not hold that model any more.
    """
    name = scored_by(mixture)
    origins = mixture.origins.values()
    origin = next((o for o in origins if o.get("engine", {}).get("model") == name), {})
    engine = origin.get("engine", {})
    on_hub = len(engine.get("revision", "")) == 40  # a commit
    if on_hub or name in ("", "pocket") or engine["engine"] not in ("hf", "vllm"):
        return name
    folder = origin.get("model_folder", name)
    if not Path(folder).expanduser().is_dir():
        problem = f"found no folder {folder} (seen from {Path.cwd()})"
    elif not _holds_model(folder, engine):
        problem = f"{folder} holds another one now"
    else:
        return str(folder)
    raise DataError(
        f"export: the data was scored by the local model {name!r}, and {problem}; "
        "name the model that you will train: --model FOLDER"
    )


def _holds_model(folder: str, engine: Mapping[str, Any]) -> bool:
    """Return whether the folder's model is the one that scored, by the hash of its weights."""
    from ifcurate.engines.hf.source import find_model
    from ifcurate.options.score import LoadOptions

    try:
        # Where its code may run, the code is a part of the hash.
        found = [
            find_model(folder, LoadOptions(allow_pickle=True, trust_remote_code=code)).revision
            for code in (False, True)
        ]
    except ModelError:
        return False
    return engine["revision"] in found


def template_problem(model: str, *, several: bool) -> str | None:
    """Return why TRL cannot use a model's own chat template; "" if it can, None if unknown.

    With `several` answers in a row, TRL needs to know where the template writes each. Nothing is
    downloaded. Without TRL here, it is unknown what it can do with a template.
    """
    folder = local_model(model)
    if not folder.is_dir():
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError

        try:
            folder = Path(snapshot_download(model, local_files_only=True))
        except (HFValidationError, OSError):
            return None
    if not _has_template(folder):
        return "the model has no chat template"
    if not several:
        return ""
    from ifcurate.engines.hf.tokenizer import load_tokenizer
    from ifcurate.finetuning.train import can_mark_answers

    try:
        can = can_mark_answers(load_tokenizer(folder, trust_remote_code=False))
    except ModelError:
        return None
    problem = "TRL cannot see the answers in the model's own chat template"
    return None if can is None else problem * (not can)


def _has_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file():
        return True
    try:
        config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return bool(config.get("chat_template"))


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
