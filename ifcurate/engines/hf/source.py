"""Where a model's files are: a local folder as it stands, or a Hub id brought into the cache.

HF_HOME, HF_TOKEN, HF_HUB_OFFLINE and HF_ENDPOINT are huggingface_hub's and are
honoured by it. Everything after this module reads one local folder.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ifcurate.engines.hf.quiet import quiet
from ifcurate.errors import ModelError
from ifcurate.models import nearest_model

__all__ = ["ModelSource", "fetch_files", "find_model"]

_WANTED: Final = (
    "*.json",
    "*.safetensors",
    "*.model",
    "*.txt",
    "*.jinja",
    "*.tiktoken",
)
#: Copies of the same weights under other names, and folders of them.
_UNWANTED: Final = ("*/*", "consolidated*", "*.fp16.safetensors", "*.non_ema.safetensors")
_PICKLES: Final = ("*.bin", "*.pt", "*.pth")
_HUB_ID: Final = re.compile(r"[\w.-]+(/[\w.-]+)?")
_WHOLE_FILE_BYTES: Final = 1 << 30  # read in full up to here when hashing, sampled above


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model's name, as scores record it, and the folder to read it from."""

    name: str  # the Hub id, or the folder's name
    folder: Path
    revision: str  # commit on the Hub, or a hash of the local weights
    weights: tuple[Path, ...]
    pickled: bool  # the weights are pickles (only ever true where that was allowed)


def find_model(
    model: str,
    *,
    revision: str | None = None,
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
) -> ModelSource:
    """Find the folder of a local model, or bring the files of a Hub id into the cache.

    Raises `ModelError` when there is none, it has no config, weights or tokenizer,
    its weights are pickles and `allow_pickle` is false, or the Hub does not give it.
    """
    if model == "pocket" and not Path(model).is_dir():
        from ifcurate.pocket import model_path

        return _check(model, model_path(), None, allow_pickle=False)
    folder = Path(model).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise ModelError(
                f"{model}: a local folder has no revisions; found revision {revision!r}; "
                "leave the revision out, or name the model by its Hub id"
            )
        return _check(folder.resolve().name, folder, None, allow_pickle=allow_pickle)
    if folder.exists():
        raise ModelError(
            f"{model}: a model is a folder; found a file; name the folder that holds it"
        )
    if model.startswith((".", "/", "~")) or not _HUB_ID.fullmatch(model):
        raise ModelError(
            f"{model}: no such model; found neither a folder nor the form of a Hub id "
            "(name or owner/name); check the path, or use --model pocket, which is bundled"
            f"{nearest_model(model)}"
        )
    patterns = list(_WANTED) + (["*.py"] if trust_remote_code else [])
    folder = fetch_files(model, revision, patterns)
    if allow_pickle and not list(folder.glob("*.safetensors")):
        folder = fetch_files(model, revision, [*patterns, *_PICKLES])
    return _check(model, folder, folder.name, allow_pickle=allow_pickle)


def fetch_files(model: str, revision: str | None, patterns: list[str]) -> Path:
    """The folder in the cache with a Hub model's files of these patterns. Raises `ModelError`."""
    from huggingface_hub import snapshot_download

    try:
        with quiet():
            folder = snapshot_download(
                model,
                revision=revision,
                allow_patterns=patterns,
                ignore_patterns=list(_UNWANTED),
            )
    except Exception as error:
        raise _hub_error(model, revision, error) from error
    return Path(folder)


def _hub_error(model: str, revision: str | None, error: Exception) -> ModelError:
    # By name and not by class: the classes moved between versions of huggingface_hub.
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
    if isinstance(error, OSError) and getattr(error, "errno", None) == 28:
        return ModelError(
            f"{model}: the disk is full; found no space while downloading; "
            "free some, or set HF_HOME to a larger disk"
        )
    if names & {"OfflineModeIsEnabled"} or os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0"):
        found = "HF_HUB_OFFLINE is set and the model is not (or not fully) in the cache"
    else:
        found = f"no answer from {endpoint} and no copy in the cache ({type(error).__name__})"
    return ModelError(
        f"{model}: the model cannot be downloaded; found {found}; give a local folder as the "
        "model, or put it into the cache (HF_HOME) from a machine with network, or set "
        "HF_ENDPOINT to a mirror, or use --model pocket, which is bundled"
        f"{nearest_model(model)}"
    )


def _check(name: str, folder: Path, commit: str | None, *, allow_pickle: bool) -> ModelSource:
    listing = sorted(p.name for p in folder.iterdir())
    found = ", ".join(listing[:8]) + (", ..." if len(listing) > 8 else "") if listing else "nothing"
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder}: the model folder has no config.json; found {found}; "
            "give the folder that save_pretrained wrote (an adapter alone is no model: merge it)"
        )
    safe = sorted(p for p in folder.glob("*.safetensors") if _is_weights(p))
    pickles = sorted(p for pattern in _PICKLES for p in folder.glob(pattern) if _is_weights(p))
    if not safe and pickles and not allow_pickle:
        raise ModelError(
            f"{folder}: the weights are pickles, which can run code when loaded; found "
            f"{pickles[0].name} and no .safetensors; convert them to safetensors, or pass "
            "allow_pickle (--allow-pickle) if you trust their maker"
        )
    if not safe and not pickles:
        raise ModelError(
            f"{folder}: the model folder has no weights; found {found}; "
            "add its .safetensors files, or name the model by its Hub id"
        )
    if not any(p.name.startswith(("tokenizer", "vocab", "spiece")) for p in folder.iterdir()):
        raise ModelError(
            f"{folder}: the model folder has no tokenizer; found {found}; "
            "copy tokenizer.json and tokenizer_config.json of the model into it"
        )
    weights = tuple(safe or pickles)
    revision = commit or _hash_files(weights)
    return ModelSource(name, folder, revision, weights, pickled=not safe)


def _is_weights(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(("training_args", "optimizer", "scheduler"))


def _hash_files(paths: tuple[Path, ...]) -> str:
    digest = hashlib.sha256()
    whole = sum(p.stat().st_size for p in paths) <= _WHOLE_FILE_BYTES
    for path in paths:
        size = path.stat().st_size
        digest.update(f"{path.name}:{size};".encode())
        with path.open("rb") as file:
            if whole:
                while block := file.read(1 << 20):
                    digest.update(block)
            else:
                # 256 blocks spread over the file: a finetuned copy differs in every
                # layer, so reading all of a large model would only cost minutes.
                for i in range(256):
                    file.seek(max(0, size - (1 << 16)) * i // 255)
                    digest.update(file.read(1 << 16))
    return digest.hexdigest()[:16]
