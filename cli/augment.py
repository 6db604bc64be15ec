"""`ifcurate augment`: counterfactual examples by entity substitution, and their linter."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ifcurate.options.augment import OUT_PANEL, AugmentOptions
from ifcurate.options.data import DataOptions

from . import common
from .allowed import Allowed, FailOnError
from .data import read_data
from .funnel import check_file, print_funnel
from .options import with_options
from .printing import print_json, report, say

if TYPE_CHECKING:
    from ifcurate.counterfactual.write.outcomes import Funnel
    from ifcurate.data.sources import Examples
    from ifcurate.engines.base import EngineIdentity

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
        check_file(check, reading.model_copy(update={"turns": "last"}), json=json, quiet=quiet)
        return
    from ifcurate.pipeline.augmenting import write_augmented

    examples, folder = _find_data(data, reading, run)
    with _progress() as on_row:
        result = write_augmented(
            examples,
            out_folder or folder,
            options,
            common.command_line(),
            overwrite=overwrite,
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
        print_funnel(result)
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
