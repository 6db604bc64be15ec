"""Examples from data in memory: dicts, data frames, datasets, or examples."""

from __future__ import annotations

import itertools
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from ifcurate.data.detection import detect_format
from ifcurate.data.readers.files import RawRow
from ifcurate.data.sources import (
    Examples,
    learn_layout,
    options_format,
    options_layout,
    read_row,
    rename_repeated,
)
from ifcurate.errors import DataError
from ifcurate.options.base import takes_options
from ifcurate.options.data import DataOptions
from ifcurate.records import ContextBlock, Example

_SOURCE: Final = "rows"
_LOOKED_AT: Final = 100
_RETURNED: Final = "a part of example.instruction, its start and end, or None"
_EXPECTED: Final = (
    "give read_examples(FILE), a list of dicts, a datasets.Dataset, a polars or pandas frame, "
    "or a list of Example"
)


@takes_options(DataOptions, [n for n in DataOptions.model_fields if n not in ("subset", "split")])
def take_examples(data: Any, *, options: DataOptions) -> Iterable[Example]:
    """Return the examples of data in memory.

    `data` is the result of `read_examples`, an iterable of `Example`, or rows: a list of
    dicts, a `datasets.Dataset`, a polars or pandas frame, a pyarrow table. The format of
    rows is detected like that of a file. Examples are returned unchanged. All functions that
    take rows read them like this, with the default options.

    Raises:
        TypeError: `data` is none of these.
        DataError: the format is unknown, or rows cannot be used; it names the first.
    """
    if isinstance(data, Examples):
        return data
    if isinstance(data, str | bytes):
        raise TypeError(f"examples: found a text; {_EXPECTED.replace('FILE', repr(data))}")
    rows = _as_rows(data)
    first = next(rows, None)
    if first is None:
        return []
    rest = itertools.chain([first], rows)
    if isinstance(first, Example):
        return _check_examples(rest)
    return _parse_rows(rest, options)


def mark_context(
    examples: Any, find: Callable[[Example], str | tuple[int, int] | None]
) -> list[Example]:
    """Examples with the context that your own function finds.

    `find` takes an `Example` and returns its context: a part of the instruction, the start
    and end of the part in characters, or None for no context. It replaces the context that
    was found. `examples` are as in `score_examples`.

    Raises:
        TypeError: `find` is not a function, or returns something else.
        DataError: a text is not in the instruction, or a position is outside it.
    """
    return [_mark(example, find(example)) for example in take_examples(examples)]


def _mark(example: Example, context: object) -> Example:
    if context is None or context == "":
        return replace(example, blocks=())
    text = example.instruction
    match context:
        case str():
            start = text.find(context)
            end = start + len(context)
        case int(start), int(end):
            pass
        case _:
            raise TypeError(
                f"example {example.id}: your function returned {reprlib.repr(context)}; "
                f"return {_RETURNED}"
            )
    if not 0 <= start < end <= len(text):
        raise DataError(
            f"example {example.id}: the context that your function returned is not in the "
            f"instruction; found {reprlib.repr(context)}; return {_RETURNED}"
        )
    block = ContextBlock("instruction", "instruction", start, end, start, end, "function", 1.0)
    return replace(example, blocks=(block,))


def _as_rows(data: Any) -> Iterator[Any]:
    """Return the rows of a frame, a table, a dataset or any iterable."""
    if hasattr(data, "iter_rows") and hasattr(data, "schema"):  # polars
        return iter(data.iter_rows(named=True))
    if hasattr(data, "to_pylist"):  # pyarrow
        return iter(data.to_pylist())
    if hasattr(data, "to_dict") and hasattr(data, "columns"):  # pandas
        return map(_without_arrays, data.to_dict("records"))
    if type(data).__name__ == "LazyFrame":
        raise TypeError("examples: found a LazyFrame; give frame.collect()")
    if type(data).__name__ in ("DatasetDict", "IterableDatasetDict"):
        names = ", ".join(map(str, data))
        raise TypeError(
            f"examples: found a {type(data).__name__} with the splits {names}; give one of them: "
            f"data[{next(iter(data), 'train')!r}]"
        )
    if isinstance(data, Mapping):
        raise TypeError(f"examples: found one dict; {_EXPECTED}")
    try:
        return iter(data)
    except TypeError as error:
        raise TypeError(f"examples: found {type(data).__name__}; {_EXPECTED}") from error


def _without_arrays(value: Any) -> Any:
    """Return a value with its arrays as lists: pandas reads the lists of Parquet as arrays."""
    if isinstance(value, Mapping):
        return {key: _without_arrays(inner) for key, inner in value.items()}
    if isinstance(value, list) or (hasattr(value, "dtype") and value.ndim):
        return [_without_arrays(item) for item in value]
    return value


def _check_examples(examples: Iterable[Any]) -> Iterator[Example]:
    for number, example in enumerate(examples):
        if not isinstance(example, Example):
            kind = type(example).__name__
            raise TypeError(f"examples: item {number} is {kind}, the first is Example; {_EXPECTED}")
        # Examples made by hand are distinguished by their place, like the rows of a file.
        yield replace(example, row_number=number) if not example.source else example


def _parse_rows(rows: Iterable[Any], options: DataOptions) -> list[Example]:
    """Examples of all rows. Raises `DataError` for rows that cannot be used."""
    values = list(itertools.islice(rows, options.limit))
    for number, value in enumerate(values):
        if not isinstance(value, Mapping):
            raise TypeError(f"examples: row {number} is {type(value).__name__}; {_EXPECTED}")
    records = [dict(value) for value in values]
    name = options_format(options)
    if name == "auto":
        name = _detect_format(records)
    layout = learn_layout(records, options_layout(name, options))
    raw = (RawRow(_SOURCE, i, None, None, record) for i, record in enumerate(records))
    rows = list(rename_repeated(read_row(row, layout) for row in raw))
    if bad := [row.bad for row in rows if row.bad is not None]:
        raise DataError(
            f"{len(bad)} of {len(records)} rows cannot be used; the first is row {bad[0].number}: "
            f"{bad[0].error}; "
            "leave them out, or write a file and use read_examples, which quarantines bad rows"
        )
    return [example for row in rows for example in row.examples]


def _detect_format(records: Sequence[dict[str, Any]]) -> str:
    try:
        return detect_format(records[:_LOOKED_AT], _SOURCE)
    except DataError as error:
        what = "; ".join(str(error).split("; ")[:2])  # without the advice for files
        raise DataError(
            f"{what}; name the columns: take_examples(rows, columns={{'instruction': NAME, "
            "'context': NAME, 'response': NAME})"
        ) from None
