"""`rescored.parquet`: the float32 numbers of rows of a run that was scored in 16 bits.

The manifest inside names the scores and the engine. Finished parts are in `rescoring/` until
all rows are finished, so a kill does not lose them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from ifcurate.errors import DataError
from ifcurate.runs.run import Run
from ifcurate.storage.files import read_table, read_table_manifest, scan_table, write_table
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
        """The SCORES table, with row numbers in `place`, with these numbers instead of its own."""
        place = pl.col("place").cast(pl.get_index_type())
        new = self.scored.lazy().select(place, *(pl.col(n).alias(f"new_{n}") for n in NUMBERS))
        joined = scores.join(new, on="place", how="left", maintain_order="left")
        replaced = [pl.coalesce(f"new_{name}", name).alias(name) for name in NUMBERS]
        return joined.with_columns(replaced).drop(f"new_{name}" for name in NUMBERS)

    def mark_reasons(self, table: pl.LazyFrame) -> pl.LazyFrame:
        """The SPLIT table, where the reason says which rows were scored again."""
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
    """`rescored.parquet`, and its parts that are not joined yet."""

    def __init__(self, run: Run) -> None:
        self.path = run.folder / "rescored.parquet"
        self._scores = run.manifest.id
        self._folder = run.folder / "rescoring"
        self._files: list[Path] = []
        self.engine: dict[str, Any] = {}
        self.places: IntArray = np.zeros(0, dtype=np.int64)
        for file in (self.path, *sorted(self._folder.glob("*.parquet"))):
            engine = self._engine_of(file)
            if engine and engine == (self.engine or engine):
                self.engine = engine
                self._files.append(file)
        places = [read_table(f, RESCORED, ["place"])["place"].to_numpy() for f in self._files]
        if places:
            self.places = np.unique(np.concatenate(places))

    def _engine_of(self, file: Path) -> dict[str, Any]:
        """The engine of a table of this run's scores; empty for any other table."""
        try:
            inside = read_table_manifest(file)
            scan_table(file, RESCORED)
            return dict(inside["engine"]) if inside["scores"] == self._scores else {}
        except (OSError, ValueError, KeyError, TypeError, DataError, pl.exceptions.PolarsError):
            return {}

    def use(self, engine: dict[str, Any]) -> IntArray:
        """Remove the rows of other engines. Returns the places that this engine has scored."""
        if engine != self.engine:
            for file in self._files:
                file.unlink(missing_ok=True)
            self.engine, self._files = engine, []
            self.places = np.zeros(0, dtype=np.int64)
        return self.places

    def add(self, frames: Sequence[pl.DataFrame]) -> None:
        """Write a part."""
        table = pl.concat(frames)
        file = self._folder / f"{int(table['place'][0]):012d}.parquet"
        write_table(table, file, self._manifest())
        if file not in self._files:
            self._files.append(file)

    def _manifest(self) -> dict[str, Any]:
        return {"step": "rescore", "scores": self._scores, "engine": self.engine}

    def join(self) -> None:
        """Join all parts into one table in the order of the scores, and remove the parts."""
        if self._files and self._files != [self.path]:
            tables = [read_table(file, RESCORED) for file in self._files]
            whole = pl.concat(tables).unique("place", keep="last").sort("place")
            write_table(whole, self.path, self._manifest())
            self._files = [self.path]
        with contextlib.suppress(OSError):
            for file in self._folder.glob("*.parquet"):
                file.unlink()
            self._folder.rmdir()

    def read(self, places: IntArray) -> pl.DataFrame:
        """The rows at these places, sorted by place. Call `join` before."""
        if not len(places):
            return RESCORED.to_frame()
        table = read_table(self.path, RESCORED)
        return table.filter(pl.Series(np.isin(table["place"].to_numpy(), places)))
