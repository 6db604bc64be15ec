"""`ifcurate merge`: join the shards of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ifcurate.phrases import count

from . import common
from .allowed import Allowed, FailOnError
from .printing import out, print_json, print_line, say


def merge(
    folders: Annotated[
        list[Path],
        typer.Argument(help="The folders of all shards, in any order.", show_default=False),
    ],
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", help="Run folder. By default a new folder in ifcurate-runs/."),
    ] = None,
    overwrite: common.Overwrite = False,
    fail_on_error: FailOnError = "1%",
    json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Join the shards that were scored with --shard I/N into one run.

    The tables equal those of a run without shards, byte for byte. If a shard is missing,
    unfinished, damaged or of another run, an error names it.

        ifcurate score data.jsonl --model llama-2-7b --shard 1/8 --out shard-1
        ifcurate merge shard-* --out merged
    """
    from ifcurate.runs.filling import choose_folder
    from ifcurate.runs.shards import merge_runs, merged_identity

    allowed = Allowed.parse(fail_on_error)
    where = choose_folder(out_folder, merged_identity(folders[0]))
    say(f"run   {where}")
    run = merge_runs(folders, where, overwrite=overwrite, command=common.command_line())
    if json:
        print_json({**common.run_as_dict(run), "shards": len(folders)})
    elif not quiet:
        counts = run.manifest.counts
        rest = ", ".join(f"{n:,} {name}" for name, n in counts.items() if name != "rows")
        out.print(f"{count(counts['rows'], 'row')} of {count(len(folders), 'shard')}: {rest}")
        for text in run.manifest.notes:
            out.print(f"  {text}", style="dim", markup=False)
        print_line(f"scores  {run.scores_path}")
    allowed.check_run(run)
