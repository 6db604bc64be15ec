"""What `ifcurate augment` says: where the rows went, and what its linter found."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from . import common
from .common import out

if TYPE_CHECKING:
    from ifcurate.counterfactual.output import AugmentResult

    from .data import DataOptions


def print_funnel(result: AugmentResult) -> None:
    """Where the rows went, and where the files are."""
    from rich.markup import escape

    funnel = result.funnel
    out.print()
    for label, count in (
        ("rows read", funnel.read),
        ("have a context", funnel.has_context),
        ("share a typed entity with the response", funnel.entity),
        ("[bold]rows written[/bold]", funnel.written),
        ("counterfactuals", funnel.examples),
    ):
        out.print(f"{count:>9,}  {label}")
    if funnel.types:
        told = ", ".join(f"{n:,} {kind}" for kind, n in sorted(funnel.types.items()))
        out.print(f"           {told}")
    if funnel.reasons:
        out.print()
        out.print("rejected after an entity was found:")
        for reason, count in funnel.reasons.most_common(12):
            out.print(f"{count:>9,}  {escape(reason)}", soft_wrap=True)
        rest = sum(n for _, n in funnel.reasons.most_common()[12:])
        if rest:
            out.print(f"{rest:>9,}  other reasons, see augment.json")
    out.print()
    for name, path in result.files.items():
        out.print(f"{escape(Path(name).name):24} {escape(str(path))}", soft_wrap=True)


def check_file(path: Path, reading: DataOptions, *, json: bool, quiet: bool) -> None:
    """Print what the linter finds in a file; exit code 1 when it finds something."""
    from rich.markup import escape

    from ifcurate.counterfactual.lint import CHECKS, check_rows

    findings = list(check_rows(reading.read([str(path)])))
    counts = Counter(f.check for f in findings)
    rows = {name: len({f.row for f in findings if f.check == name}) for name in counts}
    if json:
        common.print_json(
            {
                "file": str(path),
                "rows": rows,
                "findings": [finding.as_dict() for finding in findings],
            }
        )
    elif not quiet:
        for finding in findings:
            place = f"{escape(finding.source)} row {finding.row}"
            text = f"{place}: {finding.check}: {escape(finding.detail)}"
            excerpt = f"  [dim]… {escape(finding.excerpt)} …[/dim]" if finding.excerpt else ""
            out.print(text + excerpt, soft_wrap=True)
        out.print()
        for name, what in CHECKS.items():
            out.print(f"{rows.get(name, 0):>7,} rows  {name}: {what}", soft_wrap=True)
    if findings:
        raise typer.Exit(1)
