"""Choose the rows of a mixture: remove duplicates, apply the amounts, then order the rows.

Every row has a rank: the hash of its texts, mixed with the seed. A component's rows are
taken by rank. The choice therefore depends on the texts and the seed, and not on the order
of the rows or their division into files. The first 1,000 rows are among the first 2,000
rows of the same seed. With strata, the ranks of all strata are interleaved evenly. Near
duplicates are found by semhash (the extra `near-duplicates`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from ifcurate.errors import DataError
from ifcurate.mixing.amounts import Amount
from ifcurate.phrases import missing_package

U64 = npt.NDArray[np.uint64]

ELSEWHERE: Final = "duplicate of another component"
_EXACT_UP_TO: Final = 20_000  # up to here every row is compared with every other


def index_schema(components: Sequence[str]) -> pl.Schema:
    """Return the columns by which rows are chosen, a row for each row that was read."""
    return pl.Schema(
        {
            "place": pl.UInt32(),  # counts all rows that were read, from 0
            "component": pl.Enum(components),  # sorted as the components are given
            "source": pl.Categorical(),
            "row": pl.Int64(),
            "label": pl.Categorical(),
            "stratum": pl.Categorical(),
            "high": pl.UInt64(),  # both halves of the hash of the texts
            "low": pl.UInt64(),
            "n_excluded": pl.UInt16(),  # answers that are not trained on
            "record": pl.UInt32(),  # hash of the row as it was read; it orders equal texts
            "tokens": pl.Int32(),
            "reason": pl.String(),  # why the row is not taken; null if it can be taken
            "detail": pl.String(),
        }
    )


def mark_duplicates(index: pl.DataFrame) -> pl.DataFrame:
    """Return the index with a reason for every row that has the texts of an earlier row.

    Rows with more answers to train on come first. Then rows are ordered by component, as the
    components are named, then by their own content.
    """
    usable = index.filter(pl.col("reason").is_null())
    first = (
        usable.filter(pl.struct("high", "low").is_duplicated())
        .sort("n_excluded", "component", "record", pl.col("source").cast(pl.String), "row")
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
            .otherwise(pl.lit(ELSEWHERE))
            .alias("why"),
            pl.format("the same texts as {}", "same").alias("which"),
        )
    )
    return drop_rows(index, first)


def mark_near_duplicates(
    index: pl.DataFrame, texts: pl.Series, threshold: float, encoder: Any
) -> pl.DataFrame:
    """Return the index with a reason for every row whose texts nearly repeat an earlier row's.

    `texts` has the text of every row of the index. `threshold` is a cosine similarity. `encoder` is
    the name of a model2vec model, or an object with semhash's `encode`. Above 20,000 texts the
    neighbours come from an approximate index. Raises `DataError` when semhash or the model is
    missing.
    """
    semhash = require_semhash()
    usable = index.filter(pl.col("reason").is_null())
    if usable.height < 2:
        return index
    ordered = usable.sort("n_excluded", "component", "high", "low", "place")
    records = ordered.select(
        texts.gather(ordered["place"]).alias("text"),
        pl.col("place").cast(pl.String),
        pl.format("{} row {}", "source", "row").alias("name"),
    )
    model = _load_encoder(encoder) if isinstance(encoder, str) else encoder
    backend = "basic" if records.height <= _EXACT_UP_TO else "usearch"
    search = semhash.from_records(
        records.to_dicts(), columns=["text"], model=model, ann_backend=backend
    )
    near = [
        (
            int(found.record["place"]),
            "near duplicate",
            f"similarity {found.score:.3f} to {found.duplicate_of['name']}",
        )
        for found in search.self_deduplicate(threshold=threshold).filtered
    ]
    schema = {"place": pl.UInt32, "why": pl.String, "which": pl.String}
    return drop_rows(index, pl.DataFrame(near, schema, orient="row"))


def require_semhash() -> Any:
    """Return the class that finds near duplicates. Raises `DataError` when it is missing."""
    try:
        from semhash import SemHash
    except ImportError as error:
        raise DataError(missing_package("near duplicates", "near-duplicates", error)) from error
    return SemHash


def _load_encoder(name: str) -> Any:
    from model2vec import StaticModel

    try:
        return StaticModel.from_pretrained(name)
    except Exception as error:
        raise DataError(
            f"near duplicates: the encoder {name!r} cannot be loaded: {str(error)[:200]}; "
            "name a model2vec folder or Hub id with --near-model, or download it first"
        ) from error


def drop_rows(index: pl.DataFrame, dropped: pl.DataFrame) -> pl.DataFrame:
    """Return the index with the reasons of `dropped` (`place`, `why`, `which`).

    Earlier reasons stay.
    """
    joined = index.join(dropped, on="place", how="left", maintain_order="left")
    return joined.with_columns(
        pl.coalesce("reason", "why").alias("reason"), pl.coalesce("detail", "which").alias("detail")
    ).select(index.columns)


def mark_not_chosen(index: pl.DataFrame, chosen: pl.DataFrame) -> pl.DataFrame:
    """Return the index with a reason for every usable row that was not chosen."""
    taken = index["place"].is_in(chosen["place"].unique().implode())
    left = pl.col("reason").is_null() & ~taken
    amount_reached = pl.lit("the component's amount was reached")
    return index.with_columns(
        pl.when(left).then(pl.lit("not chosen")).otherwise("reason").alias("reason"),
        pl.when(left).then(amount_reached).otherwise("detail").alias("detail"),
    )


def count_lost(index: pl.DataFrame, chosen: pl.DataFrame) -> dict[str, int]:
    """By component: the rows dropped as duplicates of another component's unchosen rows."""
    taken = index.filter(pl.col("place").is_in(chosen["place"].implode()))
    elsewhere = index.filter(pl.col("reason") == ELSEWHERE)
    lost = elsewhere.join(taken, on=["high", "low"], how="anti")
    return dict(lost.group_by("component").len().sort("component").iter_rows())


def choose_rows(
    index: pl.DataFrame, amounts: Mapping[str, Amount], *, seed: int, upsample: bool
) -> pl.DataFrame:
    """Return the rows that are taken, a row for each copy: `place` and `copy`.

    `amounts` are numbers of rows or of tokens by component. The rows of a token budget are
    those whose sum is nearest to it. Raises `DataError` when a component has too few rows and
    `upsample` is off.
    """
    usable = index.filter(pl.col("reason").is_null())
    taken = []
    for component, amount in amounts.items():
        rows = _ranked(usable.filter(pl.col("component") == component), seed)
        sizes = np.ones(rows.height) if amount.kind == "rows" else rows["tokens"].to_numpy()
        _check_enough(sizes, amount, component, upsample=upsample)
        full, n_more = _repeats(sizes, int(amount.value))
        places = rows["place"].to_numpy()
        taken += [_copies(places, copy) for copy in range(full)]
        taken.append(_copies(places[:n_more], full))
    return pl.concat(taken) if taken else _copies(np.zeros(0, np.uint32), 0)


def _copies(places: npt.NDArray[Any], copy: int) -> pl.DataFrame:
    columns = {"place": places, "copy": np.full(len(places), copy)}
    return pl.DataFrame(columns, schema={"place": pl.UInt32, "copy": pl.Int32})


def _ranked(rows: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return a component's rows in the order in which they are taken."""
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
            f"component {name}: has no row that can be taken; leave the component out, or find "
            "the reasons in dropped.parquet or in the earlier steps"
        )
    if wants > has and not upsample:
        raise DataError(
            f"component {name}: has {has:,} {unit}, and its amount is {wants:,}; "
            "lower its amount (--rows or --tokens, if it comes from a weight), or allow repeated "
            "rows with --upsample"
        )


def _repeats(sizes: npt.NDArray[Any], wanted: int) -> tuple[int, int]:
    """Return how many times all rows are taken, and how many of the first rows are taken again."""
    has = int(sizes.sum())
    if not has:
        return 0, 0
    full, rest = divmod(wanted, has)
    sums = np.concatenate([[0], np.cumsum(sizes)])
    after = int(np.searchsorted(sums, rest, side="left"))
    # Two row counts enclose the budget. Take the nearer one.
    n_more = after if after == 0 or sums[after] - rest <= rest - sums[after - 1] else after - 1
    return full, n_more


def order_rows(chosen: pl.DataFrame, index: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    """Return the chosen rows with `order`, their random place in the mixture."""
    low = index.get_column("low").gather(chosen["place"]).to_numpy()
    salt = _scramble(chosen["copy"].to_numpy().astype(np.int64) + (seed << 20) + 1)
    return chosen.with_columns(pl.Series("order", _scramble(low ^ salt)))


def _scramble(values: npt.NDArray[Any]) -> U64:
    """64 bits from 64 bits, each depending on all (the finaliser of SplitMix64)."""
    x = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)), dtype=np.uint64)
