"""What commands print: tables, histograms, and examples with their context marked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ifcurate.phrases import count

from .printing import make_table, out, plain, print_line

if TYPE_CHECKING:
    from ifcurate.histograms import Histogram
    from ifcurate.records import Example
    from ifcurate.runs.run import Run
    from ifcurate.scoring.summary import ScoreSummary

_BARS = " ▏▎▍▌▋▊▉█"
#: Flags of rows, in words that follow "rows with".
_FLAGS = {
    "boundary_straddles": "a token that spans the end of the prompt and the response",
    "response_ids_forced": "response tokens that differ alone, without the context",
    "context_shortened": "a shortened context",
    "end_marker_removed": "an end-of-text marker that was not scored",
}
#: Units of numbers that are no mean over the tokens of a response.
_UNITS = {"max_token_gain": ", nats", "gain_token_fraction": ", share"}
_EXTREMES = 3  # rows with the largest gain, and with the smallest


def _signed(value: float | None) -> str:
    if value is None:
        return "-"
    shown = f"{value:+.3f}"
    return shown[1:] if float(shown) == 0 else shown  # no sign before zero


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def print_histogram(histogram: Histogram, title: str, cut: float | None = None) -> None:
    """Print a bar for every bin. The bin with the cut is marked."""
    out.print(f"[bold]{title}[/bold]")
    width = min(40, out.width - 36)  # the count and the cut are behind the bar
    top = max(histogram.counts) or 1
    edges = histogram.edges
    places = zip(edges, edges[1:], histogram.counts, strict=False)
    for i, (low, high, n) in enumerate(places):
        eighths = round(n / top * width * 8)
        bar = "█" * (eighths // 8) + (_BARS[eighths % 8] if eighths % 8 else "")
        line = f"  {low:+8.3f} {bar} [dim]{n:,}[/dim]" if n else f"  {low:+8.3f}"
        first, last = i == 0, i == len(histogram.counts) - 1
        if cut is not None and (low <= cut or first) and (cut < high or last):
            place = ", below" if cut < low else ", above" if cut >= high else ""
            line += f" [bold]◂ cut {cut:.4g}{place}[/bold]"
        out.print(line, soft_wrap=True)


def print_score_summary(run: Run, summary: ScoreSummary, *, hints: bool = True) -> None:
    """Print counts, quantiles, histogram, extremes, files and, with `hints`, the next command."""
    from ifcurate.runs.run import run_flag

    which = run_flag(run)
    n_quarantined = run.manifest.counts.get("quarantined", 0)
    out.print()
    out.print(_table_of_statuses({**summary.statuses, "quarantined": n_quarantined}))
    _print_remarks(summary, run.manifest.notes, which)
    if summary.quantiles:
        _print_quantiles(summary)
    if summary.histogram is not None:
        out.print()
        print_histogram(
            summary.histogram,
            "context_gain, nats per response token; the first and the last bar include the values "
            "beyond them (1% each)",
        )
    if summary.most:
        helps = (summary.most[0]["context_gain"] or 0) > 0
        needs = ": the response needs its context" if helps else "; no context helps its response"
        _print_extremes(f"largest gain{needs}", summary.most)
        _print_extremes("smallest gain: the context adds nothing, or misleads", summary.least)
    out.print()
    print_line(f"scores  {run.scores_path}")
    if n_quarantined:
        print_line(f"quarantined  {run.folder / 'quarantine.jsonl'}")
    if hints and "shard" in run.manifest.identity:
        out.print("next    ifcurate merge, with the folders of all shards")
    elif hints:
        print_line(f"next    ifcurate split --rule gain{which}")
        print_line(f"or      ifcurate filter --keep context-critical{which}")
        out.print("the other rules are both, auto, and paper, which filter takes without a split")


def _table_of_statuses(counts: dict[str, int]) -> Table:
    table = make_table("status", "rows")
    for status, n in counts.items():
        if n or status == "scored":
            table.add_row(status, f"{n:,}")
    total = sum(counts.values())
    table.add_row("[bold]accounted for[/bold]", f"[bold]{total:,}[/bold]")
    return table


def _print_remarks(summary: ScoreSummary, notes: Iterable[str], which: str) -> None:
    """Print the reasons of rows without a score, the flags of rows, and the notes of the run."""
    from ifcurate.prompts.text_flags import MUCH_OVERLAP

    for reason, n in summary.reasons.items():
        out.print(f"  [yellow]{n:,} × {escape(reason)}[/yellow]")
    for flag, n in summary.flags.items():
        if n:
            out.print(f"  [dim]{count(n, 'row')} with {_FLAGS.get(flag, flag)}[/dim]")
            if "elsewhere" in flag:
                print_line(
                    f"  to leave them out: ifcurate split --max-overlap {MUCH_OVERLAP:g}{which}"
                )
    for text in notes:
        if "--columns" in text:  # a line to paste stays whole
            print_line(f"  {text}", style="yellow")
        else:
            out.print(f"  [dim]{escape(text)}[/dim]")


def _print_quantiles(summary: ScoreSummary) -> None:
    names = {"0.05": "5%", "0.25": "25%", "0.5": "median", "0.75": "75%", "0.95": "95%"}
    means = make_table("nats per token", *names.values())
    others = make_table("single tokens", *names.values())
    for column, values in summary.quantiles.items():
        show = _signed if "gain" in column and "fraction" not in column else _plain
        unit = _UNITS.get(column, "")
        (others if unit else means).add_row(f"{column}{unit}", *(show(values[q]) for q in names))
    for table in (means, others):
        out.print()
        out.print(table)


def _print_extremes(title: str, rows: list[dict[str, Any]]) -> None:
    """Print the numbers and the id of each row, and the start of each text on a line."""
    if not rows:
        return
    out.print()
    out.print(f"[bold]{title}[/bold]")
    out.print(f"{'gain':>8} {'without':>8} {'with':>8}  id")
    for row in rows[:_EXTREMES]:
        numbers = (
            _signed(row["context_gain"]),
            _plain(row["loss_without_context"]),
            _plain(row["loss_with_context"]),
        )
        line = " ".join(f"{number:>8}" for number in numbers)
        _print_line(Text(f"{line}  {plain(str(row['id']))}"))
        texts = {name: row[name] for name in ("instruction", "context", "response") if name in row}
        for name, text in (texts or {"instruction": row["preview"]}).items():
            line_of_text = Text(f"{name:>17}  ", style="dim")
            _print_line(line_of_text.append(plain(str(text)), style="not dim"))


def _print_line(text: Text) -> None:
    """Print one line, cut to the width of the window."""
    out.print(text, no_wrap=True, overflow="ellipsis")


def mark_context(example: Example, *, most: int = 700) -> Text:
    """Return the texts of an example, with the context marked."""
    text = Text()
    for part, role in example.parts:
        text.append(f"{role}: ", style="bold")
        text.append(_shorten(_marked(example, part), most))
        text.append("\n")
    text.append("response: ", style="bold green")
    text.append(_shorten(Text(plain(example.response, lines=True)), 300))
    return text


def _marked(example: Example, part: str) -> Text:
    """Return a text with its context in colour, or between ⟦ and ⟧ where there is no colour."""
    from ifcurate.reports.examples import CONTEXT, CUT, mark_segments

    styles, marks = {CUT: "dim", CONTEXT: "black on yellow"}, ""
    if out.color_system is None or out.no_color:
        styles, marks = {}, "⟦⟧"
    marked = Text()
    for text, kind in mark_segments(example, part):
        shown = plain(text, lines=True)
        shown = f"{marks[:1]}{shown}{marks[1:]}" if kind == CONTEXT else shown
        marked.append(shown, style=styles.get(kind))
    return marked


def _shorten(text: Text, most: int) -> Text:
    if len(text) <= most:
        return text
    half = most // 2
    return Text.assemble(text[:half], Text(" […] ", style="dim"), text[-half:])
