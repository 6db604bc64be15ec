"""Near duplicates, found by semhash (the extra `near-duplicates`)."""

from __future__ import annotations

from collections.abc import Sequence
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

    `texts` has the text of every row of the index. Raises `DataError` when semhash or the
    model is missing.
    """
    order = ("n_excluded", "component", "high", "low", "place")
    usable = index.filter(pl.col("reason").is_null()).sort(order)
    places = usable["place"].to_list()
    neighbours = _find_neighbours(texts.gather(places).to_list(), threshold, encoder)
    sources, numbers = usable["source"].cast(pl.String).to_list(), usable["row"].to_list()
    near = pl.DataFrame(
        {
            "place": [places[i] for i in neighbours],
            "why": ["near duplicate"] * len(neighbours),
            "which": [
                f"similarity {score:.3f} to {sources[j]} row {numbers[j]}"
                for j, score in neighbours.values()
            ],
        },
        schema={"place": pl.UInt32, "why": pl.String, "which": pl.String},
    )
    return drop_rows(index, near)


def _find_neighbours(
    texts: Sequence[str], threshold: float, encoder: Any
) -> dict[int, tuple[int, float]]:
    """Number of each text that nearly repeats an earlier one -> that one's, and the similarity.

    `threshold` is a cosine similarity. `encoder` is the name of a model2vec model, or an
    object with semhash's `encode`. Above 20,000 texts the neighbours come from an
    approximate index. Raises `DataError` when semhash or the model is missing.
    """
    semhash = require_semhash()
    if len(texts) < 2:
        return {}
    model = _load_encoder(encoder) if isinstance(encoder, str) else encoder
    records = [{"text": text, "at": str(i)} for i, text in enumerate(texts)]
    backend = "basic" if len(texts) <= _EXACT_UP_TO else "usearch"
    index = semhash.from_records(records, columns=["text"], model=model, ann_backend=backend)
    result = index.self_deduplicate(threshold=threshold)
    return {
        int(text.record["at"]): (int(text.duplicate_of["at"]), float(text.score))
        for text in result.filtered
    }


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
