"""The weights that a finetuning run trains: all, queries and keys, or adapters on either."""

from __future__ import annotations

from typing import Any, Final

from ifcurate.errors import ModelError

_QK: Final = ("q_proj", "k_proj")
#: Projections that hold queries, keys and values in one matrix.
_FUSED: Final = ("qkv_proj", "query_key_value", "c_attn", "Wqkv", "in_proj_qkv")


def choose_weights(model: Any, update: str) -> list[str]:
    """Make only the weights of `update` require gradients, and return their names.

    "full" is all weights, "qk" the query and key projections. Adapters get their own
    weights from `adapter_config`. Raises `ModelError` where queries and keys share a
    matrix with values.
    """
    if update == "full":
        for _, parameter in model.named_parameters():
            parameter.requires_grad_(True)
        return [name for name, _ in model.named_parameters()]
    if update != "qk":
        return []
    _check_separate(model)
    chosen = []
    for name, parameter in model.named_parameters():
        is_trained = _is_qk(name)
        parameter.requires_grad_(is_trained)
        if is_trained:
            chosen.append(name)
    return chosen


def adapter_config(model: Any, update: str, *, rank: int) -> Any:
    """Return the LoRA configuration of PEFT for an update, None for one without adapters."""
    if not update.startswith("lora"):
        return None
    from peft import LoraConfig

    if update == "lora-qk":
        _check_separate(model)
    return LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
        target_modules="all-linear" if update == "lora" else list(_QK),
    )


def check_trainable(model: Any, update: str, chosen: list[str]) -> list[str]:
    """Return the names of the weights that require gradients.

    Raises `ModelError` where they differ from the chosen ones.
    """
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    wrong = _wrong_weights(trained, update, chosen)
    if wrong or not trained:
        raise ModelError(
            f"finetune --update {update}: the wrong weights would be trained; found "
            f"{', '.join(wrong[:4]) or 'none that require gradients'}; report this model"
        )
    return trained


def _wrong_weights(trained: list[str], update: str, chosen: list[str]) -> list[str]:
    if not update.startswith("lora"):
        return sorted(set(trained) ^ set(chosen))
    wrong = [name for name in trained if "lora_" not in name]
    if update == "lora-qk":
        wrong += [name for name in trained if not any(f".{p}." in name for p in _QK)]
    return wrong


def _is_qk(name: str) -> bool:
    parts = name.split(".")
    return len(parts) > 1 and parts[-2] in _QK and parts[-1] in ("weight", "bias")


def _check_separate(model: Any) -> None:
    modules = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    if all(name in modules for name in _QK):
        return
    fused = [name for name in _FUSED if name in modules]
    found = f"{fused[0]}, which also has the values" if fused else "neither"
    raise ModelError(
        f"{getattr(model.config, 'model_type', 'model')}: only queries and keys can be trained "
        f"where they are separate projections (q_proj, k_proj); found {found}; "
        "use --update full or lora, or a model with separate projections"
    )
