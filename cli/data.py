"""Reading the data that a command names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ifcurate.options.data import DataOptions

from .common import note

if TYPE_CHECKING:
    from ifcurate.data.sources import Examples

__all__ = ["Data", "announce_data", "read_data"]

Data = Annotated[
    list[str],
    typer.Argument(
        help="Files (json, jsonl, csv, parquet, arrow; .gz, .zst), folders, globs, URLs, "
        "- for standard input, or a Hub name.",
        show_default=False,
    ),
]
_MAPPING = re.compile(r"(instruction|context|response|system)=(.+)", re.DOTALL)


def read_data(data: Sequence[str], options: DataOptions) -> Examples:
    """The examples of these files, globs or Hub datasets."""
    from ifcurate.data.sources import read_examples

    paths = list(data)
    if options.columns:
        # Several mappings may follow one --columns. The later ones arrive as arguments.
        mappings = [m for m in map(_MAPPING.fullmatch, data) if m and not Path(m[0]).exists()]
        paths = [item for item in data if item not in {m[0] for m in mappings}]
        columns = {**{m[1]: m[2] for m in mappings}, **options.columns}
        options = options.model_copy(update={"columns": columns})
    return read_examples(paths, options=options)


def announce_data(examples: Examples, *, quiet: bool) -> int | None:
    """Print what is read, before the model is loaded. Returns the number of rows if known."""
    if quiet:
        return None
    n_rows = examples.count_rows()
    for name, format in examples.formats.items():
        note(f"data  {name}: format {format}")
    if n_rows is not None:
        note(f"rows  {n_rows:,}")
    return n_rows
