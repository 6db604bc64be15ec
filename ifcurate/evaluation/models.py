"""Models under evaluation: in this process (transformers, vLLM), or behind an endpoint."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ifcurate.engines.base import Prompt, Tokenizer
from ifcurate.evaluation.answering import answer_logprobs, generate_greedily
from ifcurate.options.evaluate import EvaluateOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweringModel(ABC):
    """Answers prompts greedily and returns the log-probability of fixed answers."""

    name: str  # the folder's name, the Hub id or the server's name for the model
    revision: str  # commit, or a hash of the weights
    tokenizer: Tokenizer  # whose ids the prompts have
    options: EvaluateOptions

    @abstractmethod
    def answer(self, prompts: Sequence[Sequence[int]]) -> list[str]:
        """The greedy continuation of each prompt's ids."""

    @abstractmethod
    def logprobs(self, prompts: Sequence[Prompt]) -> list[float]:
        """Summed natural-log probability of each prompt's response."""

    def close(self) -> None:  # noqa: B027  (a local model holds nothing)
        """Release its resources."""


def open_model(model: str, options: EvaluateOptions) -> AnsweringModel:
    """Load a model, or connect to the server that has it. Raises `ModelError`."""
    if options.engine != "hf":
        return _open_engine(model, options)
    return _open_local(model, options)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalModel(AnsweringModel):
    """A model of transformers."""

    model: Any
    hf_tokenizer: Any

    def answer(self, prompts: Sequence[Sequence[int]]) -> list[str]:
        """See `AnsweringModel.answer`."""
        return generate_greedily(
            self.model, self.hf_tokenizer, prompts,
            max_new_tokens=self.options.max_new_tokens, batch_size=self.options.batch_size,
        )  # fmt: skip

    def logprobs(self, prompts: Sequence[Prompt]) -> list[float]:
        """See `AnsweringModel.logprobs`."""
        return answer_logprobs(self.model, prompts, batch_size=self.options.batch_size)


def _open_local(model: str, options: EvaluateOptions) -> LocalModel:
    from ifcurate.engines.hf.loading import load_causal_model
    from ifcurate.engines.hf.tokenizer import HFTokenizer

    source, loaded, tokenizer = load_causal_model(model, dtype=options.dtype, device=options.device)
    return LocalModel(
        name=source.name, revision=source.revision, options=options, model=loaded,
        tokenizer=HFTokenizer(tokenizer, where=str(source.folder)), hf_tokenizer=tokenizer,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _EngineModel(AnsweringModel):
    """A model of an engine that continues prompts: vLLM, or a server such as vLLM's."""

    engine: Any  # VLLMEngine or ServerEngine

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
    engine = load_engine(options.engine, model=model, **more)
    known = engine.identity
    return _EngineModel(
        name=known.model, revision=known.revision, tokenizer=engine.tokenizer, options=options,
        engine=engine,
    )  # fmt: skip
