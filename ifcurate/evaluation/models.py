"""Models under evaluation: in this process (transformers, vLLM), or behind an endpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from ifcurate.engines.base import Engine, EngineIdentity, Float32Array, Prompt, Tokenizer
from ifcurate.options.evaluate import EvaluateOptions
from ifcurate.options.score import LoadOptions
from ifcurate.prompts.pairs import build_prompts
from ifcurate.prompts.places import find_context_tokens
from ifcurate.prompts.templates import Template
from ifcurate.records import Example


def open_model(model: str, options: EvaluateOptions) -> Engine:
    """Return an engine that writes answers. Raises `ModelError`."""
    if options.engine == "hf":
        return open_local(model, options)
    from ifcurate.engines.load import load_engine

    more: dict[str, Any] = {"dtype": options.dtype}
    if options.engine == "server":
        more |= {"base_url": options.base_url, "tokenizer": options.tokenizer}
    return load_engine(options.engine, model=model, **more)


class LocalModel(Engine):
    """A model of transformers that writes answers. Its weights may change between two calls."""

    def __init__(
        self, model: Any, hf_tokenizer: Any, *, name: str, revision: str, batch_size: int
    ) -> None:
        from ifcurate.engines.hf.tokenizer import HFTokenizer

        self.model = model
        self.hf_tokenizer = hf_tokenizer
        self.tokenizer = HFTokenizer(hf_tokenizer)
        self._batch_size = batch_size
        dtype = str(model.dtype).removeprefix("torch.")
        self.identity = EngineIdentity(
            "transformers", "", name, revision, dtype, self.tokenizer.fingerprint
        )

    def continue_greedily(
        self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int
    ) -> list[str]:
        """See `Engine.continue_greedily`."""
        answers = [""] * len(prompts)
        with _evaluating(self.model):
            for batch in _batches(prompts, self._batch_size):
                asked = [prompts[i] for i in batch]
                texts = _generate(self.model, self.hf_tokenizer, asked, max_new_tokens)
                for i, text in zip(batch, texts, strict=True):
                    answers[i] = text
        return answers

    def response_logprobs(self, prompts: Sequence[Prompt]) -> list[Float32Array]:
        """See `Engine.response_logprobs`."""
        found: dict[int, Float32Array] = {}
        sequences = [prompt.ids for prompt in prompts]
        with _evaluating(self.model):
            for batch in _batches(sequences, self._batch_size):
                inputs = _pad(self.model, [sequences[i] for i in batch], side="right")
                logits = self.model(**inputs, use_cache=False).logits
                for row, i in enumerate(batch):
                    first, last = prompts[i].response_start, len(prompts[i].ids)
                    logprobs = logits[row, first - 1 : last - 1].float().log_softmax(-1)
                    targets = inputs["input_ids"][row, first:last, None].to(logprobs.device)
                    found[i] = logprobs.gather(-1, targets)[:, 0].cpu().numpy()
        return [found[i] for i in range(len(prompts))]


def open_local(model: str, options: EvaluateOptions) -> LocalModel:
    """Load a model into this process. Raises `ModelError`."""
    from ifcurate.engines.hf.loading import load_causal_model

    source, loaded, tokenizer = load_causal_model(
        model, LoadOptions(dtype=options.dtype, device=options.device)
    )
    return LocalModel(
        loaded,
        tokenizer,
        name=source.name,
        revision=source.revision,
        batch_size=options.batch_size,
    )


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    import torch

    # Without adapters, whose wrapper passes on the settings of the model inside.
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    training, caching, own = model.training, model.config.use_cache, inner.generation_config
    model.eval()
    model.config.use_cache = True
    # A model may come with settings that change greedy answers. A penalty on repetition is one:
    # it makes the words of the context less likely.
    inner.generation_config = type(own)(eos_token_id=own.eos_token_id)
    try:
        with torch.inference_mode():
            yield
    finally:
        inner.generation_config = own
        model.config.use_cache = caching
        model.train(training)


def _generate(
    model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], max_new_tokens: int
) -> list[str]:
    pad = tokenizer.pad_token_id
    pad = tokenizer.eos_token_id if pad is None else pad
    inputs = _pad(model, prompts, side="left", fill=0 if pad is None else pad)
    out = model.generate(
        **inputs,
        max_new_tokens=max_new_tokens,
        do_sample=False,
        pad_token_id=pad,
    )
    decoded: list[str] = tokenizer.batch_decode(
        out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
    )
    return decoded


def _batches(sequences: Sequence[Sequence[int]], size: int) -> Iterator[list[int]]:
    """Yield the numbers of sequences of similar length."""
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _pad(
    model: Any,
    sequences: Sequence[Sequence[int]],
    *,
    side: Literal["left", "right"],
    fill: int = 0,
) -> dict[str, Any]:
    """Return the ids and the mask of a batch, on the model's device."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    rows = [torch.tensor(list(own)) for own in sequences]
    ids = pad_sequence(rows, batch_first=True, padding_value=fill, padding_side=side)
    ones = [torch.ones_like(row) for row in rows]
    mask = pad_sequence(ones, batch_first=True, padding_side=side)
    return {"input_ids": ids.to(model.device), "attention_mask": mask.to(model.device)}


def measure_attention(
    model: Any, tokenizer: Tokenizer, template: Template, examples: Sequence[Example]
) -> dict[str, Float32Array]:
    """Id -> attention on the context; examples without a context are left out.

    For a response token t, layer l and head h, the share is the attention of the position that
    predicts t, summed over the context's tokens: (n_layers, n_heads, n_response_tokens). Figure 3b
    of Goyal et al. (ICLR 2025) plots its mean over heads by layer, over the checkpoints of a run.
    The score of Wang et al. (2024, arXiv 2411.02688) is the largest head at one layer. Both are
    averaged over the response's tokens.

    `model` is from transformers. The response of each example is read, not generated. Raises
    `ModelError` for a model whose layers give no attention.
    """
    from ifcurate.engines.hf.watching import attention_shares

    prompts = build_prompts(examples, template, tokenizer)
    spans = {
        i: span
        for i, example in enumerate(examples)
        if example.has_context
        and (span := find_context_tokens(example, prompts[i], template, tokenizer))
    }
    shares = attention_shares(model, [prompts[i] for i in spans], list(spans.values()))
    return {examples[i].id: own for i, own in zip(spans, shares, strict=True)}
