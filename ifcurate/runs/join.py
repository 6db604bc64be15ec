"""Join the parts of a run, or its shards, into the final tables.

Polars reads the rows in their final order and writes them as a stream, in row groups of one
size. So the same rows give the same bytes, regardless of the parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from ifcurate.data.unique_names import UniqueNames
from ifcurate.storage.files import scan_table, sink_tables
from ifcurate.storage.tables import SCORES, TOKENS

#: The root of an id, as a hash: the id without suffixes such as `~2`.
_ROOT: Final = pl.col("id").str.replace(r"(~\d+)+$", "").hash(20).alias("root")


def scan_parts(paths: Sequence[Path], schema: pl.Schema) -> pl.LazyFrame:
    """Return the rows of these tables, in order."""
    if not paths:
        return schema.to_frame().lazy()
    # Absolute paths without patterns, because polars reads names such as `s3:` as URLs.
    return pl.scan_parquet([path.absolute() for path in paths], glob=False)


def join_tables(
    folder: Path,
    scores: pl.LazyFrame,
    manifest: Mapping[str, Any],
    *,
    tokens: pl.LazyFrame | None = None,
    unique: bool = True,
) -> None:
    """Write `scores.parquet`, and `tokens.parquet` when there are tokens, into `folder`.

    With `unique`, repeated ids are renamed as `UniqueNames` does. Raises `DataError` when
    the files cannot be written.
    """
    path = folder / "scores.parquet"
    sink_tables({path: rename_repeated(scores) if unique else scores}, manifest)
    if tokens is not None:
        ids = repeat_for_tokens(scan_table(path, SCORES), "id")
        named = pl.concat([ids, tokens.drop("id")], how="horizontal").select(TOKENS.names())
        sink_tables({folder / "tokens.parquet": named}, manifest)


def repeat_for_tokens(scores: pl.LazyFrame, *columns: str) -> pl.LazyFrame:
    """These columns of the scores, with a row for each row of TOKENS."""
    scored = scores.filter(pl.col("status") == "scored", pl.col("n_response_tokens") > 0)
    return scored.select(pl.col(columns).repeat_by("n_response_tokens")).explode(columns)


def rename_repeated(scores: pl.LazyFrame) -> pl.LazyFrame:
    """Return the table with unique ids; all turns of a row have one id.

    The name that `UniqueNames` gives to a row depends on the earlier rows whose ids have the
    same root. So the hashes of all roots are held in memory (8 bytes a row), and only the rows
    with a repeated root are processed one by one.
    """
    rows = scores.select("id", "turn", _ROOT).with_row_index("place")
    roots = rows.filter(pl.col("turn") == 0).group_by("root").len()
    again = roots.filter(pl.col("len") > 1).select("root").collect(engine="streaming")["root"]
    if not len(again):
        return scores
    repeated = rows.filter(pl.col("root").is_in(again.implode())).select("place", "turn", "id")
    touched = repeated.collect(engine="streaming")
    numbers = np.fromiter(_suffixes(touched), np.int64, touched.height)
    suffixes = touched.select("place", suffix=pl.Series(numbers)).lazy()
    joined = scores.with_row_index("place").join(
        suffixes, on="place", how="left", maintain_order="left"
    )
    new = pl.when(pl.col("suffix") > 0).then(pl.format("{}~{}", "id", "suffix"))
    return joined.with_columns(new.otherwise("id").alias("id")).drop("place", "suffix")


def _suffixes(rows: pl.DataFrame) -> Iterator[int]:
    """Yield the suffix of each row; 0 if there is none."""
    names = UniqueNames()
    suffix = 0
    for turn, base in rows.select("turn", "id").iter_rows():
        if turn == 0:
            suffix = int(names.name(base)[len(base) + 1 :] or 0)
        yield suffix
