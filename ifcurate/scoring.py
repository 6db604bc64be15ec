"""Scores from examples: the loss of each response with and without its context.

With the response tokens y_1..y_n, the context c and the rest of the prompt x,

    loss_with    = -1/n sum_t log p(y_t | x, c, y_<t)
    loss_without = -1/n sum_t log p(y_t | x, y_<t)
    gain         = loss_without - loss_with            (nats per response token)

A high `loss_without` marks a context-critical example (Goyal et al., ICLR 2025,
section 4.4, as perplexity); a high gain says that it is the context that helps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from ifcurate.engines.base import Engine, Float32Array
from ifcurate.prompts import ABLATIONS, PromptPair, PromptSettings, build_pairs
from ifcurate.records import Example
from ifcurate.tables import SCORES, TOKENS
from ifcurate.templates import Template, load_template

if TYPE_CHECKING:
    from ifcurate.engines.base import EngineIdentity

__all__ = ["ScoreSettings", "Scorer", "score_examples"]

_PREVIEW: Final = 100  # characters


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
        prompts = PromptSettings(
            ablation=self.settings.ablation,  # type: ignore[arg-type]
            score_eot=self.settings.score_eot,
            too_long=self.settings.too_long,  # type: ignore[arg-type]
            max_length=self._max_length(),
        )
        pairs = build_pairs(examples, self.template, self.engine.tokenizer, prompts)
        asked = [p for pair in pairs for p in (pair.with_context, pair.without_context) if p]
        found = iter(self.engine.response_logprobs(asked) if asked else [])
        rows: list[dict[str, Any]] = []
        tokens: list[pl.DataFrame] = []
        for pair in pairs:
            values: dict[str, Any] = {}
            if pair.with_context is not None and pair.without_context is not None:
                both = next(found), next(found)
                broken = not all(np.isfinite(v).all() for v in both)
                if broken:
                    pair = replace(
                        pair,
                        status="error",
                        reason="the model gave a loss that is not a finite number",
                    )
                else:
                    values = _losses(*both, self.settings.token_gain)
                    tokens.append(_token_rows(pair, *both))
            rows.append(_row(pair, values))
        scores = pl.DataFrame(rows, schema=SCORES)
        return scores, pl.concat(tokens) if tokens else pl.DataFrame(schema=TOKENS)


def _losses(with_: Float32Array, without: Float32Array, token_gain: float) -> dict[str, Any]:
    """The numbers of one row from its response log-probabilities, each (n_response_tokens,)."""
    loss_with = -with_.astype(np.float64)
    loss_without = -without.astype(np.float64)
    gain = loss_without - loss_with
    n = len(gain)
    return {
        "n_response_tokens": n,
        "nll_with_context": float(loss_with.sum()),
        "nll_without_context": float(loss_without.sum()),
        "loss_with_context": float(loss_with.sum() / n),
        "loss_without_context": float(loss_without.sum() / n),
        "context_gain": float(gain.sum() / n),
        "max_token_loss_with_context": float(loss_with.max()),
        "max_token_loss_without_context": float(loss_without.max()),
        "max_token_gain": float(gain.max()),
        "gain_token_fraction": float((gain > token_gain).mean()),
    }


def _row(pair: PromptPair, values: dict[str, Any]) -> dict[str, Any]:
    example = pair.example
    blocks = example.blocks
    sized = pair.n_tokens != (0, 0)
    text = " ".join(example.instruction.split())
    return {
        "id": example.id,
        "source": example.source,
        "row": example.row_number,
        "turn": example.turn,
        "key": pair.key if pair.with_context is not None else None,
        "status": pair.status,
        "reason": pair.reason or None,
        "n_context_tokens": pair.n_context_tokens if blocks and sized else None,
        "n_tokens_with_context": pair.n_tokens[0] if sized else None,
        "n_tokens_without_context": pair.n_tokens[1] if sized else None,
        "context_blocks": [
            {"path": b.path, "start": b.start, "end": b.end, "rule": b.rule} for b in blocks
        ]
        or None,
        "context_confidence": min((b.confidence for b in blocks), default=None),
        "boundary_straddles": pair.boundary_straddles if sized else None,
        "response_ids_forced": pair.response_ids_forced if sized else None,
        "context_shortened": pair.context_shortened if sized else None,
        "preview": text[:_PREVIEW] + ("…" if len(text) > _PREVIEW else ""),
        **values,
    }


def _token_rows(pair: PromptPair, with_: Float32Array, without: Float32Array) -> pl.DataFrame:
    assert pair.with_context is not None
    prompt = pair.with_context
    n = len(with_)
    return pl.DataFrame(
        {
            "id": [pair.example.id] * n,
            "turn": [pair.example.turn] * n,
            "position": range(n),
            "token_id": list(prompt.ids[prompt.response_start :]),
            "loss_with_context": -with_,
            "loss_without_context": -without,
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
    scorer = Scorer.create(engine, settings or ScoreSettings())
    iterator = iter(examples)
    parts = []
    while chunk := list(islice(iterator, scorer.settings.chunk_rows)):
        parts.append(scorer.score(chunk)[0])
    return pl.concat(parts) if parts else pl.DataFrame(schema=SCORES)
