"""`ifcurate augment`: counterfactual examples by entity substitution, and their linter."""

from __future__ import annotations

import contextlib
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from ifcurate.options.augment import OUT_PANEL, AugmentOptions
from ifcurate.options.data import DataOptions
from ifcurate.phrases import count

from . import common
from .allowed import Allowed, FailOnError
from .data import read_data
from .options import with_options
from .printing import out, plain, print_json, print_line, report, say

if TYPE_CHECKING:
    from ifcurate.counterfactual.lint import Finding
    from ifcurate.counterfactual.write.outcomes import Funnel
    from ifcurate.counterfactual.write.output import AugmentResult
    from ifcurate.data.sources import Examples
    from ifcurate.engines.base import EngineIdentity
    from ifcurate.records import Example

ALL_TURNS = DataOptions(turns="all")


@with_options
def augment(
    data: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files, globs, or a Hub name. By default the data of the newest run.",
            show_default=False,
        ),
    ] = None,
    *,
    entity_substitution: Annotated[
        bool,
        typer.Option(
            "--entity-substitution",
            help="Replace the answer's entity everywhere by another of the same kind. This is "
            "the default.",
            show_default=False,
            rich_help_panel="Substitution",
        ),
    ] = True,
    options: AugmentOptions,
    check: Annotated[
        Path | None,
        typer.Option(
            help="Check a file of counterfactual rows, and write nothing.",
            rich_help_panel=OUT_PANEL,
        ),
    ] = None,
    reading: DataOptions = ALL_TURNS,
    out_folder: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder for the files. By default augmented/, in the run's folder or here.",
            rich_help_panel=OUT_PANEL,
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace files that were made from other data or settings.",
            rich_help_panel=OUT_PANEL,
        ),
    ] = False,
    run: common.RunOption = None,
    fail_on_error: FailOnError = "1%",
    json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Write counterfactual examples that can only be answered by reading their context.

    An entity that context and response share is replaced everywhere by another of the same kind
    (a woman by a woman, a town by a town of that country). Only results that pass
    fifteen checks are written; *rejected.jsonl* has the reasons for the other rows. Question
    answering, extraction, summaries and tool results give the most examples. To resume after an
    interruption, run the same command again.

        ifcurate augment data.jsonl --sample 50
        ifcurate augment --check counterfactual.jsonl
    """
    allowed = Allowed.parse(fail_on_error)
    if check is not None:
        others = {"DATA": data, "--run": run, "--out": out_folder, "--overwrite": overwrite}
        _refuse_with_check(options, [name for name, value in others.items() if value])
        _check_file(check, reading.model_copy(update={"turns": "last"}), json=json, quiet=quiet)
        return
    from ifcurate.counterfactual.write.output import write_counterfactuals

    examples, folder = _find_data(data, reading, run)
    with _progress() as on_row:
        result = write_counterfactuals(
            examples,
            options,
            out_folder or folder,
            overwrite=overwrite,
            command=common.command_line(),
            on_row=on_row,
            on_model=_say_model,
        )
    if json:
        print_json(
            {
                "folder": str(result.folder),
                "funnel": result.funnel.as_dict(),
                "broken_inputs": result.broken,
                "files": {name: str(path) for name, path in result.files.items()},
            }
        )
    elif not quiet:
        _print_funnel(result)
    counts = {"rows": result.funnel.read, "quarantined": result.n_bad}
    allowed.check(counts, result.broken, result.folder)


def _refuse_with_check(options: AugmentOptions, names: list[str]) -> None:
    """Raise a usage error for options that have no effect with `--check`."""
    names += [f"--{name.replace('_', '-')}" for name in options.given()]
    if names:
        raise typer.BadParameter(
            f"checks a file and writes nothing; leave out {', '.join(names)}", param_hint="--check"
        )


def _find_data(
    data: list[str] | None, reading: DataOptions, run: Path | None
) -> tuple[Examples, Path]:
    """Return the examples, and the folder that results go to: of the data given, or of a run."""
    if data:
        if run is not None:
            raise typer.BadParameter("give data or --run, not both")
        examples = read_data(data, reading)
        for name, layout in examples.formats.items():
            say(f"data  {name}: format {layout}")
        return examples, Path("augmented")
    from ifcurate.runs.reading import run_examples

    source = common.open_run(run)
    scored = run_examples(source)
    layouts = tuple(replace(layout, turns=reading.turns) for layout in scored.layouts)
    examples = replace(scored, layouts=layouts, limit=reading.limit or scored.limit)
    say("data: all rows of the run, whatever their label")
    for path in sorted((source.folder / "filtered").rglob("filter.json")):
        kept = shlex.quote(str(path.parent / "kept"))
        say(f"only those of {path.parent.name}: ifcurate augment {kept}")
    return examples, source.folder / "augmented"


def _say_model(model: EngineIdentity) -> None:
    say(f"model check by {model.model} ({model.engine}, {model.dtype})")
    if model.model == "pocket":
        say("pocket is for trying out the commands: its checks prove nothing")


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[Funnel], None]]:
    """Rows read and written, on stderr."""
    if report.silent or not report.is_terminal:
        yield lambda _: None
        return
    with report.status("reading") as status:

        def show(funnel: Funnel) -> None:
            if funnel.read % 200 == 0:
                status.update(f"{funnel.read:,} rows read, {funnel.written:,} written")

        yield show


def _print_funnel(result: AugmentResult) -> None:
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


def _check_file(path: Path, reading: DataOptions, *, json: bool, quiet: bool) -> None:
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
