"""The output of `ifcurate augment`: counts of rows by stage, and the linter's findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from ifcurate.phrases import count

from .data import read_data
from .printing import out, plain, print_json, print_line

if TYPE_CHECKING:
    from ifcurate.counterfactual.lint import Finding
    from ifcurate.counterfactual.write.output import AugmentResult
    from ifcurate.options.data import DataOptions
    from ifcurate.records import Example


def print_funnel(result: AugmentResult) -> None:
    """Print the counts of rows by stage, and the files."""
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
    _line(funnel.examples, f"counterfactuals{_name_types(funnel.types)}")
    if funnel.checks:
        out.print()
        out.print("[bold]not written, because[/bold] [dim](codes as in rejected.jsonl)[/dim]")
        for name, n in funnel.checks.most_common():
            _line(n, f"{meanings[name]} [dim]({escape(name)})[/dim]")
    out.print()
    labels = ("suite", "rejected", "review", "manifest")
    for name, path in result.files.items():
        label = name if name in labels else "counterfactuals"
        print_line(f"{label:16} {path}")
    if not funnel.written:
        out.print("No row could be changed correctly. rejected.jsonl has the reason for each row.")


def _name_types(types: Counter[str]) -> str:
    """Return the most common types in parentheses; "" when there are none."""
    most = ", ".join(f"{n:,} {kind}" for kind, n in types.most_common(6))
    more = ", ..." if len(types) > 6 else ""
    return f" ({most}{more})" if most else ""


def _line(n: int, text: str, style: str = "") -> None:
    out.print(f"{n:>9,}  {text}", style=style or None, soft_wrap=True)


def check_file(path: Path, reading: DataOptions, *, json: bool, quiet: bool) -> None:
    """Print what the linter finds in a file; exit code 1 when it finds something."""
    from ifcurate.counterfactual.lint import check_rows

    read = _Read()
    findings = list(check_rows(read.examples(path, reading)))
    if json:
        print_json(
            {
                "file": str(path),
                "read": read.rows,
                "checked": read.checked,
                "unusable": len(read.bad),
                "rows": _count_rows(findings),
                "findings": [asdict(finding) for finding in findings],
            }
        )
    elif not quiet:
        _print_check(path, read, findings)
    if findings or read.bad:
        raise typer.Exit(1)


@dataclass(slots=True)
class _Read:
    """Counts of the rows of a checked file."""

    rows: int = 0
    checked: int = 0  # rows with a context and a response
    bad: list[str] = field(default_factory=list)  # rows that cannot be used, with the reason

    def examples(self, path: Path, reading: DataOptions) -> Iterator[Example]:
        """Yield the examples of the file. Their rows are counted while they are read."""
        for row in read_data([str(path)], reading).read():
            self.rows += 1
            if row.bad is not None:
                self.bad.append(f"row {row.bad.number}: {row.bad.error}")
            self.checked += any(e.has_context and e.response.strip() for e in row.examples)
            yield from row.examples


def _count_rows(findings: Sequence[Finding]) -> Counter[str]:
    """Return the number of rows with findings, by check."""
    return Counter(check for check, _, _ in {(f.check, f.source, f.row) for f in findings})


def _print_check(path: Path, read: _Read, findings: Sequence[Finding]) -> None:
    from ifcurate.counterfactual.lint import CODES

    _print_findings(findings)
    for text in read.bad[:5]:
        print_line(plain(f"{path} {text}"), style="yellow")
    rows = _count_rows(findings)
    for name, meaning in CODES.items():
        _line(rows[name], f"{name}: {meaning}")
    n_found = len({(finding.source, finding.row) for finding in findings})
    details = f", {read.checked:,} of them with a context and an answer"
    details += f", {len(read.bad):,} that cannot be used" if read.bad else ""
    out.print(f"\n{count(read.rows, 'row')} read{details}; {count(n_found, 'row')} with findings")


def _print_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        place = f"{finding.source} row {finding.row}: {finding.check}: {finding.detail}"
        print_line(plain(place))
    if findings:
        out.print()
