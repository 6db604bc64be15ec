"""The summary of a SCORES table: counts, quantiles, a histogram and the extreme rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import polars as pl

from ifcurate.histograms import Histogram, count_bins
from ifcurate.phrases import check_type
from ifcurate.prompts.text_flags import MUCH_OVERLAP
from ifcurate.storage.tables import STATUSES, TABLE_WANTED

QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
_COLUMNS: Final = (
    "loss_with_context",
    "loss_without_context",
    "context_gain",
    "max_token_gain",
    "gain_token_fraction",
)
_FLAGS: Final = (
    *("boundary_straddles", "response_ids_forced", "context_shortened"),
    "end_marker_removed",
)
#: Flags that come from a number: name -> (column, highest value without the flag).
_ABOVE: Final = {
    "more than 60% of the context elsewhere in the prompt": ("context_overlap", MUCH_OVERLAP),
    "a context that seems to hold the whole request": ("asks_nothing", 0),
    "special tokens typed in the text": ("n_special_tokens", 0),
}
_SHOWN: Final = (
    *("id", "source", "row", "turn"),
    *("context_gain", "loss_with_context", "loss_without_context", "preview"),
)


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """The summary of one scoring run."""

    n_examples: int
    statuses: dict[str, int]
    reasons: dict[str, int]  # why rows have no score
    flags: dict[str, int]
    quantiles: dict[str, dict[str, float]]  # column -> "0.05" -> value
    histogram: Histogram | None  # histogram of context_gain
    most: list[dict[str, Any]]  # the rows with the largest gain
    least: list[dict[str, Any]]  # the smallest first

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def summarise_scores(
    scores: pl.DataFrame | pl.LazyFrame, *, n_extremes: int = 5, n_bins: int = 16
) -> ScoreSummary:
    """Counts per status, quantiles (nats), the gain's histogram, and the extreme rows.

    The numbers of a lazy frame are held in memory, 8 bytes each; its texts are not.
    """
    check_type("scores", scores, (pl.DataFrame, pl.LazyFrame), TABLE_WANTED)
    scores = scores.lazy()
    scored = scores.filter(pl.col("status") == "scored")
    statuses = dict(_collect(scores.group_by("status").len()).iter_rows())
    other = scores.filter(~pl.col("status").is_in(["scored", "no_context"]))
    reasons = _collect(other.group_by("status", "reason").len()).iter_rows()
    common = sorted(reasons, key=lambda row: (-row[2], str(row[:2])))[:5]
    above = [
        (pl.col(column).cast(pl.Float64) > most).alias(name)
        for name, (column, most) in _ABOVE.items()
    ]
    numbers = _collect(scored.select(*_COLUMNS, *_FLAGS, *above))
    n_scored = numbers.height
    n_least = min(n_extremes, n_scored // 2)
    gains = numbers["context_gain"].cast(pl.Float64)
    known = not gains.null_count() and gains.is_finite().all()
    return ScoreSummary(
        n_examples=sum(statuses.values()),
        statuses={name: statuses.get(name, 0) for name in STATUSES},
        reasons={f"{status}: {reason}": k for status, reason, k in common},
        flags={name: int(numbers[name].sum()) for name in (*_FLAGS, *_ABOVE)},
        quantiles=_quantiles(numbers) if n_scored else {},
        histogram=count_bins(gains.sort().to_numpy(), n_bins=n_bins) if known else None,
        most=_extremes(scored, min(n_extremes, n_scored - n_least), descending=True),
        least=_extremes(scored, n_least, descending=False),
    )


def _collect(frame: pl.LazyFrame) -> pl.DataFrame:
    return frame.collect(engine="streaming")


def _extremes(scored: pl.LazyFrame, n: int, *, descending: bool) -> list[dict[str, Any]]:
    """Return the rows with the smallest or the largest gain, ties by id.

    A missing gain is smallest.
    """
    # polars keeps only the requested rows, without sorting the others.
    rows = scored.select(_SHOWN).sort(
        "context_gain", "id", descending=descending, nulls_last=descending
    )
    return _collect(rows.head(n)).to_dicts()


def _quantiles(numbers: pl.DataFrame) -> dict[str, dict[str, float]]:
    quantiles = {}
    for name in _COLUMNS:
        values = numbers[name].drop_nulls().cast(pl.Float64).sort()
        quantiles[name] = {str(q): values.quantile(q, "linear") or 0.0 for q in QUANTILES}
    return quantiles
