"""`ifcurate runs`: the runs of this folder, the newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from ifcurate.errors import RunError

from . import common
from .printing import out, plain, print_json

if TYPE_CHECKING:
    from ifcurate.runs.run import Run
    from ifcurate.storage.manifest import Manifest


def runs(json: common.Json = False) -> None:
    """List the runs in this folder with their splits, the newest first.

    Later commands use the first run of the list. If it has a --limit, they prefer a run over all
    rows of the same data. Use --run FOLDER to name another run.
    """
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
    names = ("date", "run", "data", "rows", "model", "limit", "rule", "kept", "state")
    for name in names:
        number = name in ("rows", "limit", "kept")
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        splits = row["splits"]
        kept = [f"{split['kept']:,}" for split in splits]
        lines = {"rule": Text("\n".join(map(_rule, splits))), "kept": Text("\n".join(kept))}
        table.add_row(*(lines.get(name) or _cell(row.get(name)) for name in names))
    return table


def _rule(split: dict[str, Any]) -> str:
    return f"{split['rule']} ({split['name']})" if split["name"] else str(split["rule"])


def _say(row: dict[str, Any]) -> str:
    """Return a description of a run without its folder."""
    rows = f"{row['rows']:,} rows of {row['data']}, scored by {row['model']}"
    limit = "" if row["limit"] is None else f", limit {row['limit']:,}"
    splits = "".join(f"; rule {_rule(split)}, {split['kept']:,} kept" for split in row["splits"])
    return f"{row['date']}  {rows}{limit}{splits}; {row['state']}"


def _describe(run: Run) -> dict[str, Any]:
    manifest = run.manifest
    return {
        "date": manifest.updated_at[:16].replace("T", " "),
        "run": run.folder.name,
        "data": ", ".join(run.data),
        "rows": manifest.counts.get("rows", 0),
        "model": manifest.identity["engine"]["model"],
        "limit": manifest.identity.get("limit"),
        "splits": _describe_splits(run),
        "state": _state(manifest),
    }


def _describe_splits(run: Run) -> list[dict[str, Any]]:
    """Name, rule and number of context-critical rows of each split."""
    from ifcurate.runs.splits import list_splits
    from ifcurate.split.labels import CRITICAL

    try:
        found = list_splits(run).items()
    except RunError:
        return []
    return [
        {"name": name, "rule": made.identity["parameters"]["rule"], "kept": made.counts[CRITICAL]}
        for name, made in found
    ]


def _state(manifest: Manifest) -> str:
    """Return how far the run is, and whether any row has a score."""
    if not manifest.finished:
        return "unfinished"
    counts = manifest.counts
    return "finished" if counts.get("scored") or not counts.get("rows") else "no row scored"


def _cell(value: Any) -> Text:
    shown = "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
    return Text(plain(shown))
