"""`ifcurate verify`: recompute all hashes and counts of a mixture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ifcurate.phrases import count

from . import common
from .common import note, out


def verify(
    mixture: Annotated[Path, typer.Argument(help="Folder of a mixture.", show_default=False)],
    json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Check a mixture and its exports against their manifests. Exit 1 when anything differs."""
    from ifcurate.errors import DataError
    from ifcurate.mixing.verify import verify_mixture

    found = verify_mixture(mixture)
    if json:
        common.print_json(
            {
                "whole": found.whole,
                "checked": found.checked,
                "problems": found.problems,
                "not_checked": found.not_checked,
            }
        )
    elif not quiet:
        for text in found.not_checked:
            note(f"not checked: {text}")
        if found.whole:
            out.print(common.plain(f"{mixture}: as its manifest says: {', '.join(found.checked)}"))
    if not found.whole:
        shown = "\n  ".join(found.problems[:20])
        raise DataError(
            f"{mixture}: {count(len(found.problems), 'difference')} from its manifest:\n  {shown}\n"
            "mix again, or get the files again"
        )
