"""`ifcurate recipes`: the recipes that come with ifcurate."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ifcurate.errors import DataError

from . import common, printing

app = typer.Typer(
    rich_markup_mode="markdown",
    no_args_is_help=True,
    help="List, show and copy the recipes that come with ifcurate.",
)

Name = Annotated[str, typer.Argument(help="A name of `ifcurate recipes list`, or a YAML file.")]
Full = Annotated[
    bool, typer.Option("--all", help="Show every key, with its meaning and default in a comment.")
]


@app.command("list")
def list_recipes(json: common.Json = False) -> None:
    """List the recipes that come with ifcurate."""
    from ifcurate.pipeline import loading

    recipes = loading.list_recipes()
    if json:
        printing.print_json(recipes)
        return
    print_recipes(recipes)


def print_recipes(recipes: Mapping[str, str]) -> None:
    """Names and descriptions; a description that wraps stays in its column."""

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    for name, description in recipes.items():
        table.add_row(name, description)
    printing.out.print(table)


@app.command("show")
def show(name: Name, every: Full = False) -> None:
    """Print a recipe.

    Its text is that of the file, with comments.

        ifcurate recipes show alpaca
    """
    printing.print_line(_text(name, every=every), end="")


@app.command("copy")
def copy(
    name: Name,
    to: Annotated[
        Path,
        typer.Argument(help="File to write, or folder for NAME.yaml. By default this folder."),
    ] = Path(),
    every: Full = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Write a recipe to a file, to change it.

    `ifcurate run FILE` runs it.

        ifcurate recipes copy alpaca mine.yaml
    """
    from ifcurate.storage.files import write_text

    path = to / f"{Path(name).stem}.yaml" if to.is_dir() else to
    if path.exists() and not overwrite:
        raise DataError(
            f"{path}: exists already; give --overwrite to replace it, or name another file"
        )
    write_text(path, _text(name, every=every))
    printing.print_line(f"recipe {path}")
    printing.print_line(f"next   ifcurate run {shlex.quote(str(path))}")


def _text(name: str, *, every: bool) -> str:
    from ifcurate.pipeline.loading import load_recipe, read_recipe
    from ifcurate.pipeline.recipe import render_recipe

    return render_recipe(load_recipe(name), every_key=True) if every else read_recipe(name)
