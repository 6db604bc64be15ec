"""Which rows a mixture takes: duplicates first, then amounts, then the order.

Every row has a rank: its texts' hash, mixed with the seed. A component's rows are taken
by rank, so the choice depends on the texts and the seed, and not on the order of the
rows or on how they are divided among files; and 1,000 rows are among the 2,000 rows of
the same seed. With strata the ranks of all strata are interleaved evenly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from ifcurate.errors import DataError
from ifcurate.mixing.amounts import Amount

__all__ = ["INDEX", "choose_rows", "mark_duplicates", "order_rows"]

U64 = npt.NDArray[np.uint64]

#: What is known of every row while rows are chosen. `place` counts all rows read.
INDEX: Final = pl.Schema(
    {
        "place": pl.UInt32(),
        "component": pl.UInt16(),  # number of the component, in the order given
        "source": pl.Categorical(),
        "row": pl.Int64(),
        "label": pl.Categorical(),
        "stratum": pl.Categorical(),
        "high": pl.UInt64(),  # both halves of the hash of the texts
        "low": pl.UInt64(),
        "record": pl.UInt32(),  # hash of the row as it was read: decides between equal texts
        "tokens": pl.Int32(),
        "reason": pl.String(),  # why the row is not taken; null while it may be
        "detail": pl.String(),
    }
)


def mark_duplicates(index: pl.DataFrame) -> pl.DataFrame:
    """The index with a reason for every row whose texts an earlier row has.

    Earlier is: in a component named earlier, then by the row's own content.
    """
    usable = index.filter(pl.col("reason").is_null())
    first = (
        usable.filter(pl.struct("high", "low").is_duplicated())
        .sort("component", "record", pl.col("source").cast(pl.String), "row")
        .group_by("high", "low", maintain_order=True)
        .agg(
            pl.col("place").first().alias("first"),
            pl.col("place").slice(1).alias("place"),
            pl.col("component").first().alias("first_component"),
            pl.format("{} row {}", pl.col("source").first(), pl.col("row").first()).alias("same"),
            pl.col("component").slice(1).alias("own"),
        )
        .filter(pl.col("place").list.len() > 0)
        .explode("place", "own")
        .select(
            "place",
            pl.when(pl.col("own") == pl.col("first_component"))
            .then(pl.lit("duplicate"))
            .otherwise(pl.lit("duplicate of another component"))
            .alias("why"),
            pl.format("the same texts as {}", "same").alias("which"),
        )
    )
    joined = index.join(first, on="place", how="left", maintain_order="left")
    return joined.with_columns(
        pl.coalesce("reason", "why").alias("reason"), pl.coalesce("detail", "which").alias("detail")
    ).select(index.columns)


def choose_rows(
    index: pl.DataFrame,
    amounts: Mapping[int, Amount],
    names: Mapping[int, str],
    *,
    seed: int,
    upsample: bool,
) -> pl.DataFrame:
    """The rows that are taken, a row for each copy: `place` and `copy`.

    `amounts` are numbers of rows or of tokens by component. A token budget is met as
    nearly as whole rows can. Raises `DataError` when a component has too few rows and
    `upsample` is off.
    """
    usable = index.filter(pl.col("reason").is_null())
    taken = []
    for component, amount in amounts.items():
        rows = _ranked(usable.filter(pl.col("component") == component), seed)
        sizes = np.ones(rows.height) if amount.kind == "rows" else rows["tokens"].to_numpy()
        _check_enough(sizes, amount, names[component], upsample=upsample)
        full, n_more = _repeats(sizes, int(amount.value))
        places = rows["place"].to_numpy()
        taken += [_copies(places, copy) for copy in range(full)]
        taken.append(_copies(places[:n_more], full))
    return pl.concat(taken) if taken else _copies(np.zeros(0, np.uint32), 0)


def _copies(places: npt.NDArray[Any], copy: int) -> pl.DataFrame:
    columns = {"place": places, "copy": np.full(len(places), copy)}
    return pl.DataFrame(columns, schema={"place": pl.UInt32, "copy": pl.Int32})


def _ranked(rows: pl.DataFrame, seed: int) -> pl.DataFrame:
    """A component's rows in the order in which they are taken."""
    rank = _scramble(rows["high"].to_numpy() ^ _scramble(np.array([seed], dtype=np.int64)))
    by = ("rank", "record", pl.col("source").cast(pl.String), "row")
    ordered = rows.with_columns(pl.Series("rank", rank)).sort(*by)
    if ordered["stratum"].n_unique() > 1:
        inside = (pl.int_range(pl.len()).over("stratum") + 0.5) / pl.len().over("stratum")
        ordered = ordered.with_columns(inside.alias("inside")).sort("inside", *by)
    return ordered


def _check_enough(sizes: npt.NDArray[Any], amount: Amount, name: str, *, upsample: bool) -> None:
    has, wants = int(sizes.sum()), int(amount.value)
    unit = amount.kind
    if wants and not has:
        raise DataError(
            f"component {name}: has no row that can be taken; dropped.parquet or the earlier "
            "steps say why; leave the component out, or check its data"
        )
    if wants > has and not upsample:
        raise DataError(
            f"component {name}: has {has:,} {unit} and {wants:,} are asked for; "
            "ask for less, or allow rows to be repeated with --upsample (upsample=True)"
        )


def _repeats(sizes: npt.NDArray[Any], wanted: int) -> tuple[int, int]:
    """How often all rows are taken, and how many of the first once more."""
    has = int(sizes.sum())
    if not has:
        return 0, 0
    full, rest = divmod(wanted, has)
    sums = np.concatenate([[0], np.cumsum(sizes)])
    after = int(np.searchsorted(sums, rest, side="left"))
    # Of the two row counts around the budget the nearer one.
    more = after if after == 0 or sums[after] - rest <= rest - sums[after - 1] else after - 1
    return full, more


def order_rows(chosen: pl.DataFrame, index: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    """The chosen rows with `order`, by which the mixture is written; drawn from texts and seed."""
    low = index.get_column("low").gather(chosen["place"]).to_numpy()
    salt = _scramble(chosen["copy"].to_numpy().astype(np.int64) + (seed << 20) + 1)
    return chosen.with_columns(pl.Series("order", _scramble(low ^ salt)))


def _scramble(values: npt.NDArray[Any]) -> U64:
    """64 bits from 64 bits, each depending on all (the finaliser of SplitMix64)."""
    x = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)), dtype=np.uint64)
