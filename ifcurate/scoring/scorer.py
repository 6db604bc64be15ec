"""Scores from examples: the loss of each response with and without its context.

With the response tokens y_1..y_n, the context c and the rest of the prompt x,

    loss_with    = -1/n sum_t log p(y_t | x, c, y_<t)
    loss_without = -1/n sum_t log p(y_t | x, y_<t)
    gain         = loss_without - loss_with            (nats per response token)

A high `loss_without` marks a context-critical example (Goyal et al., ICLR 2025,
section 4.4, as perplexity); a high gain says that it is the context that helps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from ifcurate.engines.base import Asked, Engine, Float32Array, Prompt, begin_prompts
from ifcurate.errors import RowTooLargeError
from ifcurate.options.score import ScoreSettings
from ifcurate.prompts.pairs import PromptPair, PromptSettings, build_pairs
from ifcurate.prompts.templates import Template, load_template
from ifcurate.records import Example
from ifcurate.scoring.tables import (
    NUMBERS,
    Numbers,
    response_losses,
    score_table,
    token_table,
)
from ifcurate.storage.tables import SCORES

if TYPE_CHECKING:
    from ifcurate.engines.base import EngineIdentity

__all__ = [
    "NUMBERS",
    "BegunChunk",
    "Chunk",
    "Known",
    "Numbers",
    "ScoreSettings",
    "Scorer",
    "score_examples",
]

_NOT_FINITE: Final = "the model gave a loss that is not a finite number"

Known = Callable[[Sequence[str]], Mapping[str, Numbers]]  # of keys, those that are known


@dataclass(frozen=True, slots=True)
class Chunk:
    """What came of the examples that were scored together."""

    scores: pl.DataFrame  # SCORES
    tokens: pl.DataFrame | None  # TOKENS, when asked for
    n_known: int = 0  # examples whose numbers were known
    n_tokens: int = 0  # that went through the engine


@dataclass(frozen=True)
class Scorer:
    """An engine with a template and settings: examples in, tables out."""

    engine: Engine
    settings: ScoreSettings
    template: Template

    @classmethod
    def create(cls, engine: Engine, settings: ScoreSettings) -> Scorer:
        """Load the template for the engine's tokenizer and check that the two fit.

        Raises `TemplateError` when the template is unknown or does not render.
        """
        template = load_template(settings.template, engine.tokenizer)
        if settings.ablation == "template":
            probe = Example("", "Instruct.", "", "Response.")
            template.render(probe, variant="without")
        return cls(engine, settings, template)

    def identity(self) -> dict[str, Any]:
        """Everything beside the data that a score depends on, for manifests."""
        identity: EngineIdentity = self.engine.identity
        settings = self.settings.model_dump()
        settings["template"] = self.template.name
        settings["max_length"] = self._max_length()
        return {
            "engine": asdict(identity),
            "template": {"name": self.template.name, "fingerprint": self.template.fingerprint},
            "settings": settings,
        }

    def _max_length(self) -> int:
        asked = self.settings.max_length
        return min(asked, self.engine.max_length) if asked else self.engine.max_length

    def score(self, examples: Sequence[Example]) -> tuple[pl.DataFrame, pl.DataFrame]:
        """SCORES and TOKENS of these examples, a row (or token) each, in order.

        Raises `ModelError` when the engine fails.
        """
        chunk = self.score_chunk(examples, tokens=True)
        assert chunk.tokens is not None
        return chunk.scores, chunk.tokens

    def score_chunk(
        self, examples: Sequence[Example], *, tokens: bool = False, known: Known | None = None
    ) -> Chunk:
        """The same, with the tokens on request, and without what is `known` already."""
        return self.score_pairs(self.prepare(examples), tokens=tokens, known=known)

    def score_pairs(
        self, pairs: list[PromptPair], *, tokens: bool = False, known: Known | None = None
    ) -> Chunk:
        """The second half of `score_chunk`: what `prepare` gave, through the engine.

        `known` gives the NUMBERS of the keys that it has; only the other
        examples go to the engine. Not together with `tokens`.
        """
        return self.begin_pairs(pairs, tokens=tokens, known=known).result()

    def begin_pairs(
        self, pairs: list[PromptPair], *, tokens: bool = False, known: Known | None = None
    ) -> BegunChunk:
        """The same in two steps, for more than one chunk at a time; see `begin_prompts`."""
        pairs = list(pairs)
        ready = [i for i, pair in enumerate(pairs) if pair.with_context is not None]
        keys = {i: pairs[i].key for i in ready}
        had = known(list(keys.values())) if known is not None and keys and not tokens else {}
        asked = [i for i in ready if keys[i] not in had]
        begun = BegunChunk(self, pairs, keys, had, asked, tokens)
        begun.ask()
        return begun

    def prepare(self, examples: Sequence[Example]) -> list[PromptPair]:
        """The two prompts of each example, or why it has none, in order."""
        prompts = PromptSettings(
            ablation=self.settings.ablation,
            score_eot=self.settings.score_eot,
            too_long=self.settings.too_long,
            max_length=self._max_length(),
        )
        return build_pairs(examples, self.template, self.engine.tokenizer, prompts)


@dataclass(slots=True)
class BegunChunk:
    """A chunk whose prompts the engine has."""

    scorer: Scorer
    pairs: list[PromptPair]
    keys: dict[int, str]
    had: Mapping[str, Numbers]  # what was known
    asked: list[int]  # of the pairs, those that the engine was given
    tokens: bool
    prompts: list[Prompt] = field(default_factory=list)
    under_way: Asked | None = None

    def ask(self) -> None:
        """Give the engine both prompts of each pair that is asked."""
        chosen = [self.pairs[i] for i in self.asked]
        both = [(pair.with_context, pair.without_context) for pair in chosen]
        self.prompts = [prompt for pair in both for prompt in pair if prompt is not None]
        engine = self.scorer.engine
        self.under_way = begin_prompts(engine, self.prompts) if self.prompts else None

    def cancel(self) -> None:
        """It is not wanted any more."""
        if self.under_way is not None:
            self.under_way.cancel()

    def result(self) -> Chunk:
        """The tables. Raises `ModelError` when the engine fails."""
        found = self._answers()
        pairs, asked, had = self.pairs, self.asked, self.had
        losses = response_losses(found[0::2], found[1::2], self.scorer.settings.token_gain)
        keys = {i: key for i, key in self.keys.items() if pairs[i].with_context is not None}
        numbers: dict[int, Numbers] = {i: had[key] for i, key in keys.items() if key in had}
        for i, values in zip(asked, losses, strict=True):
            if values is None:
                pairs[i] = replace(pairs[i], status="error", reason=_NOT_FINITE)
            else:
                numbers[i] = values
        scores = score_table(pairs, keys, numbers)
        table = None
        if self.tokens:
            good = [n for n, i in enumerate(asked) if i in numbers]
            table = token_table(
                [pairs[asked[n]] for n in good], [(found[2 * n], found[2 * n + 1]) for n in good]
            )
        n_tokens = sum(len(p.ids) for p in self.prompts)
        return Chunk(scores, table, len(keys) - len(asked), n_tokens)

    def _answers(self) -> list[Float32Array]:
        """What the engine says of the prompts.

        A row that the machine's memory does not hold is `too_long` from then on, and
        asked no more; the others do not suffer for it.
        """
        while self.under_way is not None:
            try:
                return self.under_way.result()
            except RowTooLargeError as error:
                i = self.asked.pop(error.index // 2)
                self.pairs[i] = replace(
                    self.pairs[i],
                    status="too_long",
                    reason=str(error),
                    with_context=None,
                    without_context=None,
                )
                self.ask()
        return []


def score_examples(
    examples: Iterable[Example], engine: Engine, settings: ScoreSettings | None = None
) -> pl.DataFrame:
    """SCORES of the examples, a row each, in order; see `tables.COLUMNS`.

    Everything is held in memory; `runs.score_run` writes to disk as it goes.
    Raises `ModelError` and `TemplateError`.
    """
    given: Any = examples
    if isinstance(given, str | bytes):
        raise TypeError(f"examples: give read_examples({given!r}), not the name of a file")
    if isinstance(engine, str):
        raise TypeError(f"engine: give load_engine({engine!r}), not its name")
    scorer = Scorer.create(engine, settings or ScoreSettings())
    iterator = iter(examples)
    parts = []
    while chunk := list(islice(iterator, scorer.settings.chunk_rows)):
        parts.append(scorer.score(chunk)[0])
    return pl.concat(parts) if parts else pl.DataFrame(schema=SCORES)
