"""The rows nearest to their cut, a few on each side of each: what a person should look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from ifcurate.split.groups import TIE_KEYS
from ifcurate.storage.tables import SCORES

__all__ = ["NEAREST", "Nearest"]

MOST: Final = 5  # of each label, at each cut
_SAME: Final = ("group", "statistic", "label")
NEAREST: Final = pl.Schema(
    {
        "group": pl.String(),
        "statistic": pl.String(),  # whose cut is meant
        "label": pl.String(),
        **{name: SCORES[name] for name in ("id", "source", "row", "turn")},
        "value": pl.Float64(),
        "threshold": pl.Float64(),
        "confidence": pl.Float64(),
        "preview": pl.String(),
    }
)


class Nearest:
    """Kept while the rows go by."""

    def __init__(self, statistics: Sequence[str]) -> None:
        """`statistics` in the order of the rules."""
        self._statistics = pl.Enum(statistics)
        self._held: pl.DataFrame | None = None

    def add(self, frame: pl.DataFrame) -> None:
        """Look at rows: the columns of `NEAREST` and `key`."""
        if not len(frame):
            return
        # Only few are sorted: those that are as sure as the last of the few, or less.
        limit = pl.col("confidence").bottom_k(MOST).max().over(_SAME)
        few = frame.filter(pl.col("confidence") <= limit)
        whole = few if self._held is None else pl.concat([self._held, few])
        distance = (pl.col("value") - pl.col("threshold")).abs()
        ordered = whole.sort("confidence", distance, *TIE_KEYS, maintain_order=True)
        kept = ordered.group_by(_SAME, maintain_order=True).head(MOST)
        kept = kept.select(frame.columns)
        # Anew: the texts of a few rows would keep those of the whole frame in memory.
        self._held = pl.DataFrame(kept.to_dict(as_series=False), schema=kept.schema)

    def table(self) -> pl.DataFrame:
        """The rows by group and cut, upwards."""
        if self._held is None:
            return NEAREST.to_frame()
        statistic = pl.col("statistic").cast(self._statistics)
        found = self._held.sort("group", statistic, "value", *TIE_KEYS, maintain_order=True)
        return found.select(pl.col(name).cast(kind) for name, kind in NEAREST.items())
