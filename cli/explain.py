"""`ifcurate inspect --explain ID`: the search for the context of one row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape

from ifcurate.errors import DataError

from .printing import make_table, out, plain, print_json, print_line

if TYPE_CHECKING:
    from ifcurate.contexts.find import Explained
    from ifcurate.data.parse_rows import ReadRow
    from ifcurate.data.row_formats import RowLayout
    from ifcurate.data.sources import Examples


def explain_row(examples: Examples, wanted: str, *, json: bool) -> None:
    """Print the texts of the row with this id, or number, and the rules that were tried."""
    from ifcurate.data.parse_rows import explain_texts

    row, layout = _find_row(examples, wanted)
    if row.bad is not None or row.raw.value is None:
        _explain_bad(row, layout, json=json)
        return
    texts = explain_texts(row.raw.value, layout)
    if json:
        print_json(
            {
                "id": row.examples[0].id,
                "source": row.raw.source,
                "row": row.raw.number,
                "texts": [_as_dict(path, text, explained) for path, text, explained in texts],
            }
        )
        return

    from .summaries import mark_context

    for example in row.examples:
        out.print(mark_context(example, most=3000))
        blocks = [
            f"{b.path or b.part}: {b.rule}, confidence {b.confidence:.2f}" for b in example.blocks
        ]
        out.print("\n".join(map(escape, blocks)) or "[yellow]no context was found[/yellow]")
    for path, _, explained in texts:
        table = make_table("rule", "result", n_left=2)
        for step in explained.tried:
            table.add_row(", ".join(step.rules), plain(step.outcome))
        out.print()
        out.print(f"[bold]{escape(path)}[/bold], rules in the order in which they were tried")
        out.print(table)


def _explain_bad(row: ReadRow, layout: RowLayout, *, json: bool) -> None:
    """Print why a row cannot be read."""
    reason = row.bad.error if row.bad else "it is empty"
    if json:
        print_json({"source": row.raw.source, "row": row.raw.number, "problem": reason})
        return

    read = f"read as {layout.format}, " if row.raw.value is not None else ""
    told = f"{row.raw.place}: {read}it cannot be used: {reason}"
    print_line(plain(told))
    if row.raw.value is not None:
        print_line(f"columns: {plain(', '.join(map(str, row.raw.value)))}")


def _as_dict(path: str, text: str, explained: Explained) -> dict[str, Any]:
    return {
        "path": path,
        "reason": explained.reason,
        "tried": [
            {
                "rules": list(step.rules),
                "outcome": step.outcome,
                "found": [
                    {"start": f.start, "end": f.end, "text": text[f.start : f.end]}
                    for f in step.spans
                ],
            }
            for step in explained.tried
        ],
    }


def _find_row(examples: Examples, wanted: str) -> tuple[ReadRow, RowLayout]:
    """Return the first row with this id, else the row with this number, readable or not.

    Raises `DataError` when there is none.
    """
    from ifcurate.data.parse_rows import row_id
    from ifcurate.data.sources import read_row

    by_number: tuple[ReadRow, RowLayout] | None = None
    for chunk in examples.raw_chunks(256):
        for raw, layout in chunk:
            row = read_row(raw, layout)
            value = row.raw.value
            if value is not None and wanted == row_id(value):
                return row, layout
            if by_number is None and str(raw.number) == wanted:
                by_number = row, layout
    if by_number is None:
        raise DataError(
            f"--explain {wanted}: no row has this id or number; take an id from "
            "`ifcurate inspect DATA --json`, or a row's number, counted from 0"
        )
    return by_number
