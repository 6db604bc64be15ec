"""Near duplicates, found by semhash (the extra `near-duplicates`)."""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from ifcurate.errors import DataError
from ifcurate.mixing.choosing import drop_rows
from ifcurate.phrases import missing_package

_EXACT_UP_TO: Final = 20_000  # up to here every row is compared with every other


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
