"""The tables of a report: per source, per length, tokens, flags and rejected rows."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any, Final

import polars as pl

from ifcurate.pages.shell import Cards, Table
from ifcurate.reports.facts import FLAGS, Facts

LENGTHS: Final = (8, 32, 128, 512)  # response tokens; the last group has no end
MOST_SOURCES: Final = 100
_COUNTED: Final = (
    "Tokens are counted by the model's tokenizer, in scored examples only: a response without "
    "a context is not tokenized."
)
_CRITICAL: Final = pl.col("label") == "context-critical"
_DROPPED: Final = pl.col("label") == "non-context-critical"


def count_cards(facts: Facts) -> Cards:
    """Return the most important numbers of a run."""
    table = facts.table
    scored = facts.scored.height
    kept, dropped = (int(table.select(e.sum()).item()) for e in (_CRITICAL, _DROPPED))
    tokens = table.select(pl.col("n_response_tokens").filter(_CRITICAL | _DROPPED).sum()).item()
    kept_tokens = table.select(pl.col("n_response_tokens").filter(_CRITICAL).sum()).item()
    bare = int((table["status"] == "no_context").sum())
    median = facts.scored["context_gain"].median()
    aside = facts.run.manifest.counts.get("quarantined", 0)
    gain = f"{median:+.3f}" if isinstance(median, float) else "–"
    by_hand = [("Set by hand", f"{facts.n_by_hand:,}", "labels")] if facts.n_by_hand else []
    return Cards(
        (
            ("Examples", f"{table.height:,}", f"{scored:,} scored"),
            ("Context-critical", f"{kept:,}", f"{_share(kept, kept + dropped)} of the labelled"),
            ("Non-context-critical", f"{dropped:,}", f"{_share(dropped, kept + dropped)}"),
            ("Without context", f"{bare:,}", "nothing to compare"),
            ("Response tokens kept", _share(kept_tokens, tokens), f"{kept_tokens:,} of {tokens:,}"),
            ("Median gain", gain, "nats per response token"),
            ("Quarantined", f"{aside:,}", "rows that could not be read"),
            *by_hand,
        )
    )


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "–"


def _group(table: pl.DataFrame, *by: str) -> pl.DataFrame:
    return (
        table.group_by(*by)
        .agg(
            pl.len().alias("n"),
            (pl.col("status") == "scored").sum().alias("scored"),
            _CRITICAL.sum().alias("kept"),
            _DROPPED.sum().alias("dropped"),
            pl.col("context_gain").median().alias("gain"),
            pl.col("loss_without_context").median().alias("without"),
            pl.col("loss_with_context").median().alias("with"),
            pl.col("n_response_tokens").sum().alias("tokens"),
        )
        .sort(*by)
    )


def _grouped_rows(groups: pl.DataFrame) -> list[list[Any]]:
    return [
        [name, n, scored, kept, dropped, _share(kept, kept + dropped), *numbers]
        for name, n, scored, kept, dropped, *numbers in groups.iter_rows()
    ]


_COLUMNS: Final = (
    "examples",
    "scored",
    "context-critical",
    "non-context-critical",
    "kept",
    "median gain",
    "loss without",
    "loss with",
    "response tokens",
)


def count_sources(facts: Facts) -> Table:
    """Return a row for every source.

    If there are very many sources, only the largest are listed.
    """
    groups = _group(facts.table, "source")
    caption = "Losses and gains are medians, in nats per response token."
    if groups.height > MOST_SOURCES:
        caption += f" The {MOST_SOURCES} largest of {groups.height:,} sources are listed."
        groups = groups.sort("n", "source", descending=[True, False]).head(MOST_SOURCES)
    return Table(("source", *_COLUMNS), _grouped_rows(groups), "By source", caption)


def count_lengths(facts: Facts) -> Table:
    """Return a row for every range of response lengths."""
    ends = [f"up to {LENGTHS[0]}"]
    ends += [f"{a + 1} to {b}" for a, b in itertools.pairwise(LENGTHS)]
    ends.append(f"over {LENGTHS[-1]}")
    number = pl.sum_horizontal(pl.col("n_response_tokens") > end for end in LENGTHS)
    groups = _group(facts.scored.with_columns(number.alias("length")), "length")
    named = groups.with_columns(
        pl.col("length").map_elements(lambda i: ends[i], return_dtype=pl.String)
    )
    rows = _grouped_rows(named)
    caption = "Scored examples only. A short response has a noisier mean loss."
    return Table(("response tokens", *_COLUMNS), rows, "By length of the response", caption)


def count_tokens(facts: Facts) -> Table:
    """Return what each of the two filter commands keeps and removes."""
    total = facts.table.select(pl.len(), pl.col("n_response_tokens").sum()).row(0)
    rows: list[list[Any]] = []
    for name, keep in (
        ("ifcurate filter --keep context-critical", _CRITICAL),
        ("ifcurate filter --drop non-context-critical", ~_DROPPED),
    ):
        kept = facts.table.filter(keep).select(pl.len(), pl.col("n_response_tokens").sum()).row(0)
        share = _share(kept[1], total[1])
        rows.append([name, kept[0], total[0] - kept[0], kept[1], total[1] - kept[1], share])
    columns = ("command", "examples kept", "removed", "response tokens kept", "removed ", "share")
    return Table(columns, rows, "What filtering keeps", _COUNTED)


def count_flags(facts: Facts) -> Table | None:
    """Scored rows whose two prompts differ in more than the context; None when there is none."""
    scored = facts.scored
    rows: list[list[Any]] = [
        [name, words, int((scored[name].cast(pl.Int64) > 0).sum())] for name, words in FLAGS.items()
    ]
    if not any(n for *_, n in rows):
        return None
    return Table(("flag", "meaning", "examples"), rows, "Flags")


def count_rejected(facts: Facts) -> Table:
    """Rows that were read and not scored, by reason."""
    groups = (
        facts.table.filter(pl.col("status") != "scored")
        .group_by("status", "reason")
        .len("n")
        .sort("n", "status", "reason", descending=[True, False, False])
        .head(30)
    )
    rows = [list(row) for row in groups.select("status", "reason", "n").iter_rows()]
    return Table(("status", "reason", "examples"), rows, "Examples without a score")


def list_quarantine(records: list[dict[str, Any]], reasons: Counter[str]) -> list[Table]:
    """Rows that could not be read: by reason, and the first of them."""
    by_reason: list[list[Any]] = [[reason, n] for reason, n in reasons.most_common(20)]
    shown = [
        [f"{r.get('source')}, row {r.get('row')}", r.get("reason"), _start(r.get("raw"))]
        for r in records
    ]
    total = reasons.total()
    return [
        Table(("reason", "rows"), by_reason, f"Quarantined at reading: {total:,}"),
        Table(("place", "reason", "start of the row"), shown, f"The first {len(shown)} of them"),
    ]


def _start(raw: Any) -> str:
    text = "" if raw is None else str(raw)
    return text if len(text) <= 200 else f"{text[:200]} …"
