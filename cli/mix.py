"""`ifcurate mix`: named components become one mixture, in training order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ifcurate.options.card import CardOptions
from ifcurate.options.mix import MixOptions
from ifcurate.phrases import count

from . import common
from .common import note, out
from .options import with_options

if TYPE_CHECKING:
    from ifcurate.mixing.mixture import Mixture


@with_options
def mix(
    components: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=PATH[:AMOUNT]...",
            help="Files, globs, known sets, Hub names, or folders that score, filter or augment "
            "wrote. AMOUNT: all, 0.1 or 10%, 1000 (rows), 2Mtok (tokens), 10%-of-NAME, "
            "w3 (a weight).",
            show_default=False,
        ),
    ],
    out_folder: Annotated[Path, typer.Option("--out", "-o", help="Folder of the mixture.")],
    options: MixOptions,
    card: CardOptions,
    json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Mix components into one file of training data, with a manifest and a card.

    The choice of rows depends on their texts and the seed only. Rows that are left out are
    listed in dropped.parquet, with the reason.

        ifcurate mix kept=RUN/filtered/keep-context-critical new=RUN/augmented:10%-of-kept -o mix
    """
    from ifcurate.cards.mixture_card import write_card
    from ifcurate.mixing.components import parse_components
    from ifcurate.mixing.mix import mix_components
    from ifcurate.options.data import CONTEXT_KINDS

    silent = quiet or json
    # Looking for contexts takes longer than all the rest; only this option needs it.
    kinds = CONTEXT_KINDS if options.only == "context" else ()
    parts = parse_components(components, context=kinds)
    for part in parts:
        for name, format in part.examples.formats.items():
            note(f"{part.name}  {name}: format {format}", quiet=silent)
    made = mix_components(parts, out_folder, options, command=common.command_line())
    write_card(made, out_folder, options=card)
    if json:
        common.print_json(
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
    """Rows and tokens by component, what was left out and why, and where it all is."""
    from rich.markup import escape
    from rich.table import Table

    counts = made.manifest.counts
    tokens = "tokens" in counts
    table = Table(box=None, pad_edge=False)
    table.add_column("component")
    table.add_column("rows", justify="right")
    if tokens:
        table.add_column("tokens", justify="right")
    names = [key.removeprefix("rows:") for key in counts if key.startswith("rows:")]
    for name in names:
        cells = [f"{counts[f'rows:{name}']:,}"]
        table.add_row(name, *cells, *([f"{counts[f'tokens:{name}']:,}"] if tokens else []))
    total = [f"{counts['rows']:,}", *([f"{counts['tokens']:,}"] if tokens else [])]
    table.add_row("all", *total, style="bold")
    out.print()
    out.print(table)
    out.print()
    left = {k.removeprefix("dropped:"): n for k, n in counts.items() if k.startswith("dropped:")}
    told = ", ".join(f"{n:,} {reason}" for reason, n in left.items())
    out.print(f"{count(counts['read'], 'row')} read, {counts['dropped']:,} left out: {told or '-'}")
    for text in made.manifest.notes:
        out.print(escape(text))
    if made.folder is not None:
        out.print(f"mixture {escape(str(made.folder))}", soft_wrap=True)
        if hints:
            out.print(f"next    ifcurate export {escape(str(made.folder))} --trainer trl")
