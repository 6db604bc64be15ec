"""The engine protocol: the log-probabilities of a response after a prompt.

A new engine subclasses `Engine`, sets `identity`, `tokenizer` and `max_length`, and
implements `response_logprobs`. An engine that computes elsewhere (in processes, on a
server) also implements `submit`, so that the caller can prepare the next prompts.
"""

from __future__ import annotations

import resource
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import ClassVar, Final, Protocol, Self

import numpy as np
import numpy.typing as npt

from ifcurate.errors import ModelError, RowTimeoutError, RowTooLargeError

Float32Array = npt.NDArray[np.float32]
#: Log-probabilities of a prompt's response tokens, or the error of this one prompt.
Answer = Float32Array | RowTooLargeError | RowTimeoutError

#: Start and end of consecutive tokens of a prompt, end exclusive.
Span = tuple[int, int]

#: The end of an engine's version when its compiled kernels are switched off.
NO_KERNELS: Final = "-no-kernels"


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids of a prompt and its response. Only the response is scored."""

    ids: Sequence[int]  # shape (n_tokens,)
    response_start: int  # ids[response_start:] are the response; always at least 1


@dataclass(frozen=True, slots=True)
class EngineIdentity:
    """The engine and model that give a number. Scores of two identities are never mixed."""

    engine: str  # "hf", "toy", ...
    engine_version: str
    model: str  # Hub id, folder name, or "toy"
    revision: str  # commit of the Hub, or a hash of the weights' file list
    dtype: str  # "float32", "bfloat16", "float16"
    tokenizer: str  # fingerprint


@dataclass(frozen=True, slots=True)
class Encoding:
    """Token ids with the characters that each one comes from."""

    ids: list[int]  # shape (n_tokens,)
    offsets: list[tuple[int, int]]  # shape (n_tokens,), characters of the text, end exclusive


class Tokenizer(Protocol):
    """The part of a tokenizer that prompts use."""

    @property
    def fingerprint(self) -> str:
        """Changes when any id could change."""

    @property
    def bos_id(self) -> int | None:
        """The id that the tokenizer puts before a text; None if it puts nothing there."""

    @property
    def fallback_start_id(self) -> int:
        """The id to start from if a prompt is empty and there is no `bos_id`."""

    @property
    def eos_text(self) -> str:
        """The end-of-text token as text, "" when there is none."""

    @property
    def chat_template(self) -> str | None:
        """The Jinja source of its chat template."""

    def encode(self, text: str) -> Encoding:
        """Encode without adding any special token."""

    def encode_batch(self, texts: Sequence[str]) -> list[Encoding]:
        """Encode many texts, each as `encode` does."""

    def special_tokens(self) -> Mapping[str, str]:
        """`bos_token`, `eos_token`, ... as chat templates name them."""


@dataclass(slots=True)
class EngineReport:
    """The work of an engine so far, for the summary and the manifest."""

    notes: list[str] = field(default_factory=list)
    details: dict[str, str] = field(default_factory=dict)  # for the manifest only
    counts: Counter[str] = field(default_factory=Counter)


class Engine(ABC):
    """Response log-probabilities for prompts, in the order given.

    A context manager: `close` is called at its end.
    """

    identity: EngineIdentity  # the origin of the numbers
    tokenizer: Tokenizer  # the tokenizer that gives the prompts' ids
    max_length: int  # the most tokens one sequence may have
    gives_attention: ClassVar[bool] = False  # whether it has `attention_shares`
    #: Called with the number of prompts and tokens that were scored, while others of the same
    #: `submit` are not. Calls may come from another thread. An engine need not call it.
    on_scored: Callable[[int, int], None] | None = None

    def __repr__(self) -> str:
        known = getattr(self, "identity", None)
        details = f"{known.model}, {known.dtype}" if known is not None else ""
        return f"{type(self).__name__}({details})"

    @abstractmethod
    def response_logprobs(self, prompts: Sequence[Prompt]) -> list[Float32Array]:
        """Natural-log probability of every response token given all before it.

        One float32 array per prompt, shape (n_response_tokens,), in the order
        given. Raises `ModelError` when the model fails, and never returns a number
        instead.
        """

    def submit(self, prompts: Sequence[Prompt]) -> Future[list[Answer]]:
        """Return the result of `response_logprobs` as a future. Work has begun when this returns.

        The result has a `RowTooLargeError` for a prompt that does not fit into memory, and a
        `RowTimeoutError` for a prompt that takes too long. Raises `ModelError` for a prompt that
        the model cannot score; a failure after this returns is the future's exception. By
        default, everything is computed before this returns.
        """
        return finished(list(self.response_logprobs(prompts)))

    def attention_shares(
        self, prompts: Sequence[Prompt], spans: Sequence[Sequence[Span]]
    ) -> list[Float32Array]:
        """Return the share of each response's attention that falls on the spans of its prompt.

        Each is (n_layers, n_heads, n_response_tokens), for engines that have `gives_attention`.
        """
        raise NotImplementedError

    def continue_greedily(
        self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int
    ) -> list[str]:
        """Return the likeliest continuation of each prompt's ids, token by token, as text.

        For the engines that `evaluate` can use.
        """
        raise NotImplementedError

    def report(self) -> EngineReport:
        """Return the work of the engine so far; empty by default."""
        return EngineReport()

    def memory_used(self) -> dict[str, int]:
        """Return the peak memory so far in bytes, by place: this process, and its GPU."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"process": peak if sys.platform == "darwin" else peak * 1024}

    def close(self) -> None:  # noqa: B027  (an engine may hold nothing)
        """Release what the engine holds: processes, connections.

        By default there is nothing to release.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def finished(answers: list[Answer]) -> Future[list[Answer]]:
    """Return a future that has its result."""
    future: Future[list[Answer]] = Future()
    future.set_result(answers)
    return future


def arrays_of(answers: Sequence[Answer]) -> list[Float32Array]:
    """Return the log-probabilities alone. Raises the first error among the answers."""
    arrays: list[Float32Array] = []
    for i, answer in enumerate(answers):
        if isinstance(answer, ModelError):
            raise type(answer)(f"prompt {i}: {answer}")
        arrays.append(answer)
    return arrays
