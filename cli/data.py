"""Which data is read, and how: the options that `inspect`, `score` and `augment` share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from ifcurate.data.sources import Examples

__all__ = ["Data", "DataOptions"]

PANEL = "Data"

Data = Annotated[
    list[str],
    typer.Argument(
        help="Files (json, jsonl, csv, parquet; .gz, .zst), globs, or a Hub name.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class DataOptions:
    """How rows are read from what is named."""

    format: Annotated[
        Literal["auto", "alpaca", "prompt_completion", "messages", "sharegpt", "qca"],
        typer.Option(
            help="Layout of the rows; qca is question, context, answer, nested SQuAD files too.",
            rich_help_panel=PANEL,
        ),
    ] = "auto"
    columns: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=COLUMN...",
            help="Map columns: instruction=... context=... response=... (system=...).",
            rich_help_panel=PANEL,
        ),
    ] = None
    turns: Annotated[
        Literal["last", "all"],
        typer.Option(
            help="Score the last assistant turn of a chat, or all of them.", rich_help_panel=PANEL
        ),
    ] = "last"
    context: Annotated[
        str,
        typer.Option(
            help="Where context is looked for: auto, or some of field,tool,system,inline.",
            rich_help_panel=PANEL,
        ),
    ] = "auto"
    min_confidence: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Least confidence of a rule that finds context inside a text.",
            rich_help_panel=PANEL,
        ),
    ] = 0.5
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Read at most this many rows.", rich_help_panel=PANEL),
    ] = None
    subset: Annotated[
        str, typer.Option(help="Configuration of a Hub dataset.", rich_help_panel=PANEL)
    ] = ""
    hub_split: Annotated[
        str, typer.Option(help="Split of a Hub dataset.", rich_help_panel=PANEL)
    ] = "train"

    def read(self, data: Sequence[str]) -> Examples:
        """The examples of these files, globs or Hub datasets."""
        from ifcurate.data.formats import CONTEXT_KINDS
        from ifcurate.data.sources import read_examples

        mapping, paths = _columns_from(self.columns or (), data)
        named = tuple(kind.strip() for kind in self.context.split(","))
        return read_examples(
            paths,
            format=self.format,
            columns=mapping or None,
            turns=self.turns,
            context=CONTEXT_KINDS if self.context == "auto" else named,
            min_confidence=self.min_confidence,
            limit=self.limit,
            subset=self.subset,
            split=self.hub_split,
        )


def _columns_from(columns: Sequence[str], data: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Mappings from --columns and, since they may follow one flag, from among the arguments."""
    mapping: dict[str, str] = {}
    paths = []
    pattern = re.compile(r"(instruction|context|response|system)=(.+)", re.DOTALL)
    for item in data:
        match = pattern.fullmatch(item) if columns and not Path(item).exists() else None
        if match:
            mapping[match[1]] = match[2]
        else:
            paths.append(item)
    for item in (part for text in columns for part in text.split(",")):
        name, equals, column = item.strip().partition("=")
        if not (equals and name and column):
            raise typer.BadParameter(
                f"{item!r} is no NAME=COLUMN; write instruction=prompt", param_hint="--columns"
            )
        mapping[name] = column
    return mapping, paths
