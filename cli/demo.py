"""The end of a run on the bundled data: labels against the truth, and a few rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from .printing import out, plain

if TYPE_CHECKING:
    import polars as pl

    from ifcurate.runs.run import Run

_SHOWN: Final = (("kept", "context-critical", True), ("dropped", "non-context-critical", False))

_MOST_WRONG: Final = 4  # rows with a wrong label that are printed


def print_truth(run: Run) -> None:
    """Print the number of right labels, a kept and a dropped row of each file, and wrong rows.

    The bundled data have the true label of each row in the column `truth`. For other data
    nothing is printed.
    """
    import polars as pl

    from ifcurate.data.readers.files import DEMO
    from ifcurate.runs.splits import read_split

    split = read_split(run)
    if split is None or not all(name.startswith(DEMO) for name in run.data):
        return
    rows = _join(run, split[0]).filter(pl.col("truth") != "no-context")
    wrong = rows.filter(pl.col("label") != pl.col("truth")).sort("gain", "row")
    share = f"{rows.height - wrong.height:,} of {rows.height:,} rows with a context"
    out.print()
    out.print(f"[bold]{share} have the right label[/bold]; some rows with their gain:")
    for kind, label, descending in _SHOWN:
        right = rows.filter(label=label, truth=label)
        right = right.sort("gain", "row", descending=[descending, False])
        for row in right.unique("source", keep="first", maintain_order=True).iter_rows(named=True):
            _print_row(kind, row)
    for row in wrong.head(_MOST_WRONG).iter_rows(named=True):
        _print_row("wrong", row)
    out.print()


def _print_row(kind: str, row: Mapping[str, Any]) -> None:
    """Print the request and the response of a row, as far as they fit one line."""
    # A row whose context was not found has no gain. + 0.0: no -0.0
    gain = "none  " if row["gain"] is None else f"{round(row['gain'], 1) + 0.0:+.1f}  "
    text = Text(f"{kind:8}", style="bold").append(gain, style="dim")
    left = max(16, out.width - len(text) - len(row["response"]) - 3)
    asked = row["asked"] if len(row["asked"]) <= left else row["asked"][: left - 1] + "…"
    text.append(f"{asked} → {row['response']}", style="not bold")
    out.print(text, no_wrap=True, overflow="ellipsis")


def _join(run: Run, labels: pl.DataFrame) -> pl.DataFrame:
    """Label, truth, gain and texts of every example."""
    import polars as pl

    from ifcurate.runs.reading import run_examples

    place = ["source", "row", "turn"]
    texts = [
        {
            "source": example.source,
            "row": example.row_number,
            "turn": example.turn,
            "truth": str(example.row["truth"]),
            "asked": plain(example.without_context().instruction),
            "response": plain(example.response),
        }
        for example in run_examples(run)
    ]
    kinds = {name: labels.schema[name] for name in place}
    gains = run.scores([*place, "context_gain"]).rename({"context_gain": "gain"})
    table = pl.DataFrame(texts, schema_overrides=kinds)
    return table.join(labels.select(*place, "label"), on=place).join(gains, on=place)
