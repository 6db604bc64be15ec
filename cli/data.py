"""Reading the data that a command names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ifcurate.options.data import DataOptions

from .printing import note, report, say

if TYPE_CHECKING:
    from ifcurate.data.sources import Examples

Data = Annotated[
    list[str],
    typer.Argument(
        help="Files (json, jsonl, csv, parquet, arrow; .gz, .zst), folders, globs, URLs, "
        "- for standard input, or a Hub name. demo:alpaca.jsonl is bundled.",
        show_default=False,
    ),
]
_MAPPING = re.compile(r"(instruction|context|response|system)=(.+)", re.DOTALL)


def read_data(data: Sequence[str], options: DataOptions) -> Examples:
    """Return the examples of these files, globs or Hub datasets."""
    from ifcurate.data.sources import read_examples

    mappings = _mappings(data, options)
    if mappings:
        columns = {**{m[1]: m[2] for m in mappings.values()}, **(options.columns or {})}
        options = options.model_copy(update={"columns": columns})
    return read_examples([item for item in data if item not in mappings], options=options)


def note_reading(data: Sequence[str], options: DataOptions) -> None:
    """Print which data are about to be read; counting takes as long where rows have no index."""
    mappings = _mappings(data, options)
    say(f"reading and counting {', '.join(item for item in data if item not in mappings)}")


def _mappings(data: Sequence[str], options: DataOptions) -> dict[str, re.Match[str]]:
    """Return the arguments that are mappings: several may follow one --columns."""
    if not options.columns:
        return {}
    matches = {item: _MAPPING.fullmatch(item) for item in data if not Path(item).exists()}
    return {item: match for item, match in matches.items() if match}


def announce_data(examples: Examples) -> int | None:
    """Print what is read, before the model is loaded. Return the number of rows if it is known."""
    if report.silent:
        return None
    for name, format in examples.formats.items():
        note(f"data  {name}: format {format}")
    n_rows = examples.count_rows()
    if n_rows is not None:
        note(f"rows  {n_rows:,}")
    return n_rows
