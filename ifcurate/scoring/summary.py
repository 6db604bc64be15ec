"""What a person wants to know of a SCORES table: counts, quantiles, a histogram, the extremes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from ifcurate.split.sorting import Ranked, Scratch
from ifcurate.storage.tables import STATUSES

__all__ = ["NEEDS", "Histogram", "ScoreSummary", "summarise_frames", "summarise_scores"]

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
    with Scratch() as scratch:
        return summarise_frames([scores], scratch, n_extremes=n_extremes, n_bins=n_bins)


def summarise_frames(
    frames: Iterable[pl.DataFrame], scratch: Scratch, *, n_extremes: int = 5, n_bins: int = 16
) -> ScoreSummary:
    """The same of a table in stretches, read once; its numbers are sorted in `scratch`.

    The frames need the columns `NEEDS`. Raises `DataError` for want of room.
    """
    statuses: Counter[str] = Counter()
    reasons: Counter[tuple[str, str | None]] = Counter()
    flags = Counter(dict.fromkeys(_FLAGS, 0))
    numbers = {name: scratch.numbers() for name in _COLUMNS}
    least, most = (_Extremes(n_extremes, descending=d) for d in (False, True))
    n_scored, gains_missing = 0, False
    for frame in frames:
        statuses.update(dict(frame["status"].value_counts().iter_rows()))
        scored = frame.filter(pl.col("status") == "scored")
        other = frame.filter(~pl.col("status").is_in(["scored", "no_context"]))
        for status, reason, n in other.group_by("status", "reason").len().iter_rows():
            reasons[status, reason] += n
        for name in _FLAGS:
            flags[name] += int(scored[name].sum())
        for name in _COLUMNS:
            numbers[name].append(scored[name].drop_nulls().cast(pl.Float64).to_numpy())
        gains = scored["context_gain"]
        gains_missing |= bool(gains.is_null().any() or gains.is_nan().any())
        least.add(scored)
        most.add(scored)
        n_scored += scored.height
    ranked = {}
    for name, values in numbers.items():
        values.sort()
        ranked[name] = Ranked(values, 0, len(values))
    n = min(n_extremes, n_scored // 2) if n_scored > 1 else n_scored
    common = sorted(reasons.items(), key=lambda item: (-item[1], str(item[0])))[:5]
    return ScoreSummary(
        n_examples=statuses.total(),
        statuses={name: statuses[name] for name in STATUSES},
        reasons={f"{status}: {reason}": k for (status, reason), k in common},
        flags=dict(flags),
        quantiles=_quantiles(ranked) if n_scored else {},
        histogram=None if gains_missing else _histogram(ranked["context_gain"], n_bins),
        most=most.rows[:n],
        least=least.rows[:n],
    )


class _Extremes:
    """The rows with the least or the largest gain, ties by id."""

    def __init__(self, n: int, *, descending: bool) -> None:
        self._n = n
        self._descending = descending
        self.rows: list[dict[str, Any]] = []  # the most extreme first

    def add(self, scored: pl.DataFrame) -> None:
        by = ("context_gain", "id")
        # What is missing is the least of all.
        order = {"descending": self._descending, "nulls_last": self._descending}
        few = scored.select(_SHOWN).sort(*by, **order).head(self._n)
        # As plain rows: a few texts would keep those of the whole frame in memory.
        both = pl.concat([pl.DataFrame(self.rows, schema=few.schema), few])
        self.rows = both.sort(*by, **order).head(self._n).to_dicts()


def _quantiles(ranked: dict[str, Ranked]) -> dict[str, dict[str, float]]:
    return {
        name: {str(q): _between(values, q) if len(values) else 0.0 for q in QUANTILES}
        for name, values in ranked.items()
    }


def _between(values: Ranked, share: float) -> float:
    """As polars has it, which rounds otherwise than numpy."""
    place = (len(values) - 1) * share
    low = math.floor(place)
    a, b = values[low], values[math.ceil(place)]
    return a if a == b else (place - low) * (b - a) + a


def _histogram(values: Ranked, n_bins: int) -> Histogram | None:
    if len(values) < 2:
        return None
    low, high = (values.quantile(share) for share in (0.01, 0.99))
    if not low < high:
        return None
    edges = np.linspace(low, high, n_bins + 1)
    counts = np.zeros(n_bins, dtype=np.int64)
    for block in values.blocks():
        counts += np.histogram(np.clip(block, low, high), bins=edges)[0]
    return Histogram([float(e) for e in edges], [int(c) for c in counts])
