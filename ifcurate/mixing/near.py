"""Near duplicates, found by semhash (the extra `near-duplicates`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ifcurate.errors import DataError
from ifcurate.phrases import install_line

__all__ = ["find_near_duplicates"]

_EXACT_UP_TO: Final = 20_000  # rows that are compared with all others; more use an index


def find_near_duplicates(
    texts: Sequence[str], threshold: float, encoder: Any
) -> dict[int, tuple[int, float]]:
    """Number of each text that an earlier one nearly repeats -> that one's, and the similarity.

    `threshold` is a cosine similarity. `encoder` is the name of a model2vec model, or
    anything with semhash's `encode`. Above 20,000 texts neighbours come from an
    approximate index. Raises `DataError` when semhash or the model is missing.
    """
    try:
        from semhash import SemHash
    except ImportError as error:
        raise DataError(
            "near duplicates: the package semhash is missing; install it with "
            f"{install_line('near-duplicates')}"
        ) from error
    if len(texts) < 2:
        return {}
    model = _load_encoder(encoder) if isinstance(encoder, str) else encoder
    records = [{"text": text, "at": str(i)} for i, text in enumerate(texts)]
    backend = "basic" if len(texts) <= _EXACT_UP_TO else "usearch"
    index = SemHash.from_records(records, columns=["text"], model=model, ann_backend=backend)
    result = index.self_deduplicate(threshold=threshold)
    return {
        int(found.record["at"]): (int(found.duplicate_of["at"]), float(found.score))
        for found in result.filtered
    }


def _load_encoder(name: str) -> Any:
    from model2vec import StaticModel

    try:
        return StaticModel.from_pretrained(name)
    except Exception as error:
        raise DataError(
            f"near duplicates: the encoder {name!r} cannot be loaded: {str(error)[:200]}; "
            "name a model2vec folder or Hub id with --near-model, or download it first"
        ) from error
