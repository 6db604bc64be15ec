"""`ifcurate inspect`: what is in the data, before anything is scored."""

from __future__ import annotations

import bisect
import itertools
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ifcurate.options.data import DataOptions
from ifcurate.phrases import count

from . import common
from .common import out
from .data import Data, read_data
from .options import with_options

if TYPE_CHECKING:
    from ifcurate.data.sources import BadRow, Examples
    from ifcurate.records import Example


class _Tally:
    """What one pass over the data finds."""

    def __init__(self) -> None:
        self.rows = 0
        self.examples = 0
        self.with_context = 0
        self.rules: Counter[str] = Counter()
        self.empty = 0
        # Words -> how many texts have so many: there are far fewer lengths than rows.
        self.lengths = {name: Counter[int]() for name in ("instruction", "context", "response")}
        self.bad: list[BadRow] = []
        self.n_bad = 0
        self.shown: dict[str, Example] = {}

    def add(self, example: Example) -> None:
        """Count an example; keep the first of each rule to show."""
        self.examples += 1
        self.empty += not example.response.strip()
        context = example.context_text
        if example.has_context:
            self.with_context += 1
            rules = "+".join(dict.fromkeys(block.rule for block in example.blocks))
            self.rules[rules] += 1
            self.lengths["context"][len(context.split())] += 1
            self.shown.setdefault(rules, example)
        self.lengths["instruction"][len(example.instruction.split())] += 1
        self.lengths["response"][len(example.response.split())] += 1


@with_options
def inspect_data(
    data: Data,
    *,
    examples: Annotated[
        int, typer.Option("--examples", min=0, help="How many examples are shown.")
    ] = 3,
    reading: DataOptions,
    json: common.Json = False,
) -> None:
    """Show format, counts, lengths, the share with a context, and examples with it marked."""
    found = read_data(data, reading)
    tally = _Tally()
    for row in found.read(unique=False):
        tally.rows += 1
        if row.bad is not None:
            tally.n_bad += 1
            if len(tally.bad) < 5:
                tally.bad.append(row.bad)
        for example in row.examples:
            tally.add(example)
    if json:
        common.print_json(_as_dict(found, tally))
        return
    _print(found, tally)
    _print_examples(tally, examples)


def _quantiles(lengths: Counter[int]) -> dict[str, int]:
    if not lengths:
        return {}
    ordered = sorted(lengths)
    until = list(itertools.accumulate(lengths[length] for length in ordered))
    at = {"least": 0.0, "median": 0.5, "95%": 0.95, "most": 1.0}
    places = {name: round(q * (until[-1] - 1)) for name, q in at.items()}
    return {name: ordered[bisect.bisect_right(until, place)] for name, place in places.items()}


def _as_dict(found: Examples, tally: _Tally) -> dict[str, Any]:
    return {
        "formats": found.formats,
        "rows": tally.rows,
        "examples": tally.examples,
        "with_context": tally.with_context,
        "empty_responses": tally.empty,
        "context_rules": dict(tally.rules.most_common()),
        "words": {name: _quantiles(values) for name, values in tally.lengths.items()},
        "bad_rows": tally.n_bad,
        "first_bad_rows": [bad.as_record() for bad in tally.bad],
    }


def _print(found: Examples, tally: _Tally) -> None:
    from rich.markup import escape
    from rich.table import Table

    for name, format in found.formats.items():
        out.print(f"{escape(common.plain(name))}: format [bold]{format}[/bold]", soft_wrap=True)
    share = f" ({tally.with_context / tally.examples:.1%})" if tally.examples else ""
    more = f", {count(tally.examples, 'example')}" if tally.examples != tally.rows else ""
    out.print(f"{count(tally.rows, 'row')}{more}; {tally.with_context:,} with a context{share}")
    if tally.empty:
        out.print(f"[yellow]{count(tally.empty, 'empty response')}[/yellow]")
    if tally.n_bad:
        out.print(f"[yellow]{count(tally.n_bad, 'row')} cannot be used; the first:[/yellow]")
        for bad in tally.bad:
            place = f"{bad.source}:{bad.line}" if bad.line else f"{bad.source} row {bad.number}"
            out.print(f"  {escape(common.plain(f'{place}: {bad.reason}'))}", soft_wrap=True)
    words = Table(box=None, pad_edge=False)
    for name in ("words", "least", "median", "95%", "most"):
        words.add_column(name, justify="left" if name == "words" else "right")
    for name, values in tally.lengths.items():
        quantiles = _quantiles(values)
        words.add_row(
            name,
            *(
                f"{quantiles[q]:,}" if quantiles else "-"
                for q in ("least", "median", "95%", "most")
            ),
        )
    out.print()
    out.print(words)
    if tally.rules:
        rules = Table(box=None, pad_edge=False)
        rules.add_column("context found by")
        rules.add_column("examples", justify="right")
        for rule, n in tally.rules.most_common(12):
            rules.add_row(rule, f"{n:,}")
        out.print()
        out.print(rules)


def _print_examples(tally: _Tally, most: int) -> None:
    from rich.text import Text

    from .show import mark_context

    common_first = [tally.shown[rule] for rule, _ in tally.rules.most_common(most)]
    for example in common_first:
        rules = ", ".join(f"{b.rule} {b.confidence:.2f}" for b in example.blocks)
        out.print()
        out.rule(Text(f"{common.plain(example.id)} · {rules}"), align="left", style="dim")
        out.print(mark_context(example), soft_wrap=False)
