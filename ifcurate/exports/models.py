"""The model of an export: where a trainer finds it, and whether TRL can use its chat template."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ifcurate.errors import DataError, ModelError
from ifcurate.mixing.mixture import Mixture
from ifcurate.models import local_model, resolve_model


def locate_model(name: str) -> str:
    """Return the model's folder or Hub id, as trainers expect it."""
    return str(local_model(name)) if name == "pocket" else resolve_model(name)


def list_origins(mixture: Mixture) -> list[dict[str, Any]]:
    """Return the step that made each component of a mixture, as its manifest says."""
    return [c.get("origin", {}) for c in mixture.manifest.identity["components"]]


def scored_by(mixture: Mixture) -> str:
    """Return the model that scored the components; "" when no model or several models did."""
    engines = [o["engine"] for o in list_origins(mixture) if o.get("engine")]
    models = {engine["model"] for engine in engines if engine.get("engine") != "toy"}
    return str(models.pop()) if len(models) == 1 else ""


def find_scored_model(mixture: Mixture) -> str:
    """Return the model that scored the components, a local one by its folder; "" as `scored_by`.

    Raises `DataError` when the folder is not known, or does not hold that model any more.
    """
    name = scored_by(mixture)
    by_name = (o for o in list_origins(mixture) if o.get("engine", {}).get("model") == name)
    origin = next(by_name, {})
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
