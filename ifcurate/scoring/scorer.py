"""Scores from examples: the loss of each response with and without its context.

With the response tokens y_1..y_n, the context c and the rest of the prompt x,

    loss_with    = -1/n sum_t log p(y_t | x, c, y_<t)
    loss_without = -1/n sum_t log p(y_t | x, y_<t)
    gain         = loss_without - loss_with            (nats per response token)

A high `loss_without` marks a context-critical example (Goyal et al., ICLR 2025,
section 4.4, as perplexity). A high gain shows that the context helps.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from ifcurate.engines.base import Answer, Engine, Float32Array, Prompt
from ifcurate.errors import ModelError, RowTimeoutError
from ifcurate.memory import PIECE_BYTES, MemoryBudget
from ifcurate.options.score import ScoreSettings
from ifcurate.prompts.pairs import PromptPair, build_pairs
from ifcurate.prompts.places import find_context_tokens
from ifcurate.prompts.rules import rules_version
from ifcurate.prompts.templates import Template, load_template
from ifcurate.records import Example
from ifcurate.scoring.tables import Numbers, response_losses, score_table, token_table

if TYPE_CHECKING:
    from ifcurate.engines.base import EngineIdentity

_NOT_FINITE: Final = "the model gave a loss that is not a finite number"

#: A function that returns the NUMBERS of those keys that an earlier run scored.
Known = Callable[[Sequence[str]], Mapping[str, Numbers]]
Arrays = tuple[Float32Array, Float32Array]  # with context, without context


@dataclass(frozen=True, slots=True)
class Chunk:
    """The tables of the examples that were scored together."""

    scores: pl.DataFrame  # SCORES
    tokens: pl.DataFrame | None  # TOKENS, when asked for
    n_known: int = 0  # examples whose numbers were known
    n_tokens: int = 0  # tokens that the engine scored
    n_prompts: int = 0  # the same


def join_chunks(chunks: Sequence[Chunk]) -> Chunk:
    """Return the tables of pieces of one chunk, in their order."""
    if len(chunks) == 1:
        return chunks[0]
    tokens = [chunk.tokens for chunk in chunks if chunk.tokens is not None]
    return Chunk(
        pl.concat([chunk.scores for chunk in chunks]),
        pl.concat(tokens) if tokens else None,
        sum(chunk.n_known for chunk in chunks),
        sum(chunk.n_tokens for chunk in chunks),
        sum(chunk.n_prompts for chunk in chunks),
    )


@dataclass(frozen=True, slots=True)
class Request:
    """What the engine must score of a chunk of examples."""

    pairs: tuple[PromptPair, ...]
    keys: Mapping[int, str]  # keys of the pairs that have prompts
    known: Mapping[str, Numbers]  # by key, from earlier runs
    asked: tuple[int, ...]  # the pairs whose prompts follow
    prompts: tuple[Prompt, ...]  # with and without context, in turn

    @property
    def n_known(self) -> int:
        """Examples whose numbers come from earlier runs."""
        return len(self.keys) - len(self.asked)

    @property
    def n_tokens(self) -> int:
        """Tokens of all prompts."""
        return sum(len(prompt.ids) for prompt in self.prompts)


@dataclass(frozen=True)
class Scorer:
    """An engine with a template and settings: examples in, tables out."""

    engine: Engine
    settings: ScoreSettings
    template: Template
    memory: MemoryBudget | None = None  # for the current rows; None: no limit for one row

    @classmethod
    def create(
        cls,
        engine: Engine,
        settings: ScoreSettings,
        *,
        template: str | Path | Callable[[Example], str] | None = None,
        memory: MemoryBudget | None = None,
    ) -> Scorer:
        """Load the template for the engine's tokenizer and check that the two fit.

        `template` replaces the template of the settings: a name, a file, Jinja as text, or a
        function. Raises `TemplateError` when the template is unknown or does not render, and
        `ModelError` for a method that the engine does not have.
        """
        if settings.method == "attention" and not engine.gives_attention:
            raise ModelError(
                f"method attention: engine {engine.identity.engine} does not give its attention; "
                "use the engine hf, or the method loss"
            )
        loaded = load_template(template or settings.template, engine.tokenizer)
        if settings.ablation == "template":
            probe = Example(instruction="Instruct.", response="Response.")
            loaded.render(probe, variant="without")
        return cls(engine, settings, loaded, memory)

    def identity(self) -> dict[str, Any]:
        """Everything that a score depends on, except the data, for manifests."""
        identity: EngineIdentity = self.engine.identity
        unused = {"method", "attention_layer"} if self.settings.method == "loss" else set()
        settings = self.settings.model_dump(exclude=unused)
        settings["template"] = self.template.name
        settings["max_length"] = self._max_length()
        return {
            "engine": asdict(identity),
            "rules": rules_version(),
            "template": {"name": self.template.name, "fingerprint": self.template.fingerprint},
            "settings": settings,
        }

    def _max_length(self) -> int:
        asked = self.settings.max_length
        return min(asked, self.engine.max_length) if asked else self.engine.max_length

    @property
    def piece_bytes(self) -> int:
        """Bytes of the input that are read and tokenised together, at most."""
        # The `shuffle` ablation swaps contexts inside a piece, so its size must not depend on the
        # machine.
        shuffled = self.settings.ablation == "shuffle"
        return PIECE_BYTES if self.memory is None or shuffled else self.memory.piece

    def score(self, examples: Sequence[Example]) -> tuple[pl.DataFrame, pl.DataFrame]:
        """SCORES and TOKENS of these examples, a row (or token) each, in order.

        Raises `ModelError` when the engine fails.
        """
        chunk = self.score_pairs(self.prepare(examples), tokens=True)
        assert chunk.tokens is not None
        return chunk.scores, chunk.tokens

    def score_pairs(self, pairs: Sequence[PromptPair], *, tokens: bool = False) -> Chunk:
        """Return the tables of what `prepare` gave. Raises `ModelError` when the engine fails."""
        request = self.request(pairs)
        return self.finish(request, self.engine.submit(request.prompts).result(), tokens=tokens)

    def prepare(self, examples: Sequence[Example]) -> list[PromptPair]:
        """Return the two prompts of each example, or why it has none, in order."""
        settings = self.settings.model_copy(update={"max_length": self._max_length()})
        tokenizer = self.engine.tokenizer
        return build_pairs(examples, self.template, tokenizer, settings, self.memory)

    def request(self, pairs: Sequence[PromptPair], *, known: Known | None = None) -> Request:
        """Return the prompts that the engine must score.

        `known` gives the NUMBERS of earlier runs by key; the engine scores the other
        examples only. A table of tokens needs a request without `known`.
        """
        keys = {i: pair.key for i, pair in enumerate(pairs) if pair.with_context is not None}
        earlier = known(list(keys.values())) if known is not None and keys else {}
        asked = tuple(i for i, key in keys.items() if key not in earlier)
        both = ((pairs[i].with_context, pairs[i].without_context) for i in asked)
        prompts = tuple(filter(None, itertools.chain.from_iterable(both)))
        return Request(tuple(pairs), keys, earlier, asked, prompts)

    def finish(self, request: Request, answers: Sequence[Answer], *, tokens: bool = False) -> Chunk:
        """Return the tables of a request, from the engine's answers to its prompts."""
        pairs = list(request.pairs)
        scored = _divide_answers(request, answers, pairs)
        keys = {i: key for i, key in request.keys.items() if pairs[i].with_context is not None}
        losses = response_losses(list(scored.values()), self.settings.token_gain)
        fresh = {i: values for i, values in zip(scored, losses, strict=True) if values is not None}
        for i in scored.keys() - fresh.keys():
            pairs[i] = replace(pairs[i], status="error", reason=_NOT_FINITE)
        known = {i: request.known[key] for i, key in keys.items() if key in request.known}
        numbers = known | fresh
        table = None
        if tokens:
            table = token_table([pairs[i] for i in fresh], [scored[i] for i in fresh])
        scores = score_table(pairs, keys, numbers, self._attend(pairs, numbers))
        return Chunk(scores, table, request.n_known, request.n_tokens, len(request.prompts))

    def _attend(self, pairs: Sequence[PromptPair], wanted: Iterable[int]) -> dict[int, float]:
        """Return the attention score (Wang et al., 2024) of pairs whose context is found."""
        if self.settings.method != "attention":
            return {}
        variant = "with" if self.settings.ablation == "template" else ""
        prompts, spans = {}, {}
        for i in wanted:
            prompt = pairs[i].with_context
            assert prompt is not None
            span = find_context_tokens(
                pairs[i].example, prompt, self.template, self.engine.tokenizer, variant=variant
            )
            if span:
                prompts[i], spans[i] = prompt, span
        shares = self.engine.attention_shares(list(prompts.values()), list(spans.values()))
        return {i: self._attention_score(own) for i, own in zip(prompts, shares, strict=True)}

    def _attention_score(self, shares: Float32Array) -> float:
        """Largest head of a layer, mean over tokens; `shares` is (layers, heads, tokens)."""
        n_layers = len(shares)
        layer = self.settings.attention_layer
        layer = n_layers // 2 if layer is None else layer
        if layer >= n_layers:
            raise ModelError(
                f"attention_layer: the model has layers 0 to {n_layers - 1}; found {layer}; "
                "give one of them"
            )
        return float(shares[layer].max(axis=0).mean())


def _divide_answers(
    request: Request, answers: Sequence[Answer], pairs: list[PromptPair]
) -> dict[int, Arrays]:
    """Return the arrays of the pairs that were scored; the others are replaced in `pairs`."""
    scored: dict[int, Arrays] = {}
    for i, with_, without in zip(request.asked, answers[0::2], answers[1::2], strict=True):
        if isinstance(with_, ModelError) or isinstance(without, ModelError):
            pairs[i] = _failed_pair(pairs[i], with_, without)
        else:
            scored[i] = with_, without
    return scored


def _failed_pair(pair: PromptPair, with_: Answer, without: Answer) -> PromptPair:
    error = with_ if isinstance(with_, ModelError) else without
    status = "timed_out" if isinstance(error, RowTimeoutError) else "out_of_memory"
    return replace(pair, status=status, reason=str(error), with_context=None, without_context=None)
