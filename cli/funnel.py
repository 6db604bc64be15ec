"""What `ifcurate augment` says: where the rows went, and what its linter found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from ifcurate.phrases import count

from . import common
from .common import out
from .data import read_data

if TYPE_CHECKING:
    from ifcurate.counterfactual.lint import Finding
    from ifcurate.counterfactual.write.output import AugmentResult
    from ifcurate.options.data import DataOptions
    from ifcurate.records import Example


def print_funnel(result: AugmentResult) -> None:
    """Where the rows went, and where the files are."""
    from ifcurate.counterfactual.checks import Check

    meanings = {check.code: check.meaning for check in Check}
    funnel = result.funnel
    out.print()
    _line(funnel.read, "rows read")
    if funnel.unusable:
        _line(funnel.unusable, "of them cannot be used", style="yellow")
    _line(funnel.has_context, "have a context")
    _line(funnel.entity, "share an entity of these types with the response")
    _line(funnel.written, "rows written", style="bold")
    told = ", ".join(f"{n:,} {kind}" for kind, n in funnel.types.most_common(6))
    told += ", ..." if len(funnel.types) > 6 else ""
    _line(funnel.examples, "counterfactuals" + f" ({told})" * bool(told))
    if funnel.checks:
        out.print()
        out.print("[bold]not written, because[/bold]")
        for name, n in funnel.checks.most_common():
            _line(n, f"{meanings[name]} [dim]({escape(name)})[/dim]")
    out.print()
    own = ("suite", "rejected", "review", "manifest")
    for name, path in result.files.items():
        label = name if name in own else "counterfactuals"
        out.print(f"{label:16} {escape(str(path))}", soft_wrap=True)
    if not funnel.written:
        out.print("No row could be changed and stay right; rejected.jsonl says why of each.")


def _line(n: int, text: str, style: str = "") -> None:
    out.print(f"{n:>9,}  {text}", style=style or None, soft_wrap=True)


def check_file(path: Path, reading: DataOptions, *, json: bool, quiet: bool) -> None:
    """Print what the linter finds in a file; exit code 1 when it finds something."""
    from ifcurate.counterfactual.lint import CODES, check_rows

    read: Counter[str] = Counter()
    bad: list[str] = []

    def examples() -> Iterator[Example]:
        for row in read_data([str(path)], reading).read():
            read["rows"] += 1
            if row.bad is not None:
                bad.append(f"row {row.bad.number}: {row.bad.reason}")
            checked = any(e.has_context and e.response.strip() for e in row.examples)
            read["checked"] += checked
            yield from row.examples

    findings = list(check_rows(examples()))
    rows = Counter(check for check, _, _ in {(f.check, f.source, f.row) for f in findings})
    if json:
        common.print_json(
            {
                "file": str(path),
                "read": read["rows"],
                "checked": read["checked"],
                "unusable": len(bad),
                "rows": rows,
                "findings": [finding.as_dict() for finding in findings],
            }
        )
    elif not quiet:
        _print_findings(findings)
        for text in bad[:5]:
            out.print(escape(common.plain(f"{path} {text}")), style="yellow", soft_wrap=True)
        for name, what in CODES.items():
            _line(rows[name], f"{name}: {what}")
        found = len({(f.source, f.row) for f in findings})
        told = f", {read['checked']:,} of them with a context and an answer"
        told += f", {len(bad):,} that cannot be used" if bad else ""
        out.print(f"\n{count(read['rows'], 'row')} read{told}; something found in {found:,}")
    if findings or bad:
        raise typer.Exit(1)


def _print_findings(findings: Sequence[Finding]) -> None:
    for found in findings:
        place = common.plain(f"{found.source} row {found.row}: {found.check}: {found.detail}")
        out.print(escape(place), soft_wrap=True)
    if findings:
        out.print()
