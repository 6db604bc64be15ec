"""The configuration file and the command of each trainer.

Paths in configurations start with the export's folder as you named it, so that the command
works in the folder where you called `ifcurate export`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from ifcurate.exports import rows
from ifcurate.options.export import ExportOptions

#: The weights that are trained with `qk_only`. axolotl takes dots as literal dots, so a
#: pattern such as `.*self_attn\\.(q|k)_proj.*` matches nothing.
AXOLOTL_QK: Final = "model.layers.[0-9]+.self_attn.[qk]_proj."
_QK: Final = ("q_proj", "k_proj")
#: For TRL, where the model's own template is missing or not usable.
CHAT_TEMPLATE: Final = "chat_template.jinja"

ToRow = Callable[[rows.Row], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """One export, before its rows are written."""

    folder: Path
    model: str  # the model's name as the trainer expects it
    options: ExportOptions
    multi_turn: bool  # whether any row has more than one answer to train on
    weighted: bool  # whether rows may have answers with weight 0
    tools: bool  # whether any row has tools
    alpaca: bool = False  # whether the model scored the rows with Alpaca's template
    # Why TRL cannot use the model's own chat template; "" if it can, None if that is not known.
    template_problem: str | None = ""

    def path(self, name: str) -> str:
        """Return the path of an export's file, for the trainer's configuration."""
        return (self.folder / name).as_posix()


@dataclass(frozen=True, slots=True)
class TrainerFormat:
    """The files of one trainer."""

    data: str  # name of the data file
    to_row: Callable[[ExportPlan], ToRow]
    # The content of each file of configuration: a text, or what is written as JSON or YAML.
    config: Callable[[ExportPlan], Mapping[str, Any]] = lambda _: {}
    command: Callable[[ExportPlan], str] = lambda _: ""  # "" for a plain format


def plan_trl_rows(plan: ExportPlan) -> ToRow:
    """Return the function that writes a row as prompt and completion.

    Conversations with several answers stay whole. The loss is then on all of them.
    """
    if plan.options.objective == "dpo":
        return rows.to_preference
    return rows.to_trained_messages if plan.multi_turn else _to_prompt_completion


def _to_prompt_completion(row: rows.Row) -> dict[str, Any]:
    prompt, response, whole = rows.split_response(row)
    return {"prompt": prompt, "completion": [response], **whole}


def _trl_config(plan: ExportPlan) -> Mapping[str, Any]:
    lora = {"use_peft": True, "lora_target_modules": list(_QK)} if plan.options.qk_only else {}
    sft = plan.options.objective == "sft"
    loss = {"assistant_only_loss": True} if plan.multi_turn and sft else {}
    template = (files("ifcurate.exports") / CHAT_TEMPLATE).read_text("utf-8")
    own = {"chat_template_path": plan.path(CHAT_TEMPLATE)} if plan.alpaca and sft else {}
    data = {"path": "json", "data_files": plan.path("train.jsonl"), "split": "train"}
    return {
        "trl.yaml": {
            "model_name_or_path": plan.model,
            "datasets": [data],
            "output_dir": plan.path("model"),
            "max_length": plan.options.max_length,
            **loss,
            **own,
            **lora,
        },
        **({CHAT_TEMPLATE: template} if sft else {}),
    }


def _axolotl_config(plan: ExportPlan) -> Mapping[str, Mapping[str, Any]]:
    data: dict[str, Any] = {
        "path": plan.path("train.jsonl"),
        "ds_type": "json",
        "type": "chat_template",
        "field_messages": "messages",
        "message_property_mappings": {"role": "role", "content": "content"},
        "roles_to_train": ["assistant"],
    }
    if plan.weighted:
        data["message_field_training"] = "weight"
    if plan.tools:
        data["field_tools"] = "tools"
    qk = {"unfrozen_parameters": [AXOLOTL_QK]} if plan.options.qk_only else {}
    indicator = {"tokens": [plan.options.indicator]} if plan.options.indicator else {}
    return {
        "axolotl.yaml": {
            "base_model": plan.model,
            "datasets": [data],
            "output_dir": plan.path("model"),
            # A base model's tokenizer has no chat template.
            "chat_template": "tokenizer_default_fallback_chatml",
            "sequence_len": plan.options.max_length,
            "train_on_inputs": False,
            "learning_rate": 2e-5,  # axolotl has no default
            **qk,
            **indicator,
        }
    }


def _to_llama_factory(plan: ExportPlan) -> ToRow:
    ranked = plan.options.objective == "dpo"
    every = plan.multi_turn and not ranked

    def convert(row: rows.Row) -> dict[str, Any]:
        whole = rows.to_sharegpt((rows.to_trained_messages if every else rows.to_last_trained)(row))
        if not ranked:
            return whole
        rejected = rows.to_preference(row)["rejected"][0]["content"]
        *asked, chosen = whole["conversations"]
        other = {"from": "gpt", "value": rejected}
        return {**whole, "conversations": asked, "chosen": chosen, "rejected": other}

    return convert


def _llama_factory_config(plan: ExportPlan) -> Mapping[str, Mapping[str, Any]]:
    columns = {"messages": "conversations", "system": "system", "tools": "tools"}
    ranked = plan.options.objective == "dpo"
    entry: dict[str, Any] = {"file_name": "train.json", "formatting": "sharegpt"}
    if ranked:
        entry["ranking"] = True
        columns |= {"chosen": "chosen", "rejected": "rejected"}
    # Where every row has one answer to train on, which is the last, those before it may be masked.
    last = {"mask_history": True} if plan.weighted and not (plan.multi_turn or ranked) else {}
    # Only LoRA takes names of modules; full finetuning freezes whole layers.
    qk = {"finetuning_type": "lora", "lora_target": ",".join(_QK)} if plan.options.qk_only else {}
    indicator = (
        {"new_special_tokens": plan.options.indicator, "resize_vocab": True}
        if plan.options.indicator
        else {}
    )
    return {
        "dataset_info.json": {"ifcurate": {**entry, "columns": columns}},
        "llamafactory.yaml": {
            "model_name_or_path": plan.model,
            "stage": "dpo" if ranked else "sft",
            "do_train": True,
            "dataset_dir": plan.folder.as_posix(),
            "dataset": "ifcurate",
            "template": "default",
            "cutoff_len": plan.options.max_length,
            **last,
            "output_dir": plan.path("model"),
            **(qk or {"finetuning_type": "full"}),
            **indicator,
        },
    }


def _open_instruct_command(plan: ExportPlan) -> str:
    # "1.0" is all rows; "1" is one row.
    options = {
        "--model_name_or_path": plan.model,
        "--dataset_mixer_list": f"{shlex.quote(plan.path('train.jsonl'))} 1.0",
        "--dataset_mixer_list_splits": "train",
        "--max_seq_length": str(plan.options.max_length),
        "--output_dir": plan.path("model"),
    }
    return "accelerate launch open_instruct/finetune.py " + " ".join(
        f"{k} {v if k == '--dataset_mixer_list' else shlex.quote(v)}" for k, v in options.items()
    )


def _launch(program: str, config: str) -> Callable[[ExportPlan], str]:
    return lambda plan: f"{program} {shlex.quote(plan.path(config))}"


def _trl_command(plan: ExportPlan) -> str:
    template = ""
    if plan.template_problem:
        template = f" --chat_template_path {shlex.quote(plan.path(CHAT_TEMPLATE))}"
    return f"trl {plan.options.objective} --config {shlex.quote(plan.path('trl.yaml'))}{template}"


TRAINERS: Final = {
    "trl": TrainerFormat("train.jsonl", plan_trl_rows, _trl_config, _trl_command),
    "axolotl": TrainerFormat(
        "train.jsonl",
        lambda _: rows.to_text_calls,
        config=_axolotl_config,
        command=_launch("axolotl train", "axolotl.yaml"),
    ),
    "llama-factory": TrainerFormat(
        "train.json",
        _to_llama_factory,
        _llama_factory_config,
        _launch("llamafactory-cli train", "llamafactory.yaml"),
    ),
    "open-instruct": TrainerFormat(
        "train.jsonl", lambda _: rows.to_trained_messages, command=_open_instruct_command
    ),
    "messages": TrainerFormat("train.jsonl", lambda _: rows.to_openai),
    "alpaca": TrainerFormat("train.json", lambda _: rows.to_alpaca),
}
