"""The SCORES and SPLIT tables: every column, its type, its unit.

Tables are Parquet files with their manifest in the file's metadata (key ``ifcurate``), so a
table without its run folder still says how it was made. Losses are natural-log (nats);
`nll_*` are sums over the response's tokens, `loss_*` are means per token.
"""

from __future__ import annotations

from typing import Final

import polars as pl

#: The advice for an argument that is not a table of scores.
TABLE_WANTED: Final = "give the table of score_examples, or find_run(FOLDER).scores()"

STATUSES: Final = (
    "scored",
    "no_context",
    "empty_response",
    "too_long",
    "out_of_memory",
    "timed_out",
    "error",
)
#: Statuses of rows that `score --retry-failed` scores again.
FAILED: Final = ("out_of_memory", "timed_out", "error")
LABELS: Final = ("context-critical", "non-context-critical", "no-context", "not-scored")

_BLOCK: Final = pl.List(
    pl.Struct(
        {
            "path": pl.String,
            "start": pl.Int32,
            "end": pl.Int32,
            "outer_start": pl.Int32,
            "outer_end": pl.Int32,
            "rule": pl.String,
        }
    )
)

#: name -> (type, meaning); `docs/columns.md` is made from this.
COLUMNS: Final[dict[str, tuple[pl.DataType | type[pl.DataType], str]]] = {
    "id": (pl.String, "the row's own id, or a hash of its content"),
    "source": (pl.String, "the file (or dataset) that the row was read from"),
    "row": (pl.Int64, "its number in the source, counted from 0"),
    "turn": (pl.Int32, "which response of the row, counted from 0"),
    "key": (pl.String, "hash of the token ids of both variants: equal keys have equal scores"),
    "status": (
        pl.String,
        "one of scored, no_context, empty_response, too_long, out_of_memory, timed_out, error",
    ),
    "reason": (pl.String, "why it was not scored; null when it was"),
    "n_response_tokens": (pl.Int32, "tokens that the loss is taken over"),
    "n_context_tokens": (pl.Int32, "tokens of the context"),
    "n_tokens_with_context": (pl.Int32, "tokens of prompt and response, with the context"),
    "n_tokens_without_context": (pl.Int32, "the same without the context"),
    "nll_with_context": (
        pl.Float64,
        "-log of the response's probability after the prompt with the context, nats",
    ),
    "nll_without_context": (pl.Float64, "the same after the prompt without the context"),
    "loss_with_context": (pl.Float64, "nll_with_context / n_response_tokens, nats per token"),
    "loss_without_context": (pl.Float64, "nll_without_context / n_response_tokens"),
    "context_gain": (
        pl.Float64,
        "loss_without_context - loss_with_context; above 0 the context helped",
    ),
    "max_token_loss_with_context": (pl.Float64, "the largest loss of one response token, nats"),
    "max_token_loss_without_context": (pl.Float64, "the same without the context"),
    "max_token_gain": (pl.Float64, "the largest gain of one response token, nats"),
    "gain_token_fraction": (
        pl.Float64,
        "share of response tokens whose gain is above the run's token-gain threshold",
    ),
    "context_attention": (
        pl.Float64,
        "share of the response's attention that falls on the context (largest head of a layer, "
        "mean over tokens); null without --method attention",
    ),
    "context_blocks": (
        _BLOCK,
        "what was taken as context: the place in the row, its characters, the characters that are "
        "removed with it (outer), and how it was found (`rule`)",
    ),
    "context_confidence": (pl.Float64, "the lowest confidence among them"),
    "boundary_straddles": (pl.Boolean, "a token spans the end of the prompt and the response"),
    "response_ids_forced": (
        pl.Boolean,
        "alone, the variant without the context would have other response tokens",
    ),
    "context_shortened": (pl.Boolean, "the context was cut in the middle to fit the model"),
    "context_overlap": (
        pl.Float64,
        "share of the context's distinct words that are also elsewhere in the prompt; null "
        "without a context",
    ),
    "end_marker_removed": (
        pl.Boolean,
        "the response ended in an end-of-text marker, which was not scored",
    ),
    "asks_nothing": (
        pl.Boolean,
        "the context that you marked seems to hold the whole request of the prompt",
    ),
    "n_special_tokens": (pl.Int32, "special tokens of the model that are typed in the row's texts"),
    "preview": (pl.String, "the start of the instruction, to recognise the row by"),
}

#: Columns that tables of earlier versions lack; they are read as nulls.
ADDED: Final = frozenset({"context_attention", "asks_nothing"})

SCORES: Final = pl.Schema({name: kind for name, (kind, _) in COLUMNS.items()})

#: Per-token values, on request: a row for every response token of every scored example.
TOKENS: Final = pl.Schema(
    {
        "id": pl.String(),
        "turn": pl.Int32(),
        "position": pl.Int32(),  # place in the response, counted from 0
        "token_id": pl.Int64(),
        "loss_with_context": pl.Float32(),  # nats
        "loss_without_context": pl.Float32(),
    }
)

#: The columns of SCORES that come from the model.
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

SPLIT: Final = pl.Schema(
    {
        "id": pl.String(),
        "source": pl.String(),
        "row": pl.Int64(),
        "turn": pl.Int32(),
        "label": pl.String(),  # one of LABELS
        "value": pl.Float64(),  # the number the rule compared, null when there is none
        "threshold": pl.Float64(),  # the cut, null when there is none
        "confidence": pl.Float64(),  # 0.5 at the cut, up to 1 away from it
        "reason": pl.String(),  # in words: the rule, the value, the cut
    }
)

#: The labels of the rows that a filter kept, in their order, if it kept several labels.
KEPT: Final = pl.Schema({"source": pl.String(), "label": pl.String()})
KEPT_LABELS: Final = "labels.parquet"
