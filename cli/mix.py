"""`ifcurate mix`: join named components into one mixture, in training order."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ifcurate.options.card import CardOptions
from ifcurate.options.mix import MixOptions
from ifcurate.phrases import count

from . import common
from .options import with_options
from .printing import make_table, note, out, print_json, print_line, say

if TYPE_CHECKING:
    from ifcurate.mixing.mixture import Mixture


@with_options
def mix(
    components: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=PATH[:AMOUNT]",
            help="Files, globs, names of `ifcurate cards list`, Hub names, or folders that score, "
            "filter or augment wrote. AMOUNT: all, 0.1 or 10%, 1000 (rows), 2Mtok (tokens), "
            "10%-of-NAME, w3 (a weight).",
            show_default=False,
        ),
    ],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder of the mixture.")],
    options: MixOptions,
    card: CardOptions,
    overwrite: common.Overwrite = False,
    json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Mix components into one file of training data, with a manifest and a card.

    The choice of rows depends only on their texts and the seed. dropped.parquet lists the rows
    that are left out, with the reason.

        ifcurate mix kept=RUN/filtered/keep-context-critical new=RUN/augmented:10%-of-kept -o mix
    """
    from ifcurate.cards.mixture_card import write_card
    from ifcurate.mixing.components import parse_components
    from ifcurate.mixing.mix import mix_components
    from ifcurate.options.data import CONTEXT_KINDS

    # The search for contexts is slow, and only this option needs it.
    kinds = CONTEXT_KINDS if options.only == "context" else ()
    parts = parse_components(components, context=kinds)
    for part in parts:
        for name, format in part.examples.formats.items():
            say(f"{part.name}  {name}: format {format}")
        for name, unread in part.examples.unread().items():
            for text in unread.notes:
                say(f"{part.name}  {name}: {text}")
        if part.stale:
            note(f"{part.name}: {part.stale}")
    made = mix_components(
        parts, out_folder, options, command=common.command_line(), overwrite=overwrite
    )
    write_card(made, out_folder, options=card)
    if json:
        print_json(
            {
                "mixture": str(out_folder),
                "counts": made.manifest.counts,
                "notes": made.manifest.notes,
                "manifest": str(out_folder / "mixture.json"),
            }
        )
    elif not quiet:
        print_mixture(made)


def print_mixture(made: Mixture, *, hints: bool = True) -> None:
    """Rows and tokens by component, the reasons of dropped rows, and the folder."""

    from ifcurate.exports.models import scored_by

    counts = made.manifest.counts
    out.print()
    out.print(_table_of_components(counts))
    out.print()
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in made.reasons.items())
    left = f"{counts['dropped']:,} left out{': ' * bool(reasons)}{reasons}"
    out.print(f"{count(counts['read'], 'row')} read, {left}")
    for text in made.manifest.notes:
        out.print(escape(text))
    if made.folder is not None:
        print_line(f"mixture {made.folder}")
        if hints:
            model = "" if scored_by(made) else " --model MODEL"
            folder = shlex.quote(str(made.folder))
            print_line(f"next    ifcurate export {folder} --trainer trl{model}")


def _table_of_components(counts: Mapping[str, int]) -> Table:
    units = [unit for unit in ("rows", "tokens") if unit in counts]
    table = make_table("component", *units)
    for name in (key.removeprefix("rows:") for key in counts if key.startswith("rows:")):
        table.add_row(name, *(f"{counts[f'{unit}:{name}']:,}" for unit in units))
    table.add_row("all", *(f"{counts[unit]:,}" for unit in units), style="bold")
    return table
