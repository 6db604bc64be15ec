"""The files of a model: in a local folder, or in the cache of the Hub.

huggingface_hub reads HF_HOME, HF_TOKEN, HF_HUB_OFFLINE and HF_ENDPOINT. All other
modules read one local folder. A model's revision covers everything that its numbers
depend on: the commit on the Hub, or a hash of the config, the weights and, where it may
run, the code. The tokenizer has its own fingerprint.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ifcurate.engines.hf.quiet import quiet
from ifcurate.errors import ModelError
from ifcurate.models import nearest_model
from ifcurate.network import offline_without_network
from ifcurate.options.score import LoadOptions
from ifcurate.phrases import first_line

TOKENIZER_FILES: Final = ("*.json", "*.model", "*.txt", "*.jinja", "*.tiktoken")
_WANTED: Final = (*TOKENIZER_FILES, "*.safetensors")
#: Copies of the same weights under other names, and subfolders.
_UNWANTED: Final = ("*/*", "consolidated*", "*.fp16.safetensors", "*.non_ema.safetensors")
_PICKLES: Final = ("*.bin", "*.pt", "*.pth")
#: Entries of config.json about its origin.
_NOT_HASHED: Final = frozenset({"_name_or_path", "transformers_version"})
_HUB_ID: Final = re.compile(r"[\w.-]+(/[\w.-]+)?")
_WHOLE_FILE_BYTES: Final = 1 << 30  # larger files are sampled when they are hashed


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model's name, as scores record it, and the folder to read it from."""

    name: str  # the Hub id, or the folder's name
    folder: Path
    revision: str  # commit on the Hub, or a hash of the local config, weights and code
    weights: tuple[Path, ...]
    pickled: bool  # all weights are pickles; true only where the caller allows it


def find_model(model: str, options: LoadOptions) -> ModelSource:
    """Find the folder of a local model, or download the files of a Hub id into the cache.

    Raises `ModelError` when there is no such model, when it has no config, weights or
    tokenizer, when its weights are pickles and `allow_pickle` is false, or when the Hub
    does not give it.
    """
    folder, name, commit = Path(model).expanduser(), model, None
    bundled = model == "pocket" and not folder.is_dir()
    if (bundled or folder.is_dir()) and options.revision is not None:
        raise ModelError(
            f"{model}: a local model has no revisions; found revision {options.revision!r}; "
            "leave the revision out, or name the model by its Hub id"
        )
    if bundled:
        from ifcurate.pocket import model_path

        return _check(model, model_path(), None, LoadOptions())
    if folder.is_dir():
        name = folder.resolve().name
    elif folder.exists():
        raise ModelError(
            f"{model}: a model is a folder; found a file; name the folder that holds it"
        )
    else:
        folder = _download(model, options)
        commit = folder.name
    return _check(name, folder, commit, options)


def _download(model: str, options: LoadOptions) -> Path:
    """Return the folder in the cache with the files of a Hub id."""
    if model.startswith((".", "/", "~")) or not _HUB_ID.fullmatch(model):
        raise ModelError(
            f"{model}: no such model; found neither a folder nor the form of a Hub id "
            "(name or owner/name); check the path, or name the bundled model, pocket"
            f"{nearest_model(model)}"
        )
    patterns = list(_WANTED) + (["*.py"] if options.trust_remote_code else [])
    folder = fetch_files(model, options.revision, patterns)
    if options.allow_pickle and not list(folder.glob("*.safetensors")):
        folder = fetch_files(model, options.revision, [*patterns, *_PICKLES])
    if nested := [name for name in _indexed(folder) if "/" in name]:
        fetch_files(model, folder.name, nested, nested=True)
    return folder


def fetch_files(
    model: str, revision: str | None, patterns: list[str], *, nested: bool = False
) -> Path:
    """Return the folder in the cache with a Hub model's files of these patterns.

    Files in subfolders are left out, unless `nested`. Raises `ModelError`.
    """
    from huggingface_hub import snapshot_download

    try:
        with quiet(), offline_without_network():
            folder = snapshot_download(
                model,
                revision=revision,
                allow_patterns=patterns,
                ignore_patterns=None if nested else list(_UNWANTED),
            )
    except Exception as error:
        raise _hub_error(model, revision, error) from error
    return Path(folder)


def _hub_error(model: str, revision: str | None, error: Exception) -> ModelError:
    """Return why a model could not be fetched from the Hub, and what to do."""
    # By name, because the classes moved between versions of huggingface_hub.
    names = {cls.__name__ for cls in type(error).__mro__}
    status = getattr(getattr(error, "response", None), "status_code", None)
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    token = "a token is set" if os.environ.get("HF_TOKEN") else "HF_TOKEN is not set"
    if "GatedRepoError" in names or status == 403:
        return ModelError(
            f"{model}: the model is gated; found no access ({token}); accept its terms at "
            f"{endpoint}/{model} and set HF_TOKEN to a token of that account"
        )
    if "RevisionNotFoundError" in names:
        return ModelError(
            f"{model}: no such revision; found no {revision!r} on the Hub; "
            f"see {endpoint}/{model}/commits/main"
        )
    if "RepositoryNotFoundError" in names or status in (401, 404):
        return ModelError(
            f"{model}: no such model on the Hub, or it is private; found HTTP "
            f"{status or 'no answer'} ({token}); check the id at {endpoint}, or set HF_TOKEN"
            f"{nearest_model(model)}"
        )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return ModelError(
            f"{model}: the disk is full; found no space while downloading; "
            "free some, or set HF_HOME to a larger disk"
        )
    return _unreachable(model, error, endpoint)


def _unreachable(model: str, error: Exception, endpoint: str) -> ModelError:
    offline = "OfflineModeIsEnabled" in {cls.__name__ for cls in type(error).__mro__}
    if offline or os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0"):
        problem = "HF_HUB_OFFLINE is set and the model is not (or not fully) in the cache"
    else:
        problem = f"no answer from {endpoint} and no copy in the cache ({type(error).__name__})"
    near = nearest_model(model)
    return ModelError(
        f"{model}: the model cannot be downloaded; found {problem}"
        f"{f'{near} If not, ' if near else '; '}give a local folder as the model, or put it into "
        "the cache (HF_HOME) from a machine with network, or set HF_ENDPOINT to a mirror, or name "
        "the bundled model, pocket"
    )


def _check(name: str, folder: Path, commit: str | None, options: LoadOptions) -> ModelSource:
    """Return the model in a folder. Raises `ModelError` for a folder without a usable model."""
    listing = sorted(p.name for p in folder.iterdir())
    files = ", ".join(listing[:8]) + (", ..." if len(listing) > 8 else "") if listing else "nothing"
    if not (folder / "config.json").is_file():
        inside = sorted(p.parent for p in folder.glob("*/config.json"))
        advice = (
            f"give one of the folders inside that have one: {', '.join(map(str, inside[-3:]))}"
            if inside
            else "give the folder that save_pretrained wrote (an adapter is not a model: merge it)"
        )
        raise ModelError(f"{folder}: the model folder has no config.json; found {files}; {advice}")
    if "adapter_config.json" in listing:
        raise ModelError(
            f"{folder}: the model folder has an adapter, whose base model may be anywhere; found "
            "adapter_config.json; merge the two (merge_and_unload, save_pretrained) and give the "
            "new folder, or remove the adapter's files"
        )
    weights = _find_weights(folder, files, allow_pickle=options.allow_pickle)
    if not any(name.startswith(("tokenizer", "vocab", "spiece")) for name in listing):
        raise ModelError(
            f"{folder}: the model folder has no tokenizer; found {files}; "
            "copy tokenizer.json and tokenizer_config.json of the model into it"
        )
    code = folder.rglob("*.py") if options.trust_remote_code else ()
    small = [*folder.glob("*.index.json"), *code]
    revision = commit or _hash_files(folder, weights, sorted(small))
    pickled = weights[0].suffix != ".safetensors"
    return ModelSource(name, folder, revision, weights, pickled=pickled)


def _find_weights(folder: Path, files: str, *, allow_pickle: bool) -> tuple[Path, ...]:
    """Return the weight files of a folder, the pickles last.

    Raises `ModelError` for a folder without weights, or with pickles that are not allowed.
    """
    named = {folder / name for name in _indexed(folder)}
    found = sorted(filter(_is_weights, named.union(folder.glob("*.safetensors"))))
    safe = [path for path in found if path.suffix == ".safetensors"]
    pickles = [path for path in found if path.suffix != ".safetensors"]
    if not safe:
        unnamed = (path for pattern in _PICKLES for path in folder.glob(pattern))
        pickles += sorted(filter(_is_weights, unnamed))
    if pickles and not allow_pickle:
        raise ModelError(
            f"{folder}: the weights are pickles, which can run code when loaded; found "
            f"{pickles[0].name}{'' if safe else ' and no .safetensors'}; convert them to "
            "safetensors, or pass allow_pickle (--allow-pickle) if you trust their author"
        )
    if not safe and not pickles:
        raise ModelError(
            f"{folder}: the model folder has no weights; found {files}; "
            "add its .safetensors files, or name the model by its Hub id"
        )
    return (*safe, *pickles)


def _indexed(folder: Path) -> list[str]:
    """Return the weight files that an index names, if transformers reads one.

    Raises `ModelError`.
    """
    path = folder / "model.safetensors.index.json"
    config = read_object(folder / "config.json")
    chosen = config.get("transformers_weights")  # transformers reads this one file instead
    if isinstance(chosen, str):
        path = folder / chosen
        if not chosen.endswith(".index.json"):
            return [_inside(folder, chosen)]
    elif not path.is_file() or (folder / "model.safetensors").is_file():
        return []
    names = read_object(path).get("weight_map")
    values = list(names.values()) if isinstance(names, dict) else []
    return sorted({_inside(folder, name, where=path.name) for name in values})


def _inside(folder: Path, name: object, *, where: str = "config.json") -> str:
    """Return the name of a weight file. Raises `ModelError` if it leads out of the folder."""
    if not isinstance(name, str) or Path(name).is_absolute() or ".." in Path(name).parts:
        raise ModelError(
            f"{folder / where}: names a weight file outside the model folder; found {name!r}; "
            "download or copy the model again"
        )
    return name


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; empty without the file. Raises `ModelError`."""
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(
            f"{path}: cannot be read; found {first_line(error)}; copy the file again"
        ) from error


def _is_weights(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(("training_args", "optimizer", "scheduler"))


def _hash_files(folder: Path, weights: Sequence[Path], small: Sequence[Path]) -> str:
    """Return a hash of the config's content, of small files, and of the weights."""
    config = {k: v for k, v in read_object(folder / "config.json").items() if k not in _NOT_HASHED}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for path in small:
        digest.update(f"{path.relative_to(folder)};".encode() + path.read_bytes())
    whole = sum(p.stat().st_size for p in weights) <= _WHOLE_FILE_BYTES
    for path in weights:
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder)}:{size};".encode())
        with path.open("rb") as file:
            if whole:
                while block := file.read(1 << 20):
                    digest.update(block)
            else:
                # 256 blocks spread over the file are enough: a finetuned copy differs in
                # every layer, and reading all of a large model takes minutes.
                for i in range(256):
                    file.seek(max(0, size - (1 << 16)) * i // 255)
                    digest.update(file.read(1 << 16))
    return digest.hexdigest()[:16]
