"""From log-probabilities to rows: the numbers of an example, and the tables of a chunk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

import numpy as np
import polars as pl

from ifcurate.engines.base import Float32Array
from ifcurate.prompts.missing_request import asks_nothing
from ifcurate.prompts.pairs import PromptPair
from ifcurate.records import ContextBlock
from ifcurate.storage.tables import NUMBERS, SCORES, TOKENS

_PREVIEW: Final = 100  # characters

Numbers = tuple[Any, ...]  # values of NUMBERS: an int, then floats


def response_losses(
    with_: Sequence[Float32Array], without: Sequence[Float32Array], token_gain: float
) -> list[Numbers | None]:
    """NUMBERS of each row from its log-probabilities, each (n_response_tokens,).

    None for a row with a loss that is not finite.
    """
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


def score_table(
    pairs: Sequence[PromptPair],
    keys: Mapping[int, str],
    numbers: Mapping[int, Numbers],
    attention: Mapping[int, float],
) -> pl.DataFrame:
    """Return a SCORES row for each pair, in order. The mappings are by the pair's place."""
    apart = {*NUMBERS, "context_attention", "context_blocks"}
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
    columns["context_attention"] = [attention.get(i) for i in range(len(pairs))]
    columns["context_blocks"] = _block_column([pair.example.blocks for pair in pairs])
    return pl.DataFrame({name: columns[name] for name in SCORES}, schema=SCORES)


def _block_column(blocks: Sequence[Sequence[ContextBlock]]) -> pl.Series:
    """Return the `context_blocks` of each example; null where it has none."""
    import pyarrow as pa

    types = {
        "path": pa.large_string(),
        "start": pa.int32(),
        "end": pa.int32(),
        "outer_start": pa.int32(),
        "outer_end": pa.int32(),
        "rule": pa.large_string(),
    }
    flat = [block for own in blocks for block in own]
    fields = [pa.array([getattr(b, name) for b in flat], kind) for name, kind in types.items()]
    values = pa.StructArray.from_arrays(fields, names=list(types))
    starts = list(accumulate((len(own) for own in blocks), initial=0))
    # A null offset makes a null list.
    offsets = [s if own else None for s, own in zip(starts, [*blocks, [None]], strict=True)]
    lists = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values)
    column = pl.from_arrow(lists)
    assert isinstance(column, pl.Series)
    return column


def _describe(pair: PromptPair) -> dict[str, Any]:
    """Return the columns of a SCORES row other than its numbers and its key."""
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
