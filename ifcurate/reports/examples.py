"""The examples on a page: the sample, their texts in marked segments, their tokens.

A page cannot hold every text of a large run. It shows a sample within a budget of bytes:
the extremes on both sides, the rows nearest to the cut, and random rows.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from ifcurate.data.sources import Examples
from ifcurate.records import Example
from ifcurate.reports.tokens import TokenTexts, read_token_losses
from ifcurate.runs.run import Run

Key = tuple[str, int, int]  # source, row, turn
Segments = list[tuple[str, int]]  # text, and what it is
PLAIN, CONTEXT, CUT, GAP = 0, 1, 2, 3
CHARACTERS: Final = 6000  # characters of one text; the middle of longer texts is left out
BYTES: Final = 5_000_000  # bytes of all texts of a page


def choose_rows(table: pl.DataFrame, n: int, *, seed: int = 0) -> pl.DataFrame:
    """Return the most informative rows first; all rows when there are at most `n`.

    `table` is `Facts.table`. A quarter of the sample has the largest and the smallest
    gains, a quarter is nearest to the cut, and the rest is random, from `seed`.
    """
    numbered = table.with_row_index("place")
    if table.height <= n:
        return numbered.sort("context_gain", "place", descending=[True, False], nulls_last=True)
    finite = numbered.filter(pl.col("context_gain").is_finite())
    ranked = finite.sort("context_gain", "place", descending=[True, False])
    distance = (pl.col("value") - pl.col("threshold")).abs()
    near = numbered.filter(distance.is_finite()).sort(distance, "place").head(n // 4)
    other = numbered.filter(pl.col("status") != "scored")
    random = numbered.sample(min(n, table.height), seed=seed)
    some = other.sample(min(n // 10, other.height), seed=seed)
    picked = pl.concat([ranked.head(n // 8), ranked.tail(n // 8).reverse(), near, some, random])
    return picked.unique("place", keep="first", maintain_order=True).head(n)


def describe_rows(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Plain values for a page, a mapping per row of `Facts.table`."""
    return [
        {
            "id": row["id"],
            "source": row["source"],
            "row": row["row"],
            "turn": row["turn"],
            "label": row["label"],
            "gain": _rounded(row["context_gain"]),
            "without": _rounded(row["loss_without_context"]),
            "with": _rounded(row["loss_with_context"]),
            "tokens": row["n_response_tokens"],
            "reason": row["why"],
            "preview": row["preview"],
        }
        for row in rows.iter_rows(named=True)
    ]


def _rounded(value: float | None) -> float | None:
    return round(value, 7) if value is not None and abs(value) < float("inf") else None


def read_texts(
    run: Run,
    examples: Examples,
    rows: Sequence[Mapping[str, Any]],
    tokens: TokenTexts,
    *,
    characters: int = CHARACTERS,
) -> dict[Key, dict[str, Any]]:
    """Return the texts of these rows (from `describe_rows`), read from the data again.

    All texts together have at most `BYTES`, in the order of the rows. A row whose text does not
    fit in the rest of them has no text.
    """
    keys = [(str(row["source"]), int(row["row"]), int(row["turn"])) for row in rows]
    ids = {key: str(row["id"]) for key, row in zip(keys, rows, strict=True)}
    losses = {} if tokens.problem else read_token_losses(run, [(ids[k], k[2]) for k in keys])
    texts: dict[Key, dict[str, Any]] = {}
    wanted = examples.pick(key[:2] for key in keys)
    for example in itertools.chain.from_iterable(row.examples for row in wanted):
        key = (example.source, example.row_number, example.turn)
        if key not in ids:
            continue
        texts[key] = show_example(example, characters)
        coloured = losses.get((ids[key], example.turn))
        pieces = tokens.colour(coloured[0], example.response, coloured[1]) if coloured else None
        if pieces:
            texts[key]["tokens"] = pieces
    chosen, left = {}, BYTES
    for key in filter(texts.__contains__, keys):
        size = len(json.dumps(texts[key], ensure_ascii=False).encode())
        if size <= left:
            left -= size
            chosen[key] = texts[key]
    return chosen


def show_example(example: Example, characters: int = CHARACTERS) -> dict[str, Any]:
    """Return the texts before the response, each in segments, and the response."""
    return {
        "parts": [
            (
                name if name == "instruction" else role,
                _shorten(mark_segments(example, name), characters),
            )
            for name, role in example.parts
        ],
        "response": _shorten([(example.response, PLAIN)], characters),
    }


def mark_segments(example: Example, part: str) -> Segments:
    """Return a text in segments: context, the text that is cut with it, and the rest."""
    text, at = example.part(part), 0
    segments: Segments = []
    mine = sorted((b for b in example.blocks if b.part == part), key=lambda b: b.outer_start)
    for block in mine:
        places = (at, block.outer_start, block.start, block.end, block.outer_end)
        kinds = (PLAIN, CUT, CONTEXT, CUT)
        for start, end, kind in zip(places, places[1:], kinds, strict=False):
            if start < end:
                segments.append((text[start:end], kind))
        at = max(at, block.outer_end)
    return [*segments, (text[at:], PLAIN)] if at < len(text) else segments


def _shorten(segments: Segments, characters: int) -> Segments:
    """Return the start and the end of a long text, and the number of characters between them."""
    n = sum(len(text) for text, _ in segments)
    if n <= characters:
        return segments
    head, tail = characters * 3 // 4, characters // 4
    first, last = slice_segments(segments, 0, head), slice_segments(segments, n - tail, n)
    return [*first, (f" … {n - head - tail:,} characters are not shown … ", GAP), *last]


def slice_segments(segments: Segments, start: int, end: int) -> Segments:
    """Return the part of a marked text between two places, in characters."""
    pieces: Segments = []
    at = 0
    for text, kind in segments:
        piece = text[max(start - at, 0) : max(end - at, 0)]
        if piece:
            pieces.append((piece, kind))
        at += len(text)
    return pieces
