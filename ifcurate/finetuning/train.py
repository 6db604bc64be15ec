"""Finetune with TRL's SFTTrainer, on the token ids that were scored.

The trainer gets rows as ids with labels, so its template and tokenizer settings
cannot differ from those of the scores. The loss is taken over the response and the
token that ends it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ifcurate.engines.base import Prompt
from ifcurate.finetuning.updates import adapter_config, check_trainable, choose_weights
from ifcurate.options.finetune import FinetuneOptions

#: Config fields of models whose logits are not the head's product alone.
_LOGIT_CHANGES: Final = (
    "final_logit_softcapping",
    "logit_scale",
    "output_multiplier",
    "lm_head_multiplier",
    "logits_scaling",
)
_ROWS_TOGETHER: Final = 8  # rows of one forward pass on a CPU
IGNORED: Final = -100  # the label of a token that the loss leaves out
StepHook = Callable[[int, Any], bool]  # step and model; True stops the run
StartHook = Callable[[list[str], int], None]  # names of the trainable tensors, and their size


def train_rows(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Prompt],
    options: FinetuneOptions,
    out: Path,
    *,
    on_step: StepHook | None = None,
    on_start: StartHook | None = None,
) -> Any:
    """Train `model` in place on the rows and return the trainer.

    `on_step` is called before the first step (step 0) and after each step. The run stops
    when it returns True. Only `on_step` saves checkpoints. Raises `ModelError` where the
    weights of the update cannot be chosen.
    """
    from datasets import Dataset
    from transformers import PrinterCallback

    columns = {
        "input_ids": [list(row.ids) for row in rows],
        "labels": [
            [IGNORED] * row.response_start + list(row.ids[row.response_start :]) for row in rows
        ],
    }
    chosen = choose_weights(model, options.update)
    with _quiet_trainer():
        trainer = _trainer_class(model)(
            model=model,
            args=_config(options, out, len(rows)),
            train_dataset=Dataset.from_dict(columns),
            processing_class=tokenizer,
            callbacks=[_make_callback(on_step)] if on_step else None,
            peft_config=adapter_config(model, options.update, rank=options.lora_rank),
        )
        trainer.remove_callback(PrinterCallback)  # it prints to stdout
        trainable = check_trainable(trainer.model, options.update, chosen)
        if on_start:
            sizes = {n: p.numel() for n, p in trainer.model.named_parameters()}
            on_start(trainable, sum(sizes[name] for name in trainable))
        trainer.train()
    return trainer


def _trainer_class(model: Any) -> Any:
    """SFTTrainer; on a CPU, the language-model head runs on the response's positions only.

    Without Triton, TRL computes the head at every position, including the prompt and
    padding. That is 45% of a step of a small model. Models that change their logits
    after the head keep TRL's own loss.
    """
    import torch
    from trl import SFTTrainer

    config = model.config.get_text_config()
    changed = any(getattr(config, name, None) is not None for name in _LOGIT_CHANGES)
    if torch.cuda.is_available() or changed:
        return SFTTrainer

    class _ResponseHeadTrainer(SFTTrainer):  # type: ignore[misc]
        def compute_loss(
            self,
            model: Any,
            inputs: dict[str, Any],
            return_outputs: bool = False,
            num_items_in_batch: Any = None,
        ) -> Any:
            if return_outputs:
                return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            return response_loss(model, inputs, num_items_in_batch)

    return _ResponseHeadTrainer


def response_loss(model: Any, inputs: dict[str, Any], n_tokens: Any = None) -> Any:
    """Summed loss of the labelled tokens, divided by `n_tokens` (by default their number).

    Rows of similar length share a forward pass, which saves padding.
    """
    lengths = inputs["attention_mask"].sum(dim=1)
    order = lengths.argsort()
    total: Any = 0.0
    for rows in order.split(_ROWS_TOGETHER):
        width = int(lengths[rows].max())
        total = total + _summed_loss(model, {k: v[rows, :width] for k, v in inputs.items()})
    if n_tokens is None:
        n_tokens = (inputs["labels"][:, 1:] != IGNORED).sum().clamp(min=1)
    return total / n_tokens


def _summed_loss(model: Any, inputs: dict[str, Any]) -> Any:
    import torch

    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    hidden = inner.base_model(
        input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False
    ).last_hidden_state[:, :-1]
    labels = inputs["labels"][:, 1:]
    kept = labels != IGNORED
    logits = inner.get_output_embeddings()(hidden[kept]).float()
    return torch.nn.functional.cross_entropy(logits, labels[kept], reduction="sum")


def _config(options: FinetuneOptions, out: Path, n_rows: int) -> Any:
    import torch
    from trl import SFTConfig

    steps_per_pass = math.ceil(n_rows / options.batch_size)
    n_steps = options.max_steps or math.ceil(steps_per_pass * options.epochs)
    n_decay = round(n_steps * options.decay_fraction)
    rows_at_once = options.rows_at_once or options.batch_size
    on_cpu = not torch.cuda.is_available()
    schedule: dict[str, Any] = {"lr_scheduler_type": "constant_with_warmup"}
    if n_decay:
        schedule = {
            "lr_scheduler_type": "warmup_stable_decay",
            "lr_scheduler_kwargs": {"num_decay_steps": n_decay, "decay_type": "linear"},
        }
    return SFTConfig(
        output_dir=str(out),
        max_steps=n_steps,
        per_device_train_batch_size=rows_at_once,
        gradient_accumulation_steps=options.batch_size // rows_at_once,
        learning_rate=options.rate,
        warmup_steps=max(0, min(options.warm_up, n_steps - n_decay - 1)),
        max_grad_norm=1.0,
        weight_decay=0.0,
        adam_beta2=0.999,
        optim="adamw_torch_fused",
        bf16=options.dtype == "bfloat16",
        use_cpu=on_cpu,
        gradient_checkpointing=not on_cpu,
        max_length=None,
        packing=False,
        save_strategy="no",
        report_to="none",
        logging_strategy="no",
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        seed=options.seed,
        data_seed=options.seed,
        **schedule,
    )


def _make_callback(on_step: StepHook) -> Any:
    from transformers import TrainerCallback

    class _Steps(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **extra: Any) -> None:
            if on_step(0, extra["model"]):
                control.should_training_stop = True

        def on_step_end(self, args: Any, state: Any, control: Any, **extra: Any) -> None:
            if on_step(state.global_step, extra["model"]):
                control.should_training_stop = True

    return _Steps()


@contextmanager
def _quiet_trainer() -> Iterator[None]:
    """Hide the progress bars and warnings of other packages. Errors are still raised."""
    import datasets

    from ifcurate.engines.hf.quiet import quiet

    shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if shown:
            datasets.enable_progress_bars()


def can_mark_answers(tokenizer: Any) -> bool | None:
    """Return whether TRL knows where the chat template writes each answer; None without TRL."""
    try:
        from trl.chat_template_utils import get_training_chat_template
    except ImportError:
        return None
    try:
        get_training_chat_template(tokenizer)
    except ValueError:
        return False
    return True
