"""The summary of a SCORES table: counts, quantiles, a histogram and the extreme rows."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from ifcurate.prompts.typed import MUCH_OVERLAP
from ifcurate.storage.tables import STATUSES

__all__ = ["Histogram", "ScoreSummary", "summarise_scores"]

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
    "special tokens typed in the text": ("n_special_tokens", 0),
}
_SHOWN: Final = ("id", "context_gain", "loss_with_context", "loss_without_context", "preview")


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts between edges; values outside are in the first and the last bin."""

    edges: list[float]  # shape (n_bins + 1,)
    counts: list[int]  # shape (n_bins,)


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """The summary of one scoring run."""

    n_examples: int
    statuses: dict[str, int]
    reasons: dict[str, int]  # why rows have no score
    flags: dict[str, int]
    quantiles: dict[str, dict[str, float]]  # column -> "0.05" -> value
    histogram: Histogram | None  # of context_gain
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
    scores = scores.lazy()
    scored = scores.filter(pl.col("status") == "scored")
    statuses = dict(_collect(scores.group_by("status").len()).iter_rows())
    other = scores.filter(~pl.col("status").is_in(["scored", "no_context"]))
    reasons = _collect(other.group_by("status", "reason").len()).iter_rows()
    common = sorted(reasons, key=lambda row: (-row[2], str(row[:2])))[:5]
    above = [(pl.col(column) > most).alias(name) for name, (column, most) in _ABOVE.items()]
    numbers = _collect(scored.select(*_COLUMNS, *_FLAGS, *above))
    n_scored = numbers.height
    n = min(n_extremes, n_scored // 2) if n_scored > 1 else n_scored
    gains = numbers["context_gain"]
    return ScoreSummary(
        n_examples=sum(statuses.values()),
        statuses={name: statuses.get(name, 0) for name in STATUSES},
        reasons={f"{status}: {reason}": k for status, reason, k in common},
        flags={name: int(numbers[name].sum()) for name in (*_FLAGS, *_ABOVE)},
        quantiles=_quantiles(numbers) if n_scored else {},
        histogram=None if gains.null_count() or gains.is_nan().any() else _histogram(gains, n_bins),
        most=_extremes(scored, n, descending=True),
        least=_extremes(scored, n, descending=False),
    )


def _collect(frame: pl.LazyFrame) -> pl.DataFrame:
    return frame.collect(engine="streaming")


def _extremes(scored: pl.LazyFrame, n: int, *, descending: bool) -> list[dict[str, Any]]:
    """The rows with the smallest or the largest gain, ties by id. A missing gain is smallest."""
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


def _histogram(values: pl.Series, n_bins: int) -> Histogram | None:
    """Counts between round edges, 0 among them, from the 1% to the 99% quantile."""
    array = values.cast(pl.Float64).to_numpy()
    if len(array) < 2:
        return None
    low, high = (float(q) for q in np.quantile(array, [0.01, 0.99]))
    if not low < high:
        return None
    width = _round_width((high - low) / n_bins)
    first, last = math.floor(low / width), math.ceil(high / width)
    edges = [round(i * width, 12) for i in range(first, max(last, first + 1) + 1)]
    counts = np.histogram(np.clip(array, edges[0], edges[-1]), bins=edges)[0]
    return Histogram(edges, [int(c) for c in counts])


def _round_width(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least * (1 - 1e-9))
