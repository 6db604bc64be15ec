"""What a person wants to know of a SCORES table: counts, quantiles, a histogram, the extremes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from ifcurate.tables import STATUSES

__all__ = ["NEEDS", "Histogram", "ScoreSummary", "summarise_scores"]

QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
_COLUMNS: Final = (
    "loss_with_context",
    "loss_without_context",
    "context_gain",
    "max_token_gain",
    "gain_token_fraction",
)
_FLAGS: Final = ("boundary_straddles", "response_ids_forced", "context_shortened")
_SHOWN: Final = ("id", "context_gain", "loss_with_context", "loss_without_context", "preview")

#: The columns of SCORES that a summary looks at.
NEEDS: Final = tuple(dict.fromkeys(("status", "reason", *_COLUMNS, *_FLAGS, *_SHOWN)))


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts between edges; what lies outside is in the first and the last bin."""

    edges: list[float]  # shape (n_bins + 1,)
    counts: list[int]  # shape (n_bins,)


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """The summary of one scoring run."""

    n_examples: int
    statuses: dict[str, int]
    reasons: dict[str, int]  # of what was not scored for want of something
    flags: dict[str, int]
    quantiles: dict[str, dict[str, float]]  # column -> "0.05" -> value
    histogram: Histogram | None  # of context_gain
    most: list[dict[str, Any]]  # the rows with the largest gain
    least: list[dict[str, Any]]  # the smallest first

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def summarise_scores(
    scores: pl.DataFrame, *, n_extremes: int = 5, n_bins: int = 16
) -> ScoreSummary:
    """Counts per status, quantiles (nats), the gain's histogram, and the extreme rows."""
    statuses = dict(scores["status"].value_counts().iter_rows())
    scored = scores.filter(pl.col("status") == "scored")
    other = scores.filter(~pl.col("status").is_in(["scored", "no_context"]))
    reasons = other.group_by("status", "reason").len().sort("len", descending=True).head(5)
    by_gain = scored.sort("context_gain", "id")
    n = min(n_extremes, scored.height // 2) if scored.height > 1 else scored.height
    return ScoreSummary(
        n_examples=scores.height,
        statuses={name: int(statuses.get(name, 0)) for name in STATUSES},
        reasons={f"{s}: {r}": int(k) for s, r, k in reasons.iter_rows()},
        flags={name: int(scored[name].sum()) for name in _FLAGS},
        quantiles=_quantiles(scored),
        histogram=_histogram(scored["context_gain"].to_numpy(), n_bins),
        most=by_gain.tail(n).reverse().select(_SHOWN).to_dicts(),
        least=by_gain.head(n).select(_SHOWN).to_dicts(),
    )


def _quantiles(scored: pl.DataFrame) -> dict[str, dict[str, float]]:
    if scored.is_empty():
        return {}
    return {
        name: {str(q): float(scored[name].quantile(q, "linear") or 0.0) for q in QUANTILES}
        for name in _COLUMNS
    }


def _histogram(values: Any, n_bins: int) -> Histogram | None:
    if len(values) < 2:
        return None
    low, high = np.quantile(values, [0.01, 0.99])
    if not low < high:
        return None
    edges = np.linspace(low, high, n_bins + 1)
    counts, _ = np.histogram(np.clip(values, low, high), bins=edges)
    return Histogram([float(e) for e in edges], [int(c) for c in counts])
