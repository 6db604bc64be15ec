"""The report of a run: one HTML file, a pure function of its tables and manifests."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from ifcurate.errors import DataError, RunError
from ifcurate.options.base import takes_options
from ifcurate.options.report import ReportOptions
from ifcurate.pages.shell import Block, Command, Page, Place, Section, Table, refuse_page
from ifcurate.phrases import check_type
from ifcurate.reports import counts
from ifcurate.reports.compare import compare_runs, comparison_section
from ifcurate.reports.examples import choose_rows, describe_rows, read_texts
from ifcurate.reports.facts import Facts, describe_run, gather_facts, read_quarantine
from ifcurate.reports.run_figures import draw_gains, draw_kept, draw_losses
from ifcurate.reports.tokens import TokenTexts
from ifcurate.runs.reading import run_examples
from ifcurate.runs.run import Run, find_run
from ifcurate.storage.manifest import fingerprint

_TITLE: Final = "ifcurate report"
_PAIRS: Final = 4  # examples on each side of "kept and dropped"


@takes_options(ReportOptions)
def write_report(
    run: Run,
    out: str | Path | None = None,
    *,
    options: ReportOptions,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write the report of a finished run and return its path.

    Args:
        run: the run; its labels are those of its split, or of the default rule.
        out: the file; `report.html` in the run's folder when not given, or `report-NAME.html`
            for a named split.
        overwrite: replace a file that is not an earlier report of this run.
        say: is called with the reason when the texts of the data cannot be shown.

    Raises:
        RunError: the run is unfinished, its tables do not belong together, or no split has the
            name.
        DataError: the file cannot be written, or the tokenizer cannot be read, or the file is
            another one.
    """
    check_type("run", run, Run, "give find_run(FOLDER)")
    name = f"report-{options.split}.html" if options.split else "report.html"
    path, source = Path(out or run.folder / name), fingerprint(run.manifest.identity)
    refuse_page(path, _TITLE, source, overwrite=overwrite)
    facts = gather_facts(run, options.split)
    chosen = choose_rows(facts.table, options.examples)
    rows = describe_rows(chosen)
    tokens = TokenTexts(run, options.tokenizer)
    notes = _add_texts(run, rows, tokens, say)
    places = {int(place): i for i, place in enumerate(chosen["place"].to_list())}
    other = options.compare
    more = f" and {len(run.data) - 1} more" if len(run.data) > 1 else ""
    page = Page(
        _TITLE,
        [
            Section("overview", "Overview", describe_run(facts), (counts.count_cards(facts),)),
            Section(
                "distributions",
                "Losses and gains",
                blocks=(draw_losses(facts, places), draw_gains(facts), draw_kept(facts)),
            ),
            Section(
                "groups",
                "Groups",
                blocks=(counts.count_sources(facts), counts.count_lengths(facts)),
            ),
            Section("tokens", "Kept and removed", blocks=(counts.count_tokens(facts),)),
            _rejected(facts),
            Section(
                "sides",
                "Kept and dropped examples",
                ("Each side has the clearest examples and those nearest to the cut.",),
                (Place("pairs"),),
            ),
            _browser(facts, len(rows), [*notes, *([tokens.problem] if tokens.problem else [])]),
            *([comparison_section(compare_runs(run, find_run(other)))] if other else []),
            _settings(facts),
        ],
        subtitle=f"{run.data[0]}{more}, scored by {run.manifest.identity['engine']['model']}",
        data={"examples": rows, "pairs": _choose_pairs(chosen)},
        scripts=("report.js",),
        source=source,
    )
    return page.write(path, overwrite=overwrite)


def _add_texts(
    run: Run, rows: list[dict[str, Any]], tokens: TokenTexts, say: Callable[[str], None]
) -> list[str]:
    """Put the texts into the rows, and return notes about what cannot be shown."""
    try:
        texts = read_texts(run, run_examples(run), rows, tokens)
    except (DataError, RunError) as error:
        reason = f"The texts cannot be shown, only their beginnings: {error}."
        say(reason)
        return [reason]
    coloured = 0
    for row in rows:
        row["text"] = texts.get((row["source"], row["row"], row["turn"]))
        coloured += "tokens" in (row["text"] or {})
    scored = sum(row["gain"] is not None for row in rows)
    notes = []
    if missing := sum(row["text"] is None for row in rows):
        notes.append(f"{missing:,} of them show only their beginning, to keep this file small.")
    if not tokens.problem and coloured < scored:
        notes.append(
            f"{scored - coloured:,} scored responses are not coloured: they have too many tokens, "
            "or their tokens do not spell the response."
        )
    return notes


def _choose_pairs(chosen: pl.DataFrame) -> dict[str, list[int]]:
    """Positions on the page of kept and dropped examples: the clearest, the nearest to the cut."""
    numbered = chosen.drop("place").with_row_index("shown")
    distance = (pl.col("value") - pl.col("threshold")).abs()
    pairs = {}
    for side, label in (("kept", "context-critical"), ("dropped", "non-context-critical")):
        mine = numbered.filter((pl.col("label") == label) & distance.is_finite())
        ranked = mine.sort(distance, "shown")["shown"].to_list()
        nearest, other = ranked[: _PAIRS // 2], ranked[_PAIRS // 2 :]
        pairs[side] = other[::-1][: _PAIRS // 2] + nearest
    return pairs


def _rejected(facts: Facts) -> Section:
    records, reasons = read_quarantine(facts.run, 20)
    flags = counts.count_flags(facts)
    tables = [flags] if flags else []
    if facts.table.filter(pl.col("status") != "scored").height:
        tables.append(counts.count_rejected(facts))
    tables += counts.list_quarantine(records, reasons) if reasons else []
    text = [] if reasons else ["Every row could be read; none was quarantined."]
    text += [] if flags else ["No example has a flag: each pair of prompts differs by its context."]
    return Section("rejected", "Flags and rejected rows", text, tables)


def _browser(facts: Facts, n: int, notes: Sequence[str]) -> Section:
    total = facts.table.height
    shown = (
        "All examples of the run."
        if n == total
        else f"{n:,} of {total:,} examples: the largest and the smallest gains, those nearest to "
        "the cut, and others drawn at random."
    )
    opens = (
        "Open a row to see its text, with the context marked. In an open row, j and k go to the "
        "next and the previous one."
    )
    return Section("examples", "Examples", (f"{shown} {opens}", *notes), (Place("browser"),))


def _settings(facts: Facts) -> Section:
    manifest = facts.run.manifest
    commands = [manifest.command, facts.split.command if facts.split else "ifcurate split"]
    identity = {key: value for key, value in manifest.identity.items() if key != "inputs"}
    rows = _flatten({**identity, "split": facts.parameters})
    inputs = [
        [i["name"], i["layout"]["format"], i.get("bytes"), i.get("blake2b", "not hashed")]
        for i in manifest.identity["inputs"]
    ]
    blocks: list[Block] = [
        Command("\n".join(dict.fromkeys(c for c in (*commands, "ifcurate report") if c))),
        Table(("input", "layout", "bytes", "BLAKE2b"), inputs, "Data"),
        Table(("setting", "value"), rows, "Settings"),
        Table(("package", "version"), [[n, v] for n, v in manifest.versions.items()], "Versions"),
    ]
    return Section("settings", "Settings", tuple(manifest.notes), blocks)


def _flatten(value: Any, place: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        leaves: list[tuple[str, str]] = []
        for key, item in value.items():
            leaves += _flatten(item, f"{place}.{key}" if place else str(key))
        return leaves
    return [(place, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))]
