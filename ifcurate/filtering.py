"""Rows kept and rows dropped, by their labels; every dropped row with its reason.

Two wishes, two calls. `keep="context-critical"` writes the paper's
context-critical subset: rows whose response needs the context. `drop=
"non-context-critical"` writes the mixture without its harmful part: everything
but the rows whose context only repeats what the model knows.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import polars as pl

from ifcurate.errors import DataError, RunError
from ifcurate.files import atomic_file
from ifcurate.reading import RawRow, Source, read_rows
from ifcurate.records import Example
from ifcurate.split import Split
from ifcurate.tables import LABELS
from ifcurate.writing import copy_parquet_rows, open_row_writer, output_name

__all__ = [
    "Decision",
    "FilteredExamples",
    "FilteredFiles",
    "decide_rows",
    "filter_examples",
    "write_filtered",
]

CRITICAL, NON_CRITICAL, NO_CONTEXT, NOT_SCORED = LABELS
_SCORE_COLUMNS: Final = (
    "loss_with_context",
    "loss_without_context",
    "context_gain",
    "max_token_loss_without_context",
    "max_token_gain",
    "n_response_tokens",
)


@dataclass(frozen=True, slots=True)
class Decision:
    """What is kept, in words of the labels."""

    keep_labels: frozenset[str]

    @classmethod
    def create(
        cls,
        *,
        keep: str | None = None,
        drop: str | None = None,
        no_context: Literal["keep", "drop"] | None = None,
    ) -> Decision:
        """From the two ways to ask.

        Rows without a context and rows that were not scored follow the wish:
        dropped where only one label is kept, kept where only one is dropped;
        `no_context` says otherwise for the first. Raises `DataError` unless
        exactly one of `keep` and `drop` is given, with a known label.
        """
        if (keep is None) == (drop is None):
            raise DataError(
                "filter: give either --keep LABEL or --drop LABEL; "
                f"labels are {CRITICAL} and {NON_CRITICAL}"
            )
        label = keep or drop
        if label not in (CRITICAL, NON_CRITICAL):
            raise DataError(
                f"filter: unknown label {label!r}; labels are {CRITICAL} and {NON_CRITICAL}"
            )
        kept = {keep} if keep else set(LABELS) - {label}
        if no_context == "keep":
            kept.add(NO_CONTEXT)
        elif no_context == "drop":
            kept.discard(NO_CONTEXT)
        return cls(frozenset(str(k) for k in kept))


@dataclass(frozen=True, slots=True)
class FilteredExamples:
    """Examples kept, and those dropped with the reason."""

    kept: list[Example]
    dropped: list[tuple[Example, str]]


@dataclass(slots=True)
class FilteredFiles:
    """What `write_filtered` wrote."""

    counts: Counter[str] = field(default_factory=Counter)  # kept, dropped, quarantined, and labels
    files: dict[str, Path] = field(default_factory=dict)  # "kept:NAME", "dropped:NAME" -> path


def decide_rows(table: pl.DataFrame, decision: Decision) -> pl.DataFrame:
    """One verdict per row of the input from a SPLIT table, in its order.

    A row with several scored turns is context-critical when any of them is, else
    non-context-critical when any of them is. Columns: source, row, label, keep, reason.
    """
    rank = {label: i for i, label in enumerate((CRITICAL, NON_CRITICAL, NOT_SCORED, NO_CONTEXT))}
    ranked = table.with_columns(pl.col("label").replace_strict(rank).alias("_rank"))
    best = ranked.group_by("source", "row", maintain_order=True).agg(
        pl.all().sort_by("_rank", maintain_order=True).first()
    )
    return best.select(
        "source",
        "row",
        "id",
        "turn",
        "label",
        pl.col("label").is_in(sorted(decision.keep_labels)).alias("keep"),
        "reason",
    )


def filter_examples(
    examples: Iterable[Example],
    split: Split,
    *,
    keep: str | None = None,
    drop: str | None = None,
    no_context: Literal["keep", "drop"] | None = None,
) -> FilteredExamples:
    """Divide examples by the labels of a split made from their scores.

    Raises `RunError` when an example is not in the split.
    """
    rows = decide_rows(split.table, Decision.create(keep=keep, drop=drop, no_context=no_context))
    verdicts = {
        (source, row): (kept, reason)
        for source, row, kept, reason in rows.select("source", "row", "keep", "reason").iter_rows()
    }
    result = FilteredExamples([], [])
    for example in examples:
        verdict = verdicts.get((example.source, example.row_number))
        if verdict is None:
            raise RunError(
                f"{example.source} row {example.row_number}: not in the split; "
                "were these examples scored? score and split them first"
            )
        if verdict[0]:
            result.kept.append(example)
        else:
            result.dropped.append((example, verdict[1]))
    return result


def write_filtered(
    sources: Sequence[Source],
    scores: pl.DataFrame,
    split_table: pl.DataFrame,
    decision: Decision,
    folder: Path,
    *,
    label: str,
    limit: int | None = None,
) -> FilteredFiles:
    """Write kept rows as they were read, and dropped ones as JSONL with label and reason.

    Rows that were set aside at reading are in neither; they are counted.
    Raises `DataError` when a file cannot be written.
    """
    verdicts = decide_rows(split_table, decision).join(
        scores.select("source", "row", "turn", *_SCORE_COLUMNS),
        on=["source", "row", "turn"],
        how="left",
        maintain_order="left",
    )
    result = FilteredFiles()
    left = limit
    for source in sources:
        mine = verdicts.filter(pl.col("source") == source.name)
        n_read = _write_source(source, mine, folder, label, left, result)
        if left is not None:
            left -= n_read
    return result


def _write_source(
    source: Source,
    verdicts: pl.DataFrame,
    folder: Path,
    label: str,
    limit: int | None,
    result: FilteredFiles,
) -> int:
    kept_path = folder / output_name(source, label)
    dropped_path = folder / (
        output_name(source, "dropped").split(".dropped.")[0] + ".dropped.jsonl"
    )
    for path in (kept_path, dropped_path):
        if path in result.files.values():
            raise DataError(
                f"{path}: two inputs have the file name {source.path.name}; "
                "filter them in runs of their own"
            )
    result.files[f"kept:{source.name}"] = kept_path
    result.files[f"dropped:{source.name}"] = dropped_path
    rows = _with_verdicts(source, verdicts, limit)
    n_read = 0
    if source.format == "parquet":
        wanted = []
        with atomic_file(dropped_path) as dropped:
            for row, verdict in rows:
                wanted.append(_count(verdict, result.counts))
                if verdict is not None and not verdict["keep"]:
                    dropped.write(_dropped_line(row, verdict))
        n_read = len(wanted)
        n_rows = _parquet_rows(source)
        mask = np.zeros(n_rows, dtype=np.bool_)
        mask[:n_read] = wanted
        copy_parquet_rows(source, kept_path, mask)
        return n_read
    with open_row_writer(source, kept_path) as keep, atomic_file(dropped_path) as dropped:
        for row, verdict in rows:
            n_read += 1
            if _count(verdict, result.counts):
                keep(row)
            elif verdict is not None:
                dropped.write(_dropped_line(row, verdict))
    return n_read


def _parquet_rows(source: Source) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(source.path).num_rows)


def _with_verdicts(
    source: Source, verdicts: pl.DataFrame, limit: int | None
) -> Iterator[tuple[RawRow, dict[str, Any] | None]]:
    """Rows beside their verdicts; both are in reading order, rows set aside have none."""
    decided = verdicts.iter_rows(named=True)
    following = next(decided, None)
    for row in read_rows(source):
        if limit is not None and row.number >= limit:
            break
        if following is not None and following["row"] == row.number:
            yield row, following
            following = next(decided, None)
        else:
            yield row, None
    if following is not None:
        raise RunError(
            f"{source.name}: row {following['row']} was scored and is not there any more; "
            "the data has changed: score it again"
        )


def _count(verdict: dict[str, Any] | None, counts: Counter[str]) -> bool:
    if verdict is None:
        counts["quarantined"] += 1
        return False
    counts["kept" if verdict["keep"] else "dropped"] += 1
    counts[verdict["label"]] += 1
    return bool(verdict["keep"])


def _dropped_line(row: RawRow, verdict: dict[str, Any]) -> bytes:
    record = dict(row.value or {})
    record["ifcurate_id"] = verdict["id"]
    record["ifcurate_label"] = verdict["label"]
    record["ifcurate_reason"] = verdict["reason"]
    for name in _SCORE_COLUMNS:
        record[f"ifcurate_{name}"] = verdict[name]
    line = json.dumps(record, ensure_ascii=False, default=str)
    return line.encode("utf-8", "backslashreplace") + b"\n"
