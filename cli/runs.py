"""`ifcurate runs`: the runs of this folder, the newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from . import common
from .printing import out, plain, print_json

if TYPE_CHECKING:
    from ifcurate.runs.run import Run
    from ifcurate.storage.manifest import Manifest


def runs(json: common.Json = False) -> None:
    """List the runs in this folder, the newest first.

    Later commands use the first run of the list. If it has a --limit, they prefer a run over all
    rows of the same data. Use --run FOLDER to name another run.
    """
    from ifcurate.errors import RunError
    from ifcurate.runs.run import RUNS_FOLDER, list_runs

    rows = [_describe(run) for run in list_runs()]
    if json:
        print_json({"runs": rows})
        return
    if not rows:
        raise RunError(
            f"{RUNS_FOLDER}/: no run here; make one first: ifcurate score DATA --model MODEL"
        )
    table = _table(rows)
    table.width = Measurement.get(out, out.options.update(width=10_000), table).maximum
    if table.width <= out.width or not out.is_terminal:
        out.print(table, crop=False)
        return
    for row in rows:  # folders that can be copied are worth more than columns
        out.print(Text(plain(str(row["run"])), style="bold"), soft_wrap=True)
        out.print(Text(f"  {plain(_say(row))}"))


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        number = name in ("rows", "limit", "kept")
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    return table


def _say(row: dict[str, Any]) -> str:
    """A description of a run without its folder."""
    rows = f"{row['rows']:,} rows of {row['data']}, scored by {row['model']}"
    limit = "" if row["limit"] is None else f", limit {row['limit']:,}"
    split = f"; rule {row['rule']}, {row['kept']:,} kept" if row["rule"] else ""
    return f"{row['date']}  {rows}{limit}{split}; {row['state']}"


def _describe(run: Run) -> dict[str, Any]:
    from ifcurate.errors import RunError
    from ifcurate.runs.splits import read_split_manifest
    from ifcurate.split.labels import CRITICAL

    manifest = run.manifest
    try:
        split = read_split_manifest(run)
    except RunError:
        split = None
    return {
        "date": manifest.updated_at[:16].replace("T", " "),
        "run": run.folder.name,
        "data": ", ".join(run.data),
        "rows": manifest.counts.get("rows", 0),
        "model": manifest.identity["engine"]["model"],
        "limit": manifest.identity.get("limit"),
        "rule": split.identity["parameters"]["rule"] if split else None,
        "kept": split.counts[CRITICAL] if split else None,
        "state": _state(manifest),
    }


def _state(manifest: Manifest) -> str:
    """How far the run is, and whether any row has a score."""
    if not manifest.finished:
        return "unfinished"
    counts = manifest.counts
    return "finished" if counts.get("scored") or not counts.get("rows") else "no row scored"


def _cell(value: Any) -> Text:
    shown = "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
    return Text(plain(shown))
