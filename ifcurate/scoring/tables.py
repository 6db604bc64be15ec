"""From log-probabilities to rows: the numbers of an example, and the tables of a chunk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from ifcurate.engines.base import Float32Array
from ifcurate.prompts.missing_request import asks_nothing
from ifcurate.prompts.pairs import PromptPair
from ifcurate.storage.tables import NUMBERS, SCORES, TOKENS

_PREVIEW: Final = 100  # characters
_BLOCK: Final = ("path", "start", "end", "outer_start", "outer_end", "rule")

Numbers = tuple[Any, ...]  # values of NUMBERS: an int, then floats


def response_losses(
    logprobs: Sequence[tuple[Float32Array, Float32Array]], token_gain: float
) -> list[Numbers | None]:
    """NUMBERS of each row from its log-probabilities with and without the context.

    Each is (n_response_tokens,). None for a row with a loss that is not finite.
    """
    if not logprobs:
        return []
    lengths = np.array([len(with_) for with_, _ in logprobs])
    starts = np.cumsum(lengths) - lengths
    joined = (np.concatenate(arrays) for arrays in zip(*logprobs, strict=True))
    loss_with, loss_without = (-values.astype(np.float64) for values in joined)
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


def score_table(
    pairs: Sequence[PromptPair],
    keys: Mapping[int, str],
    numbers: Mapping[int, Numbers],
    attention: Mapping[int, float],
) -> pl.DataFrame:
    """Return a SCORES row for each pair, in order. The mappings are by the pair's place."""
    missing: Numbers = (None,) * len(NUMBERS)
    rows = [
        {
            **_describe(pair),
            "key": keys.get(i),
            **dict(zip(NUMBERS, numbers.get(i, missing), strict=True)),
            "context_attention": attention.get(i),
        }
        for i, pair in enumerate(pairs)
    ]
    return pl.DataFrame(rows, schema=SCORES)


def _describe(pair: PromptPair) -> dict[str, Any]:
    """Return the columns of a SCORES row that the pair alone decides."""
    example = pair.example
    blocks = example.blocks
    text = " ".join(example.instruction.split())
    return {
        "id": example.id,
        "source": example.source,
        "row": example.row_number,
        "turn": example.turn,
        "status": pair.status,
        "reason": pair.reason or None,
        **_describe_tokens(pair),
        "context_blocks": [{name: getattr(b, name) for name in _BLOCK} for b in blocks] or None,
        "context_confidence": min((b.confidence for b in blocks), default=None),
        "context_overlap": pair.context_overlap,
        "end_marker_removed": pair.end_marker_removed,
        "asks_nothing": asks_nothing(example),
        "n_special_tokens": pair.n_special_tokens,
        "preview": text[:_PREVIEW] + ("…" if len(text) > _PREVIEW else ""),
    }


def _describe_tokens(pair: PromptPair) -> dict[str, Any]:
    """Return the columns of a SCORES row about the prompts' tokens.

    Nulls for a pair without prompts.
    """
    values = {
        "n_context_tokens": pair.n_context_tokens if pair.example.blocks else None,
        "n_tokens_with_context": pair.n_tokens[0],
        "n_tokens_without_context": pair.n_tokens[1],
        "boundary_straddles": pair.boundary_straddles,
        "response_ids_forced": pair.response_ids_forced,
        "context_shortened": pair.context_shortened,
    }
    return values if pair.n_tokens != (0, 0) else dict.fromkeys(values)


def token_table(
    pairs: Sequence[PromptPair], logprobs: Sequence[tuple[Float32Array, Float32Array]]
) -> pl.DataFrame:
    """TOKENS of scored pairs with their log-probabilities, each (n_response_tokens,)."""
    if not pairs:
        return pl.DataFrame(schema=TOKENS)
    lengths = [len(with_) for with_, _ in logprobs]
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
            "loss_with_context": -np.concatenate([with_ for with_, _ in logprobs]),
            "loss_without_context": -np.concatenate([without for _, without in logprobs]),
        },
        schema=TOKENS,
    )
