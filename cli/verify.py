"""`ifcurate verify`: recompute all hashes and counts of a mixture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ifcurate.errors import DataError
from ifcurate.phrases import count

from . import common
from .printing import note, out, plain, print_json


def verify(
    mixture: Annotated[Path, typer.Argument(help="Folder of a mixture.", show_default=False)],
    json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Check a mixture and its exports against their manifests.

    The exit code is 1 if anything differs.

        ifcurate verify mixture
    """
    from ifcurate.mixing.verify import verify_mixture

    verification = verify_mixture(mixture)
    if json:
        print_json(
            {
                "whole": verification.whole,
                "checked": verification.checked,
                "problems": verification.problems,
                "not_checked": verification.not_checked,
            }
        )
    elif not quiet:
        for text in verification.not_checked:
            note(f"not checked: {text}")
        if verification.whole:
            out.print(plain(f"{mixture}: as its manifest says: {', '.join(verification.checked)}"))
    if not verification.whole:
        problems = verification.problems
        more = [f"and {len(problems) - 20:,} more"] if len(problems) > 20 else []
        shown = "; ".join([*problems[:20], *more])
        raise DataError(
            f"{mixture}: {count(len(problems), 'difference')} from its manifest: {shown}; "
            "mix again, or get the files again"
        )
