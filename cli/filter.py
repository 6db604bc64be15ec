"""`ifcurate filter`: write the kept rows as they were read, and the dropped rows with reasons."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ifcurate.options.filter import FilterOptions
from ifcurate.phrases import count

from . import common
from .options import with_options
from .printing import note, out, print_json, print_line, say

if TYPE_CHECKING:
    from ifcurate.steps.filtering import FilterResult


@with_options
def filter_rows(
    options: FilterOptions,
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the files. By default filtered/ in the run folder."),
    ] = None,
    split: Annotated[
        str, typer.Option("--split", help="The name of the split, from `ifcurate split --as NAME`.")
    ] = "",
    overwrite: common.Overwrite = False,
    run: common.RunOption = None,
    json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Write the kept rows byte for byte as they were read, and the dropped rows with reasons.

    **--keep context-critical** writes the paper's context-critical subset: only rows whose
    response needs the context. Use it for experiments and for mixing with other data.

    **--drop non-context-critical** drops only rows whose context repeats what the model knows. All
    other rows stay, and so do rows without a context.

    The command uses the run's split. If there is none, it makes the paper's split: the 25% with the
    lowest loss without the context are non-context-critical.

        ifcurate filter --keep context-critical
        ifcurate filter --drop non-context-critical --run RUN --out kept
    """
    from ifcurate.runs.splits import say_unsplit
    from ifcurate.steps.filtering import filter_run

    opened = common.open_run(run)
    result = filter_run(
        opened,
        out=out_folder,
        split=split,
        overwrite=overwrite,
        command=common.command_line(),
        options=options,
    )
    source = "split"
    if result.made_split:
        source = f"{say_unsplit(opened)}, made the default one (ifcurate split makes others)"
    say(f"{source}: {result.split.formula}")
    if json:
        print_json(
            {
                "run": str(opened.folder),
                "counts": result.manifest.counts,
                "kept": {name: str(path) for name, path in result.files("kept").items()},
                "dropped": {name: str(path) for name, path in result.files("dropped").items()},
                "manifest": str(result.folder / "filter.json"),
                "skipped": result.skipped,
            }
        )
    elif not quiet:
        print_filter(result)


def print_filter(result: FilterResult, *, hints: bool = True) -> None:
    """Counts that add up, the files, and the next command."""

    counts = result.manifest.counts
    if result.skipped:
        note("already filtered, from the same scores and split; nothing to do")
    out.print()
    parts = [
        f"[bold]{counts.get('kept', 0):,} kept[/bold]",
        f"{counts.get('dropped', 0):,} dropped",
    ]
    if counts.get("quarantined"):
        parts.append(f"{counts['quarantined']:,} quarantined")
    out.print(f"{count(counts.get('rows', 0), 'row')} = " + " + ".join(parts))
    labels = ("context-critical", "non-context-critical", "no-context", "not-scored")
    shown = [f"{counts[name]:,} {name}" for name in labels if counts.get(name)]
    out.print(f"  {', '.join(shown)}")
    out.print()
    for kind in ("kept", "dropped"):
        for path in result.files(kind).values():
            print_line(f"{kind:9}{path}")
    print_line(f"manifest {result.folder / 'filter.json'}")
    if hints and counts.get("kept"):
        out.print("train on the kept file, or write it for a trainer:")
        line = f"ifcurate export {shlex.quote(str(result.folder))} --trainer trl"
        if result.manifest.identity["scores"]["engine"].get("engine") == "toy":
            line += " --model MODEL"
        print_line(f"next     {line}")
