"""`ifcurate inspect`: what is in the data, before anything is scored."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.text import Text

from ifcurate.errors import DataError
from ifcurate.options.data import DataOptions
from ifcurate.phrases import count

from . import common
from .data import Data, read_data
from .options import with_options
from .printing import make_table, out, plain, print_json, print_line
from .tally import Tally, quantiles

if TYPE_CHECKING:
    from ifcurate.contexts.find import Explained
    from ifcurate.data.parse_rows import ReadRow
    from ifcurate.data.row_formats import RowLayout
    from ifcurate.data.sources import Examples
    from ifcurate.data.unread import Unread
    from ifcurate.records import Example


@with_options
def inspect_data(
    data: Data,
    *,
    examples: Annotated[
        int, typer.Option("--examples", min=0, help="Number of examples to show.")
    ] = 3,
    explain: Annotated[
        str,
        typer.Option(
            "--explain",
            metavar="ID",
            help="Show how the context of the row with this id (or number, from 0) was looked for, "
            "and why none was found.",
            show_default=False,
        ),
    ] = "",
    reading: DataOptions,
    json: common.Json = False,
) -> None:
    """Show format, counts, lengths, the share with a context, and examples with it marked.

    It needs no model.

        ifcurate inspect demo:chats.jsonl
        ifcurate inspect alpaca.jsonl --explain 7
    """
    loaded = read_data(data, reading)
    if explain:
        _explain_row(loaded, explain, json=json)
        return
    tally = Tally(examples, {s.name: layout for s, layout in loaded.pairs})
    for row in loaded.read(unique=False):
        tally.add_row(row)
    if json:
        print_json(_as_dict(loaded, tally, examples))
    else:
        _print(loaded, tally)
        _print_examples(tally, examples)
    tally.refuse_unusable()


def _as_dict(loaded: Examples, tally: Tally, most: int) -> dict[str, Any]:
    unread = loaded.unread()
    return {
        "formats": loaded.formats,
        "templates": {
            source.name: [template.as_record() for template in layout.templates]
            for source, layout in zip(loaded.sources, loaded.layouts, strict=True)
        },
        "unread_columns": {name: list(of.columns) for name, of in unread.items() if of.columns},
        "notes": {name: notes for name, of in unread.items() if (notes := [*of.notes, *of.advice])},
        "subfolders_not_read": dict(loaded.not_read),
        "rows": tally.rows,
        "examples": tally.examples,
        "with_context": tally.with_context,
        "empty_responses": tally.empty,
        "asking_nothing": tally.asking_nothing[:100],
        "end_markers": dict(tally.markers.most_common()),
        "earlier_responses": tally.earlier,
        "context_rules": dict(tally.rules.most_common()),
        "words": {name: quantiles(values) for name, values in tally.lengths.items()},
        "bad_rows": tally.n_bad,
        "first_bad_rows": [bad.as_record() for bad in tally.bad],
        "shown": [_example_spans(example) for example in tally.list_examples()],
        "without_context": [_example_spans(example) for example in tally.without[:most]],
    }


def _example_spans(example: Example) -> dict[str, Any]:
    """Return an example with the places of its context.

    Characters count from 0 in the text of `path`.
    """
    spans = []
    for block in example.blocks:
        text = example.part(block.part)[block.start : block.end]
        spans.append({**asdict(block), "text": text})
        del spans[-1]["part"]
    return {"id": example.id, "row": example.row_number, "source": example.source, "spans": spans}


def _print(loaded: Examples, tally: Tally) -> None:

    unread = loaded.unread()
    for source, layout in zip(loaded.sources, loaded.layouts, strict=True):
        name = escape(plain(source.name))
        out.print(f"{name}: format [bold]{layout.format}[/bold]", soft_wrap=True)
        for template in layout.templates[:5]:
            print_line(f"  {plain(template.describe())}")
        if len(layout.templates) > 5:
            out.print(f"  and {count(len(layout.templates) - 5, 'further template')}")
        if source.name in unread:
            _print_unread(unread[source.name])
    for folder, told in loaded.not_read.items():
        print_line(plain(f"{folder}: {told}"), style="yellow")
    _print_counts(tally)
    _print_lengths(tally)


def _print_unread(unread: Unread) -> None:

    from ifcurate.data.unread import list_unread

    for line in list_unread(unread):
        print_line(f"  {plain(line)}")
    for line in unread.advice:
        print_line(f"  {plain(line)}", style="yellow")


def _print_counts(tally: Tally) -> None:

    share = f" ({tally.with_context / tally.examples:.1%})" if tally.examples else ""
    more = f", {count(tally.examples, 'example')}" if tally.examples != tally.rows else ""
    out.print(f"{count(tally.rows, 'row')}{more}; {tally.with_context:,} with a context{share}")
    if tally.earlier:
        out.print(
            f"{count(tally.earlier, 'response')} in earlier turns; --turns all scores them too"
        )
    for marker, n in tally.markers.most_common():
        ends = "ends" if n == 1 else "end"
        out.print(f"{count(n, 'response')} {ends} in {escape(marker)}, which is not scored")
    if tally.asking_nothing:
        shown = ", ".join(tally.asking_nothing[:5])
        n, more = len(tally.asking_nothing), ", ..." if len(tally.asking_nothing) > 5 else ""
        line = f"{count(n, 'row')} seem{'s' * (n == 1)} to ask for nothing without the context"
        print_line(f"{line}: {plain(shown)}{more}", style="yellow")
    if tally.empty:
        out.print(f"[yellow]{count(tally.empty, 'empty response')}[/yellow]")
    if tally.n_bad:
        out.print(f"[yellow]{count(tally.n_bad, 'row')} cannot be used; the first:[/yellow]")
        for bad in tally.bad:
            print_line(f"  {plain(f'{bad.place}: {bad.error}')}")


def _print_lengths(tally: Tally) -> None:
    columns = ("least", "median", "95%", "most")
    words = make_table("words", *columns)
    for name, values in tally.lengths.items():
        at = quantiles(values)
        words.add_row(name, *(f"{at[q]:,}" if at else "-" for q in columns))
    out.print()
    out.print(words)
    if tally.rules:
        rules = make_table("context found by", "examples")
        for rule, n in tally.rules.most_common(12):
            rules.add_row(rule, f"{n:,}")
        out.print()
        out.print(rules)


def _print_examples(tally: Tally, most: int) -> None:

    from .summaries import mark_context

    # Where some rows have a context, those without one may be missed.
    missed = tally.without[:most] if tally.with_context else []
    for example in [*tally.list_examples(), *missed]:
        rules = ", ".join(f"{b.rule} {b.confidence:.2f}" for b in example.blocks)
        rules = rules or "no context was found"
        out.print()
        out.rule(Text(f"{plain(example.id)} · {rules}"), align="left", style="dim")
        out.print(mark_context(example), soft_wrap=False)


def _explain_row(examples: Examples, wanted: str, *, json: bool) -> None:
    """Print the texts of the row with this id, or number, and what was tried on them."""
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
                "texts": [
                    _search_as_dict(path, text, explained) for path, text, explained in texts
                ],
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
    for path, text, explained in texts:
        table = make_table("marked by", "text", "result", n_left=3)
        for step in explained.tried:
            found = " … ".join(_shorten(text[f.start : f.end]) for f in step.spans)
            told = (", ".join(step.rules), found, step.outcome)
            table.add_row(*(escape(plain(cell)) for cell in told))
        out.print()
        out.print(f"[bold]{escape(path)}[/bold], what was tried, the most probable first")
        out.print(table)


def _shorten(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 60 else f"{flat[:35]} … {flat[-20:]}"


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


def _search_as_dict(path: str, text: str, explained: Explained) -> dict[str, Any]:
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
    for raw, layout in examples.raw_rows():
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
