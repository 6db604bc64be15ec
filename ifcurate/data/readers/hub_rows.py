"""Rows from datasets of the Hub."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ifcurate.data.readers.files import RawRow, Source
from ifcurate.errors import DataError
from ifcurate.network import offline_without_network
from ifcurate.phrases import first_line


def read_hub(source: Source) -> Iterator[RawRow]:
    """Yield the rows of a dataset's split, as a stream. Raises `DataError`."""
    with _hub_errors(source):
        for number, value in enumerate(_open_hub(source)):
            yield RawRow(source.name, number, None, None, dict(value))


def count_hub_rows(source: Source) -> int | None:
    """Return the number of rows that a dataset declares for its split; None where it declares none.

    Raises `DataError`.
    """
    with _hub_errors(source):
        declared = (_open_hub(source).info.splits or {}).get(source.split)
    return int(declared.num_examples) or None if declared else None


def _open_hub(source: Source) -> Any:
    import datasets

    with offline_without_network():
        return datasets.load_dataset(
            source.name, source.subset or None, split=source.split, streaming=True
        )


@contextlib.contextmanager
def _hub_errors(source: Source) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # datasets raises errors of many types
        raise DataError(
            f"Hub dataset {source.name}: cannot be loaded: {first_line(error)}; check the name "
            "and the network, or download the files and name them"
        ) from error
