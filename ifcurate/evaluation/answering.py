"""Greedy answers of a causal language model, and log-probabilities of fixed answers, batched.

Prompts of similar length share a batch, padded on the left. Results are in the order
of the prompts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from ifcurate.engines.base import Prompt

__all__ = ["BATCH_SIZE", "answer_logprobs", "generate_greedily"]

BATCH_SIZE: Final = 64


def generate_greedily(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int = 40,
    batch_size: int = BATCH_SIZE,
) -> list[str]:
    """The greedy continuation of each prompt's ids, as text without special tokens.

    `model` and `tokenizer` are from transformers. A model in training mode stays in it.
    """
    answers = [""] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    with _evaluating(model):
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            texts = _generate(model, tokenizer, [prompts[i] for i in batch], max_new_tokens)
            for i, text in zip(batch, texts, strict=True):
                answers[i] = text
    return answers


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    import torch

    training, caching = model.training, model.config.use_cache
    model.eval()
    model.config.use_cache = True
    try:
        with torch.inference_mode():
            yield
    finally:
        model.config.use_cache = caching
        model.train(training)


def _generate(
    model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], max_new_tokens: int
) -> list[str]:
    import torch

    pad = tokenizer.pad_token_id
    pad = tokenizer.eos_token_id if pad is None else pad
    width = max(len(ids) for ids in prompts)
    ids = torch.full((len(prompts), width), 0 if pad is None else pad)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(list(prompt))
        mask[row, width - len(prompt) :] = 1
    out = model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        num_beams=1,
        temperature=None,
        top_p=None,
        top_k=None,
        pad_token_id=pad,
    )
    decoded: list[str] = tokenizer.batch_decode(out[:, width:], skip_special_tokens=True)
    return decoded


def answer_logprobs(
    model: Any, prompts: Sequence[Prompt], *, batch_size: int = BATCH_SIZE
) -> list[float]:
    """Summed natural-log probability of each prompt's response, in float32."""
    import torch

    sums = [0.0] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i].ids))
    with _evaluating(model):
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            width = max(len(prompts[i].ids) for i in batch)
            ids = torch.zeros((len(batch), width), dtype=torch.long)
            mask = torch.zeros_like(ids)
            for row, i in enumerate(batch):
                ids[row, : len(prompts[i].ids)] = torch.tensor(list(prompts[i].ids))
                mask[row, : len(prompts[i].ids)] = 1
            logits = model(
                input_ids=ids.to(model.device), attention_mask=mask.to(model.device),
                use_cache=False,
            ).logits  # fmt: skip
            for row, i in enumerate(batch):
                first, last = prompts[i].response_start, len(prompts[i].ids)
                logprobs = logits[row, first - 1 : last - 1].float().log_softmax(-1)
                targets = ids[row, first:last, None].to(logprobs.device)
                sums[i] = float(logprobs.gather(-1, targets).sum())
    return sums
