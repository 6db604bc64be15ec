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
from dataclasses import asdict, dataclass, replace
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from ifcurate.engines.base import Engine, Float32Array, Prompt
from ifcurate.errors import RowTooLargeError
from ifcurate.prompts import ABLATIONS, PromptPair, PromptSettings, build_pairs
from ifcurate.records import ContextBlock, Example
from ifcurate.tables import SCORES, TOKENS
from ifcurate.templates import Template, load_template

if TYPE_CHECKING:
    from ifcurate.engines.base import EngineIdentity

__all__ = ["NUMBERS", "Chunk", "Known", "Numbers", "ScoreSettings", "Scorer", "score_examples"]

_PREVIEW: Final = 100  # characters
_NOT_FINITE: Final = "the model gave a loss that is not a finite number"

#: The columns of SCORES that come from the model, in the order of a `Numbers`.
NUMBERS: Final = (
    "n_response_tokens",
    "nll_with_context",
    "nll_without_context",
    "loss_with_context",
    "loss_without_context",
    "context_gain",
    "max_token_loss_with_context",
    "max_token_loss_without_context",
    "max_token_gain",
    "gain_token_fraction",
)
Numbers = tuple[Any, ...]  # values of NUMBERS: an int, then floats
Known = Callable[[Sequence[str]], Mapping[str, Numbers]]  # of keys, those that are known


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """Options of scoring; everything here is part of what a score means."""

    template: str = "auto"
    ablation: str = "drop"  # drop, template or shuffle
    score_eot: bool = False  # take the token that ends the response into the loss
    too_long: str = "skip"  # or "shorten": cut the context in the middle
    max_length: int | None = None  # tokens; None for what the model takes
    token_gain: float = 0.5  # nats: a token with a larger gain counts in gain_token_fraction
    chunk_rows: int = 256  # rows that are scored, and written, together

    def __post_init__(self) -> None:
        _check(self.ablation in ABLATIONS, f"ablation {self.ablation!r}", ABLATIONS)
        _check(
            self.too_long in ("skip", "shorten"), f"too_long {self.too_long!r}", ("skip", "shorten")
        )
        if self.chunk_rows < 1:
            raise ValueError(f"chunk_rows {self.chunk_rows}: must be at least 1")


def _check(good: bool, what: str, known: Sequence[str]) -> None:
    if not good:
        raise ValueError(f"{what}: unknown; known are {', '.join(known)}")


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
        settings = asdict(self.settings)
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
        if tokens:
            known = None
        pairs = list(pairs)
        ready = [i for i, pair in enumerate(pairs) if pair.with_context is not None]
        keys = {i: pairs[i].key for i in ready}
        had = known(list(keys.values())) if known is not None and keys else {}
        asked = [i for i in ready if keys[i] not in had]
        prompts, found = self._ask(pairs, asked)
        losses = _losses(found[0::2], found[1::2], self.settings.token_gain)
        keys = {i: key for i, key in keys.items() if pairs[i].with_context is not None}
        numbers: dict[int, Numbers] = {i: had[key] for i, key in keys.items() if key in had}
        for i, values in zip(asked, losses, strict=True):
            if values is None:
                pairs[i] = replace(pairs[i], status="error", reason=_NOT_FINITE)
            else:
                numbers[i] = values
        scores = _score_table(pairs, keys, numbers)
        table = None
        if tokens:
            good = [n for n, i in enumerate(asked) if i in numbers]
            table = _token_table(
                [pairs[asked[n]] for n in good], [(found[2 * n], found[2 * n + 1]) for n in good]
            )
        return Chunk(scores, table, len(keys) - len(asked), sum(len(p.ids) for p in prompts))

    def _ask(
        self, pairs: list[PromptPair], asked: list[int]
    ) -> tuple[list[Prompt], list[Float32Array]]:
        """Both prompts of each pair that is `asked`, and what the engine says of them.

        A row that the machine's memory does not hold is `too_long` from then on, and
        asked no more; the others do not suffer for it.
        """
        while True:
            both = [(pairs[i].with_context, pairs[i].without_context) for i in asked]
            prompts = [prompt for pair in both for prompt in pair if prompt is not None]
            try:
                return prompts, self.engine.response_logprobs(prompts) if prompts else []
            except RowTooLargeError as error:
                i = asked.pop(error.index // 2)
                pairs[i] = replace(
                    pairs[i],
                    status="too_long",
                    reason=str(error),
                    with_context=None,
                    without_context=None,
                )

    def prepare(self, examples: Sequence[Example]) -> list[PromptPair]:
        """The two prompts of each example, or why it has none, in order."""
        prompts = PromptSettings(
            ablation=self.settings.ablation,  # type: ignore[arg-type]
            score_eot=self.settings.score_eot,
            too_long=self.settings.too_long,  # type: ignore[arg-type]
            max_length=self._max_length(),
        )
        return build_pairs(examples, self.template, self.engine.tokenizer, prompts)


def _losses(
    with_: Sequence[Float32Array], without: Sequence[Float32Array], token_gain: float
) -> list[Numbers | None]:
    """NUMBERS of each row from its log-probabilities, each (n_response_tokens,); None if broken."""
    if not with_:
        return []
    lengths = np.array([len(values) for values in with_])
    starts = np.cumsum(lengths) - lengths
    loss_with = -np.concatenate(with_).astype(np.float64)
    loss_without = -np.concatenate(without).astype(np.float64)
    finite = np.isfinite(loss_with) & np.isfinite(loss_without)
    whole = np.logical_and.reduceat(finite, starts)
    with np.errstate(invalid="ignore"):
        gain = loss_without - loss_with
        sums = [np.add.reduceat(v, starts) for v in (loss_with, loss_without, gain)]
        columns = [
            sums[0],
            sums[1],
            *(total / lengths for total in sums),
            *(np.maximum.reduceat(v, starts) for v in (loss_with, loss_without, gain)),
            np.add.reduceat((gain > token_gain).astype(np.int64), starts) / lengths,
        ]
    rows = zip(lengths.tolist(), *(column.tolist() for column in columns), strict=True)
    return [row if good else None for row, good in zip(rows, whole.tolist(), strict=True)]


def _score_table(
    pairs: Sequence[PromptPair], keys: Mapping[int, str], numbers: Mapping[int, Numbers]
) -> pl.DataFrame:
    """A SCORES row for each pair, in order; the key and the numbers of those that have them."""
    apart = {*NUMBERS, "context_blocks"}
    columns: dict[str, Any] = {name: [] for name in SCORES if name not in apart}
    for i, pair in enumerate(pairs):
        row = _describe(pair)
        row["key"] = keys.get(i)
        for name, values in columns.items():
            values.append(row[name])
    missing: Numbers = (None,) * len(NUMBERS)
    rows = [numbers.get(i, missing) for i in range(len(pairs))]
    by_column = zip(*rows, strict=True) if rows else ([] for _ in NUMBERS)
    columns |= dict(zip(NUMBERS, map(list, by_column), strict=True))
    columns["context_blocks"] = _block_column([pair.example.blocks for pair in pairs])
    return pl.DataFrame({name: columns[name] for name in SCORES}, schema=SCORES)


def _block_column(blocks: Sequence[Sequence[ContextBlock]]) -> pl.Series:
    """The `context_blocks` of each example; null where it has none."""
    import pyarrow as pa

    flat = [block for own in blocks for block in own]
    fields = {
        "path": pa.array([b.path for b in flat], pa.large_string()),
        "start": pa.array([b.start for b in flat], pa.int32()),
        "end": pa.array([b.end for b in flat], pa.int32()),
        "rule": pa.array([b.rule for b in flat], pa.large_string()),
    }
    values = pa.StructArray.from_arrays(list(fields.values()), names=list(fields))
    starts = list(accumulate((len(own) for own in blocks), initial=0))
    # An offset that is null makes a null list.
    offsets = [s if own else None for s, own in zip(starts, [*blocks, [None]], strict=True)]
    lists = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values)
    found = pl.from_arrow(lists)
    assert isinstance(found, pl.Series)
    return found


def _describe(pair: PromptPair) -> dict[str, Any]:
    """All of a SCORES row but its numbers and its key."""
    example = pair.example
    blocks = example.blocks
    sized = pair.n_tokens != (0, 0)
    text = " ".join(example.instruction.split())
    return {
        "id": example.id,
        "source": example.source,
        "row": example.row_number,
        "turn": example.turn,
        "status": pair.status,
        "reason": pair.reason or None,
        "n_context_tokens": pair.n_context_tokens if blocks and sized else None,
        "n_tokens_with_context": pair.n_tokens[0] if sized else None,
        "n_tokens_without_context": pair.n_tokens[1] if sized else None,
        "context_confidence": min((b.confidence for b in blocks), default=None),
        "boundary_straddles": pair.boundary_straddles if sized else None,
        "response_ids_forced": pair.response_ids_forced if sized else None,
        "context_shortened": pair.context_shortened if sized else None,
        "preview": text[:_PREVIEW] + ("…" if len(text) > _PREVIEW else ""),
    }


def _token_table(
    pairs: Sequence[PromptPair], found: Sequence[tuple[Float32Array, Float32Array]]
) -> pl.DataFrame:
    """TOKENS of scored pairs with their log-probabilities, each (n_response_tokens,)."""
    if not pairs:
        return pl.DataFrame(schema=TOKENS)
    lengths = [len(with_) for with_, _ in found]
    ids: list[int] = []
    for pair in pairs:
        assert pair.with_context is not None
        ids.extend(pair.with_context.ids[pair.with_context.response_start :])
    return pl.DataFrame(
        {
            "id": np.repeat(np.array([p.example.id for p in pairs], dtype=object), lengths),
            "turn": np.repeat([p.example.turn for p in pairs], lengths),
            "position": np.concatenate([np.arange(n) for n in lengths]),
            "token_id": ids,
            "loss_with_context": -np.concatenate([with_ for with_, _ in found]),
            "loss_without_context": -np.concatenate([without for _, without in found]),
        },
        schema=TOKENS,
    )


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
