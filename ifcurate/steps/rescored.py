"""`rescored.parquet`: the float32 numbers of rows of a run that was scored in 16 bits.

The manifest inside names the scores and the engine.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from ifcurate.errors import DataError
from ifcurate.runs.run import Run
from ifcurate.storage.files import read_table, read_table_manifest, write_table
from ifcurate.storage.tables import NUMBERS, SCORES

IntArray = npt.NDArray[np.int64]
_MARK: Final = "; scored again in float32"
#: `place` is the number of the row in scores.parquet, from 0. The other columns are SCORES'.
RESCORED: Final = pl.Schema(
    {
        "place": pl.Int64(),
        **{
            name: SCORES[name]
            for name in ("id", "source", "row", "turn", "key", "status", "reason", *NUMBERS)
        },
    }
)


@dataclass(frozen=True, slots=True)
class Rescored:
    """The rows of a band with their float32 numbers."""

    band: float
    rows: pl.DataFrame  # RESCORED, sorted by `place`; every row of the band
    engine: Mapping[str, Any]  # identity of the engine that gave the numbers
    n_new: int  # rows that were scored now; the others were in the store

    @property
    def scored(self) -> pl.DataFrame:
        """The rows that have numbers."""
        return self.rows.filter(pl.col("status") == "scored")

    def replace_numbers(self, scores: pl.LazyFrame) -> pl.LazyFrame:
        """Return the SCORES table with these numbers; its rows are numbered in `place`."""
        place = pl.col("place").cast(pl.get_index_type())
        new = self.scored.lazy().select(place, *(pl.col(n).alias(f"new_{n}") for n in NUMBERS))
        joined = scores.join(new, on="place", how="left", maintain_order="left")
        replaced = [pl.coalesce(f"new_{name}", name).alias(name) for name in NUMBERS]
        return joined.with_columns(replaced).drop(f"new_{name}" for name in NUMBERS)

    def mark_reasons(self, table: pl.LazyFrame) -> pl.LazyFrame:
        """Return the SPLIT table, where the reason says which rows were scored again."""
        is_rescored = pl.col("place").is_in(
            self.scored["place"].cast(pl.get_index_type()).implode()
        )
        reason = pl.when(is_rescored).then(pl.col("reason") + _MARK).otherwise("reason")
        return table.with_row_index("place").with_columns(reason.alias("reason")).drop("place")

    def as_dict(self, labels_changed: int) -> dict[str, Any]:
        """Plain values, for a manifest."""
        return {
            "band": self.band,
            "rows": self.rows.height,
            "scored_now": self.n_new,
            "not_scored": self.rows.height - self.scored.height,
            "labels_changed": labels_changed,
            "engine": dict(self.engine),
        }


class RescoredStore:
    """`rescored.parquet`: the rows of one engine that were scored again until now."""

    def __init__(self, run: Run) -> None:
        """Read the table if it was made from this run's scores; otherwise begin an empty one."""
        self.path = run.folder / "rescored.parquet"
        self._scores = run.manifest.id
        self.use({})
        with contextlib.suppress(
            OSError, ValueError, KeyError, TypeError, DataError, pl.exceptions.PolarsError
        ):
            inside = read_table_manifest(self.path)
            if inside["scores"] == self._scores:
                self.table, self.engine = read_table(self.path, RESCORED), dict(inside["engine"])

    @property
    def places(self) -> IntArray:
        """The places of the rows in the store."""
        return self.table["place"].to_numpy()

    def use(self, engine: dict[str, Any]) -> None:
        """Keep only rows of this engine; the next `add` replaces the file."""
        self.table, self.engine = RESCORED.to_frame(), engine

    def add(self, frames: Sequence[pl.DataFrame]) -> None:
        """Add new rows to the file."""
        self.table = pl.concat([self.table, *frames]).sort("place")
        manifest = {"step": "rescore", "scores": self._scores, "engine": self.engine}
        write_table(self.table, self.path, manifest)

    def read(self, places: IntArray) -> pl.DataFrame:
        """Return the rows at these places, sorted by place."""
        return self.table.filter(pl.Series(np.isin(self.places, places)))
