"""What an engine is: something that says how likely a response is after a prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

__all__ = [
    "Asked",
    "Encoding",
    "Engine",
    "EngineIdentity",
    "EngineReport",
    "Float32Array",
    "Prompt",
    "Tokenizer",
    "begin_prompts",
    "closing_engine",
    "works_apart",
]

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids of a prompt and its response; the response is what is scored."""

    ids: Sequence[int]  # shape (n_tokens,)
    response_start: int  # ids[response_start:] are the response; always at least 1


@dataclass(frozen=True, slots=True)
class EngineIdentity:
    """What produced a number. Scores of two different identities are never mixed."""

    engine: str  # "hf", "toy", ...
    engine_version: str
    model: str  # Hub id, folder name, or "toy"
    revision: str  # commit of the Hub, or a hash of the weights' file list
    dtype: str  # "float32", "bfloat16", "float16"
    tokenizer: str  # fingerprint


@dataclass(frozen=True, slots=True)
class Encoding:
    """Token ids with the characters each came from."""

    ids: list[int]  # shape (n_tokens,)
    offsets: list[tuple[int, int]]  # shape (n_tokens,), characters of the text, end exclusive


class Tokenizer(Protocol):
    """The little that rendering needs to know of a tokenizer."""

    @property
    def fingerprint(self) -> str:
        """Changes when any id could change."""

    @property
    def bos_id(self) -> int | None:
        """Put before a text by this tokenizer itself; None when it puts nothing there."""

    @property
    def fallback_start_id(self) -> int:
        """An id to condition on where a prompt is empty and there is no `bos_id`."""

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


class Engine(Protocol):
    """Response log-probabilities for prompts, in the order given."""

    @property
    def identity(self) -> EngineIdentity:
        """What the numbers come from."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer whose ids `response_logprobs` takes."""

    @property
    def max_length(self) -> int:
        """The most tokens one sequence may have."""

    def response_logprobs(self, prompts: Sequence[Prompt]) -> list[Float32Array]:
        """Natural-log probability of every response token given all before it.

        One float32 array per prompt, shape (n_response_tokens,), in the order
        given. Raises `ModelError` when the model fails; never returns a number
        in place of a failure.
        """


class Asked(Protocol):
    """Prompts that an engine has begun with."""

    def result(self) -> list[Float32Array]:
        """What `Engine.response_logprobs` returns and raises."""

    def cancel(self) -> None:
        """They are not wanted any more; an engine may leave out what it has not begun with."""


@dataclass(frozen=True, slots=True)
class _AskedLater:
    engine: Engine
    prompts: Sequence[Prompt]

    def result(self) -> list[Float32Array]:
        return self.engine.response_logprobs(self.prompts)

    def cancel(self) -> None:
        pass


def begin_prompts(engine: Engine, prompts: Sequence[Prompt]) -> Asked:
    """`response_logprobs` in two steps, for more than one chunk at a time.

    An engine that has a method `begin` is at work when this returns; of others all
    is done when the result is asked for. The numbers are the same either way.
    """
    begin = getattr(engine, "begin", None)
    asked: Asked = begin(prompts) if begin is not None else _AskedLater(engine, prompts)
    return asked


def works_apart(engine: Engine) -> bool:
    """Whether this process has time while the model works: on a GPU, in processes, on a server.

    An engine says so by its attribute of this name.
    """
    return bool(getattr(engine, "works_apart", False))


@contextmanager
def closing_engine(engine: Engine) -> Iterator[None]:
    """At the end, whatever comes, end what an engine holds: processes, connections."""
    try:
        yield
    finally:
        close = getattr(engine, "close", None)
        if close is not None:
            close()


@dataclass(slots=True)
class EngineReport:
    """What an engine has to tell of its own work, for the summary."""

    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the manifest."""
        return {"notes": list(self.notes), "counts": dict(self.counts)}
