"""Models under evaluation: in this process (transformers, vLLM), or behind an endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ifcurate.engines.base import Prompt, Tokenizer
from ifcurate.evaluation.answering import answer_logprobs, generate_greedily
from ifcurate.options.evaluate import EvaluateOptions

__all__ = ["AnsweringModel", "LocalModel", "open_model"]


class AnsweringModel(Protocol):
    """Answers prompts greedily and returns the log-probability of fixed answers."""

    @property
    def name(self) -> str:
        """The folder's name, the Hub id or the server's name for the model."""

    @property
    def revision(self) -> str:
        """Commit, or a hash of the weights."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer whose ids the prompts have."""

    def answer(self, prompts: Sequence[Sequence[int]]) -> list[str]:
        """The greedy continuation of each prompt."""

    def logprobs(self, prompts: Sequence[Prompt]) -> list[float]:
        """Summed natural-log probability of each prompt's response."""

    def close(self) -> None:
        """Release its resources."""


def open_model(model: str, options: EvaluateOptions) -> AnsweringModel:
    """Load a model, or connect to the server that has it. Raises `ModelError`."""
    if options.engine != "hf":
        return _open_engine(model, options)
    return _open_local(model, options)


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model of transformers."""

    name: str
    revision: str
    tokenizer: Tokenizer
    model: Any
    hf_tokenizer: Any
    options: EvaluateOptions

    def answer(self, prompts: Sequence[Sequence[int]]) -> list[str]:
        """The greedy continuation of each prompt's ids."""
        return generate_greedily(
            self.model, self.hf_tokenizer, prompts,
            max_new_tokens=self.options.max_new_tokens, batch_size=self.options.batch_size,
        )  # fmt: skip

    def logprobs(self, prompts: Sequence[Prompt]) -> list[float]:
        """Summed natural-log probability of each prompt's response."""
        return answer_logprobs(self.model, prompts, batch_size=self.options.batch_size)

    def close(self) -> None:
        """Nothing to release."""


def _open_local(model: str, options: EvaluateOptions) -> LocalModel:
    from ifcurate.engines.hf.loading import (
        choose_device,
        choose_dtype,
        load_config,
        load_model,
        load_tokenizer,
        stored_dtype,
    )
    from ifcurate.engines.hf.source import find_model
    from ifcurate.engines.hf.tokenizer import HFTokenizer
    from ifcurate.models import resolve_model

    source = find_model(resolve_model(model))
    config = load_config(source, trust_remote_code=False)
    device = choose_device(options.device)
    dtype = choose_dtype(options.dtype, device, stored_dtype(source, config))
    tokenizer = load_tokenizer(source, trust_remote_code=False)
    loaded = load_model(source, config, dtype=dtype, device=device, trust_remote_code=False)
    wrapped = HFTokenizer(tokenizer, where=str(source.folder))
    return LocalModel(source.name, source.revision, wrapped, loaded, tokenizer, options)


@dataclass(frozen=True, slots=True)
class _EngineModel:
    """A model of an engine that continues prompts: vLLM, or a server such as vLLM's."""

    engine: Any  # VLLMEngine or ServerEngine
    options: EvaluateOptions

    @property
    def name(self) -> str:
        return str(self.engine.identity.model)

    @property
    def revision(self) -> str:
        return str(self.engine.identity.revision)

    @property
    def tokenizer(self) -> Tokenizer:
        tokenizer: Tokenizer = self.engine.tokenizer
        return tokenizer

    def answer(self, prompts: Sequence[Sequence[int]]) -> list[str]:
        answers: list[str] = self.engine.continue_greedily(
            prompts, max_new_tokens=self.options.max_new_tokens
        )
        return answers

    def logprobs(self, prompts: Sequence[Prompt]) -> list[float]:
        return [float(values.sum()) for values in self.engine.response_logprobs(prompts)]

    def close(self) -> None:
        self.engine.close()


def _open_engine(model: str, options: EvaluateOptions) -> _EngineModel:
    from ifcurate.engines.load import load_engine

    more: dict[str, Any] = {"dtype": options.dtype}
    if options.engine == "server":
        more |= {"base_url": options.base_url, "tokenizer": options.tokenizer}
    return _EngineModel(load_engine(options.engine, model=model, **more), options)
