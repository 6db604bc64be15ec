"""Load a causal language model and its tokenizer from a folder.

Any error of transformers becomes a `ModelError` that names the folder, what was found
and what to do. Code from a model folder runs, and pickles are read, only when the
caller asks for it.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, Final

import torch

from ifcurate.engines.hf.quiet import quiet
from ifcurate.engines.hf.source import ModelSource, find_model, read_object
from ifcurate.engines.hf.tokenizer import load_tokenizer
from ifcurate.errors import ModelError
from ifcurate.models import resolve_model
from ifcurate.options.score import Dtype, LoadOptions
from ifcurate.phrases import first_line

_HALF: Final = ("bfloat16", "float16")
#: Parts of the names of causal classes, and endings of the names for other tasks.
_CAUSAL: Final = ("CausalLM", "LMHead", "Conditional")
_OTHER_TASKS: Final = (
    "ForMaskedLM",
    "ForPreTraining",
    "Classification",
    "QuestionAnswering",
    "Regression",
)


def load_causal_model(model: str, options: LoadOptions) -> tuple[ModelSource, Any, Any]:
    """Return the files of a model by its name, the model, and its tokenizer.

    Raises `ModelError`.
    """
    device = choose_device(options.device)
    source, config, dtype, tokenizer = describe_model(model, options, device)
    trusted = options.trust_remote_code
    loaded = load_model(source, config, dtype=dtype, device=device, trust_remote_code=trusted)
    return source, loaded, tokenizer


def describe_model(
    model: str, options: LoadOptions, device: torch.device
) -> tuple[ModelSource, Any, torch.dtype, Any]:
    """Return the files of a model by its name, its config, the dtype, and the tokenizer.

    Raises `ModelError`.
    """
    trusted = options.trust_remote_code
    source = find_model(resolve_model(model), options)
    config = load_config(source, trust_remote_code=trusted)
    dtype = choose_dtype(options.dtype, device, stored_dtype(source, config))
    return source, config, dtype, load_tokenizer(source.folder, trust_remote_code=trusted)


def choose_device(device: str) -> torch.device:
    """Return the device with this name. "auto" is the first GPU, or the CPU if there is none."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ModelError(
            f"device: unknown device; found {device!r}; use auto, cpu, cuda or cuda:N"
        ) from error
    if chosen.type not in ("cpu", "cuda"):
        raise ModelError(f"device: not supported; found {device!r}; use auto, cpu, cuda or cuda:N")
    if chosen.type == "cuda":
        _check_gpu(chosen.index or 0, device)
    return chosen


def _check_gpu(index: int, device: str) -> None:
    """Raise `ModelError` if PyTorch cannot use the GPU with this index."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        built = "with" if torch.version.cuda else "without"
        raise ModelError(
            f"device: no GPU can be used; found device {device!r} and PyTorch {built} CUDA "
            f"support ({torch.__version__}); use --device cpu, or install a CUDA build"
        )
    if index >= count:
        raise ModelError(
            f"device: no such GPU; found {device!r} and {count} GPUs; "
            f"use cuda:0 to cuda:{count - 1}"
        )


def choose_dtype(dtype: Dtype, device: torch.device, stored: str) -> torch.dtype:
    """Return the dtype to compute in; `stored` is that of the weights on disk.

    "auto" takes bfloat16 if the weights are stored in 16 bits and the processor multiplies
    bfloat16 natively, and float32 otherwise. Weights stored in float32 stay float32, because
    rounding them moves losses by up to 4e-3 nats per token and a small float32 model would
    score differently on each machine. float16 weights on a CPU also become float32, because
    bfloat16 would drop their last three bits.
    """
    if dtype == "auto":
        kept = ("bfloat16",) if device.type == "cpu" else _HALF
        half = stored in kept and _has_bfloat16(device)
        return torch.bfloat16 if half else torch.float32
    if dtype == "float16" and device.type == "cpu":
        raise ModelError(
            "dtype: float16 overflows and is slow on a CPU; found dtype 'float16' on the CPU; "
            "use float32 or bfloat16"
        )
    chosen = getattr(torch, dtype)
    assert isinstance(chosen, torch.dtype)
    return chosen


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(bool(getattr(torch.cpu, name)()) for name in names if hasattr(torch.cpu, name))


def load_config(source: ModelSource, *, trust_remote_code: bool) -> Any:
    """Return the model's config. Raises `ModelError` for anything but a causal language model."""
    from transformers import AutoConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    raw = read_object(source.folder / "config.json")
    kind = raw.get("model_type")
    if "auto_map" in raw and kind not in CONFIG_MAPPING and not trust_remote_code:
        raise ModelError(
            f"{source.name}: the model needs code that comes with it; found model type {kind!r} "
            f"with auto_map in config.json; read that code, and pass trust_remote_code "
            "(--trust-remote-code) if you trust it"
        )
    try:
        with quiet():
            config = AutoConfig.from_pretrained(
                source.folder,
                trust_remote_code=trust_remote_code,
                local_files_only=not trust_remote_code,
            )
    except Exception as error:
        raise ModelError(
            f"{source.folder / 'config.json'}: the config is not of a known model; found model "
            f"type {kind!r} ({first_line(error)}); upgrade transformers, or choose another model"
        ) from error
    _refuse_other_kinds(source, config)
    return config


def _refuse_other_kinds(source: ModelSource, config: Any) -> None:
    """Raise `ModelError` for an encoder, or a model with the head of another task."""
    classes = [str(name) for name in getattr(config, "architectures", None) or []]
    kind = f"{config.model_type} ({', '.join(classes) or 'no architectures entry'})"
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(
            f"{source.name}: an encoder-decoder model has no loss of a response after a prompt; "
            f"found {kind}; choose a decoder-only model (a causal language model)"
        )
    causal = any(mark in name for name in classes for mark in _CAUSAL)
    if not causal and any(name.endswith(_OTHER_TASKS) for name in classes):
        raise ModelError(
            f"{source.name}: not a causal language model (encoder-only, or with a head for another "
            f"task); found {kind}; choose a decoder-only model"
        )


def load_model(
    source: ModelSource,
    config: Any,
    *,
    dtype: torch.dtype,
    device: torch.device,
    trust_remote_code: bool,
) -> Any:
    """Return the model in evaluation mode on the device, every weight read from its files."""
    from transformers import AutoModelForCausalLM

    try:
        with quiet():
            model, info = AutoModelForCausalLM.from_pretrained(
                source.folder,
                config=config,
                trust_remote_code=trust_remote_code,
                local_files_only=not trust_remote_code,
                use_safetensors=not source.pickled,
                output_loading_info=True,
                dtype=dtype,
            )
            model = model.to(device).eval()
    except Exception as error:
        raise _load_error(source, error) from error
    _check_complete(source, info)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model


def _load_error(source: ModelSource, error: Exception) -> ModelError:
    memory = isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        "memory" in str(error).lower() and isinstance(error, RuntimeError)
    )
    remedy = (
        "use a smaller model, --dtype bfloat16, or a machine with more memory"
        if memory
        else "check that the files are complete and of one model, and upgrade transformers"
    )
    return ModelError(
        f"{source.folder}: the model does not load; found {type(error).__name__}: "
        f"{first_line(error)}; {remedy}"
    )


def _check_complete(source: ModelSource, info: dict[str, Any]) -> None:
    """Raise `ModelError` for weights that transformers did not find in the files."""
    missing = sorted(info.get("missing_keys", ()))
    names = missing or sorted(str(k) for k in info.get("mismatched_keys", ()))
    if names:
        raise ModelError(
            f"{source.folder}: weights are missing, so the model would score with random numbers "
            f"in their place; found no {', '.join(names[:3])}"
            f"{' and others' if len(names) > 3 else ''}; "
            "give the full causal language model (with its head), not a part of it"
        )


def stored_dtype(source: ModelSource, config: Any) -> str:
    """Return the dtype of most numbers in the weight files, as torch names it."""
    names = {"F32": "float32", "BF16": "bfloat16", "F16": "float16", "F64": "float64"}
    sizes = Counter[str]()
    if not source.pickled:
        from safetensors import SafetensorError, safe_open

        try:
            for path in (path for path in source.weights if path.suffix == ".safetensors"):
                with safe_open(path, framework="np") as file:
                    for key in file.keys():  # noqa: SIM118  (not a mapping)
                        part = file.get_slice(key)
                        sizes[part.get_dtype()] += math.prod(part.get_shape())
        except SafetensorError as error:
            raise ModelError(
                f"{path}: the weights cannot be read; found a damaged or incomplete safetensors "
                f"file of {path.stat().st_size} bytes ({first_line(error)}); download or copy it "
                "again (a git-lfs pointer of about 130 bytes needs `git lfs pull`)"
            ) from error
    if sizes:
        return names.get(sizes.most_common(1)[0][0], "other")
    return str(getattr(config, "dtype", None) or "float32").removeprefix("torch.")


def stated_length(config: Any) -> int | None:
    """Return the most tokens of a sequence, as the config states it.

    None if it states no length.
    """
    config = config.get_text_config()
    names = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
    stated = (n for name in names if isinstance(n := getattr(config, name, None), int))
    return max(0, next(stated, 0)) or None
