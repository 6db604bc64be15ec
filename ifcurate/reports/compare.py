"""Compare two runs of the same data: the order and the labels of the examples.

Examples are matched by id and turn. Rank correlation is Spearman's, with ties at their mean
rank. Agreement at a share s is the fraction of the common examples on the same side when
both runs put the lowest s below the cut. Two unrelated orders agree on s^2 + (1 - s)^2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from ifcurate.errors import DataError
from ifcurate.phrases import check_type
from ifcurate.runs.run import Run

#: The numbers that are compared.
STATISTICS: Final = ("context_gain", "loss_without_context", "loss_with_context")
SHARES: Final = tuple(round(0.05 * i, 2) for i in range(1, 20))
_CUT: Final = STATISTICS[:2]  # those that rules cut


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison of two runs. `table` has a row per example that both scored."""

    first: Run
    second: Run
    n_first: int  # scored examples of the first run
    n_second: int
    correlations: dict[str, float | None]  # statistic -> Spearman's rho; None when it has none
    #: statistic -> (share below the cut, agreement)
    agreements: dict[str, list[tuple[float, float]]]
    table: pl.DataFrame  # id, source, row, preview, each statistic twice ("_2" for the second)

    @property
    def n_common(self) -> int:
        """Scored examples of both."""
        return self.table.height

    def most_different(self, n: int = 20) -> pl.DataFrame:
        """The examples whose gains are furthest apart in rank, the furthest first.

        Adds `rank` and `rank_2`, percentages: 0 is the smallest gain of a run.
        """
        share = 100 / max(self.n_common - 1, 1)
        ranked = self.table.with_columns(
            ((pl.col("context_gain").rank("average") - 1) * share).alias("rank"),
            ((pl.col("context_gain_2").rank("average") - 1) * share).alias("rank_2"),
        )
        apart = (pl.col("rank") - pl.col("rank_2")).abs()
        return ranked.sort(apart, "id", descending=[True, False]).head(n)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        shown = ("id", "source", "row", "context_gain", "context_gain_2", "rank", "rank_2")
        return {
            "first": str(self.first.folder),
            "second": str(self.second.folder),
            "scored": {"first": self.n_first, "second": self.n_second, "both": self.n_common},
            "rank_correlation": self.correlations,
            "agreement": self.agreements,
            "most_different": self.most_different().select(shown).to_dicts(),
        }


def compare_runs(first: Run, second: Run) -> Comparison:
    """Compare the scores of two finished runs.

    Raises `RunError` when one is unfinished, `DataError` when fewer than two examples are
    scored in both.
    """
    for name, run in (("first", first), ("second", second)):
        check_type(name, run, Run, "give find_run(FOLDER)")
    mine, other = _scored(first), _scored(second)
    table = mine.join(other.drop("source", "row", "preview"), on=["id", "turn"], suffix="_2")
    if table.height < 2:
        raise DataError(
            f"{second.folder}: cannot be compared with {first.folder}; found "
            f"{table.height} scored examples in common (of {mine.height} and {other.height}); "
            "compare runs of the same data"
        )
    table = table.sort("source", "row", "turn")
    return Comparison(
        first,
        second,
        mine.height,
        other.height,
        {name: _correlate(table, name) for name in STATISTICS},
        {name: _agree(table[name].to_numpy(), table[f"{name}_2"].to_numpy()) for name in _CUT},
        table,
    )


def _scored(run: Run) -> pl.DataFrame:
    columns = ("id", "source", "row", "turn", "status", "preview", *STATISTICS)
    finite = pl.all_horizontal(pl.col(name).is_finite() for name in STATISTICS)
    scored = run.scores(columns).filter((pl.col("status") == "scored") & finite)
    return scored.select(
        *(c for c in columns if c not in ("status", *STATISTICS)),
        *(pl.col(name).cast(pl.Float64) for name in STATISTICS),
    )


def _correlate(table: pl.DataFrame, name: str) -> float | None:
    value = table.select(pl.corr(name, f"{name}_2", method="spearman")).item()
    return None if value is None or math.isnan(value) else float(value)


def _agree(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]
) -> list[tuple[float, float]]:
    ranks = [np.argsort(np.argsort(values, kind="stable")) for values in (first, second)]
    n = len(first)
    return [
        (share, float(np.mean((ranks[0] >= round(share * n)) == (ranks[1] >= round(share * n)))))
        for share in SHARES
    ]
