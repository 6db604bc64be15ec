"""`ifcurate export`: write a mixture for a trainer, with its configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from ifcurate.options.export import ExportOptions
from ifcurate.phrases import count

from . import common
from .options import with_options
from .printing import note, out, print_json, print_line, say

if TYPE_CHECKING:
    from ifcurate.exports.export import Export
    from ifcurate.mixing.mixture import Mixture

_SCORED_BY = " (it scored the rows; --model names another)"


@with_options
def export(
    mixture: Annotated[
        Path,
        typer.Argument(help="Folder of a mixture, or one that filter wrote.", show_default=False),
    ],
    options: ExportOptions,
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", help="Folder. By default one in the mixture's folder."),
    ] = None,
    overwrite: common.Overwrite = False,
    json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Write a mixture for a trainer, with its configuration, and print the command that trains.

    Columns that ifcurate added are left out. left_out.jsonl lists the rows that do not fit the
    format, with reasons.

        ifcurate export mixture --trainer trl
        ifcurate export mixture --trainer axolotl --model llama-3.1-8b --qk-only
    """
    from ifcurate.exports.export import export_mixture

    made = open_mixture(mixture)
    assert made.folder is not None
    if made.manifest.stale:
        note(made.manifest.stale)
    folder = out_folder or made.folder / options.folder_name
    result = export_mixture(made, folder, overwrite=overwrite, options=options)
    if json:
        print_json(
            {
                "export": str(folder),
                "data": str(result.data),
                "counts": result.manifest.counts,
                "notes": result.manifest.notes,
                "command": result.command,
            }
        )
    elif not quiet:
        print_export(result)


def open_mixture(folder: Path) -> Mixture:
    """Return the mixture in a folder. A filter's folder gets a mixture of its kept rows inside."""
    from ifcurate.mixing.components import open_component
    from ifcurate.mixing.mix import mix_components
    from ifcurate.mixing.mixture import read_mixture
    from ifcurate.options.mix import MixOptions

    if not (folder / "filter.json").is_file():
        return read_mixture(folder)
    where = folder / "mixture"
    say(f"mixture {where}: all rows that the filter kept")
    component = open_component("kept", str(folder))
    options = MixOptions(duplicates="keep")
    command = common.command_line()
    return mix_components([component], where, options, command=command, overwrite=True)


def print_export(result: Export) -> None:
    """Print the files, the number of rows left out, and the command that trains."""

    counts = result.manifest.counts
    left = f", {counts['left_out']:,} left out" if counts["left_out"] else ""
    out.print()
    out.print(f"{count(counts['written'], 'row')} written{left}")
    for what, file in result.manifest.outputs.items():
        name = "data" if what == "data" else "left out" if "left_out" in file else "config"
        print_line(f"{name:9}{result.folder / file}")
    for text in result.manifest.notes:
        out.print(f"note     {escape(text)}")
    if result.command:
        identity = result.manifest.identity
        named = identity["options"]["model"]
        print_line(f"model    {identity['model']}{'' if named else _SCORED_BY}")
        print_line(f"train    {result.command}")
        if not result.folder.is_absolute():
            print_line(f"in       {Path.cwd()} (the paths in the configuration begin there)")
