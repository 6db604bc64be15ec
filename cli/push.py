"""`ifcurate push`: a mixture and its card to the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import printing


def push(
    mixture: Annotated[Path, typer.Argument(help="Folder of a mixture.", show_default=False)],
    to: Annotated[str, typer.Option("--to", metavar="ORG/NAME", help="Dataset on the Hub.")],
    private: Annotated[
        bool, typer.Option("--private", help="Create the dataset as a private one.")
    ] = False,
) -> None:
    """Upload a mixture with its card. The token is HF_TOKEN, or that of `hf auth login`.

    The mixture is verified first.

        ifcurate push mixture --to me/my-mixture --private
    """
    from ifcurate.cards.push import push_mixture

    printing.print_line(push_mixture(mixture, to, private=private))
