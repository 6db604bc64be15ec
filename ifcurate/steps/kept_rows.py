"""Keep and drop rows by their labels. Every dropped row has a reason.

There are two uses. `keep="context-critical"` writes the paper's context-critical subset:
rows whose response needs the context. `drop="non-context-critical"` writes the data without
the rows whose context only repeats what the model knows.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from ifcurate.data.in_memory import take_examples
from ifcurate.data.readers.files import RawRow, Source
from ifcurate.data.readers.json_rows import parse_line
from ifcurate.data.readers.rows import read_rows, source_problem
from ifcurate.data.writing import name_outputs, open_row_writer, refuse_inputs
from ifcurate.errors import RunError
from ifcurate.options.base import takes_options
from ifcurate.options.filter import FilterOptions
from ifcurate.phrases import check_type
from ifcurate.records import Example
from ifcurate.split.rules import Split
from ifcurate.steps.decisions import SCORE_COLUMNS, decide_rows, join_decisions, kept_labels
from ifcurate.storage.files import atomic_file, write_table
from ifcurate.storage.tables import KEPT, KEPT_LABELS, LABELS


@dataclass(frozen=True, slots=True, repr=False)
class FilteredExamples:
    """The kept examples, and the dropped ones with their reasons."""

    kept: list[Example]
    dropped: list[tuple[Example, str]]

    def __repr__(self) -> str:
        return f"FilteredExamples({len(self.kept):,} kept, {len(self.dropped):,} dropped)"


@dataclass(slots=True)
class FilteredFiles:
    """The files of `write_filtered`, with counts and labels."""

    counts: Counter[str] = field(default_factory=Counter)  # kept, dropped, quarantined, and labels
    files: dict[str, Path] = field(default_factory=dict)  # "kept:NAME", "dropped:NAME" -> path
    #: By source, a byte for each kept row: the place of its label in LABELS.
    labels: dict[str, bytearray] = field(default_factory=dict)

    def kept_labels(self) -> pl.DataFrame:
        """Return the labels of the kept rows, in the columns of `KEPT`."""
        frames = [
            pl.DataFrame({"source": source, "label": pl.Series(codes, dtype=pl.UInt8)})
            for source, codes in self.labels.items()
        ]
        name = pl.col("label").replace_strict(dict(enumerate(LABELS)), return_dtype=pl.String)
        return pl.concat(frames).with_columns(name) if frames else KEPT.to_frame()


@takes_options(FilterOptions)
def filter_examples(examples: Any, split: Split, *, options: FilterOptions) -> FilteredExamples:
    """Divide examples by the labels of a split made from their scores.

    `examples` are the examples that were scored: the result of `read_examples`, a list of
    dicts, a `datasets.Dataset`, a polars or pandas frame, or a list of `Example`. They are
    found in the split by their ids, so they may be in another order, or only some of them.

    Raises `RunError` when an example is not in the split, or when ids repeat and their rows cannot
    be distinguished.
    """
    check_type("split", split, Split, "give split_scores(scores)")
    decided = decide_rows(split.table, kept_labels(options))
    given = list(take_examples(examples))
    result = FilteredExamples([], [])
    for example, decision in zip(given, join_decisions(given, decided), strict=True):
        if decision["keep"]:
            result.kept.append(example)
        else:
            result.dropped.append((example, decision["reason"]))
    return result


def filtered_paths(sources: Sequence[Source], folder: Path) -> dict[str, tuple[Path, Path]]:
    """Source name -> the file of its kept rows, and that of its dropped rows.

    Kept and dropped rows are in separate folders, so that each folder loads as one dataset.
    """
    return {
        name: (folder / "kept" / f"{stem}{ending}", folder / "dropped" / f"{stem}.jsonl")
        for name, (stem, ending) in name_outputs(sources).items()
    }


def write_filtered(
    sources: Sequence[Source],
    tables: Iterable[pl.DataFrame],
    kept: Collection[str],
    folder: Path,
    *,
    limit: int | None = None,
) -> FilteredFiles:
    """Write kept rows as they were read, and dropped rows as JSONL with label and reason.

    `tables` are slices of the SPLIT table in its order, with the numbers of the scores; one
    slice at a time is in memory. `kept` are the labels that are kept. Quarantined rows are
    counted and written to neither file.

    Raises `DataError` when a file cannot be written, `RunError` when rows are missing.
    """
    paths = filtered_paths(sources, folder)
    refuse_inputs(itertools.chain.from_iterable(paths.values()), sources)
    verdicts = _Verdicts(tables, kept)
    result = FilteredFiles()
    left = limit
    for source in sources:
        n_read = _write_source(source, verdicts, paths[source.name], left, result)
        if left is not None:
            left -= n_read
    if verdicts.next is not None:
        raise _gone(verdicts.next)
    if len(kept) > 1:
        result.files["labels"] = folder / KEPT_LABELS
        write_table(result.kept_labels(), folder / KEPT_LABELS, {})
    return result


class _Verdicts:
    """The decisions on the rows, one row at a time."""

    def __init__(self, tables: Iterable[pl.DataFrame], kept: Collection[str]) -> None:
        self._rows = self._read(tables, kept)
        self.next = next(self._rows, None)

    @staticmethod
    def _read(tables: Iterable[pl.DataFrame], kept: Collection[str]) -> Iterator[dict[str, Any]]:
        held: pl.DataFrame | None = None  # the turns of the last row, of which more may follow
        for table in tables:
            whole = table if held is None else pl.concat([held, table])
            if whole.is_empty():
                continue
            last = whole.select(
                (pl.col("source") == pl.col("source").last())
                & (pl.col("row") == pl.col("row").last())
            )[:, 0]
            held = whole.filter(last)
            yield from decide_rows(whole.filter(~last), kept).iter_rows(named=True)
        if held is not None:
            yield from decide_rows(held, kept).iter_rows(named=True)

    def of(self, row: RawRow) -> dict[str, Any] | None:
        """Return the decision on this row; None if the row is quarantined."""
        verdict = self.next
        if verdict is None or verdict["row"] != row.number or verdict["source"] != row.source:
            return None
        self.next = next(self._rows, None)
        return verdict


def _gone(verdict: dict[str, Any]) -> RunError:
    return RunError(
        f"{verdict['source']}: row {verdict['row']} was scored and is now missing; "
        "the data has changed: score it again"
    )


def _write_source(
    source: Source,
    verdicts: _Verdicts,
    paths: tuple[Path, Path],
    limit: int | None,
    result: FilteredFiles,
) -> int:
    kept_path, dropped_path = paths
    if source_problem(source):  # it was read as one quarantined row
        n_bad = 0 if limit == 0 else 1
        result.counts["quarantined"] += n_bad
        return n_bad
    result.files[f"kept:{source.name}"] = kept_path
    result.files[f"dropped:{source.name}"] = dropped_path
    n_read = 0
    with contextlib.ExitStack() as stack:
        keep = stack.enter_context(open_row_writer(source, kept_path))
        dropped = stack.enter_context(atomic_file(dropped_path))
        for row in itertools.islice(read_rows(source, parse=False), limit):
            n_read += 1
            verdict = verdicts.of(row)
            if _count(verdict, result):
                keep(row)
            elif verdict is not None:
                dropped.write(_dropped_line(row, verdict))
        if verdicts.next is not None and verdicts.next["source"] == source.name:
            raise _gone(verdicts.next)
    return n_read


def _count(verdict: dict[str, Any] | None, result: FilteredFiles) -> bool:
    if verdict is None:
        result.counts["quarantined"] += 1
        return False
    result.counts["kept" if verdict["keep"] else "dropped"] += 1
    result.counts[verdict["label"]] += 1
    if verdict["keep"]:
        codes = result.labels.setdefault(verdict["source"], bytearray())
        codes.append(LABELS.index(verdict["label"]))
    return bool(verdict["keep"])


def _dropped_line(row: RawRow, verdict: dict[str, Any]) -> bytes:
    added = {
        f"ifcurate_{name}": verdict[name] for name in ("id", "label", "reason", *SCORE_COLUMNS)
    }
    raw = row.raw
    if row.value is None and raw is not None and b'"ifcurate_' not in raw:
        # The row as it was, with the new keys after its own.
        own = raw.rstrip()[:-1]
        text = json.dumps(added, ensure_ascii=False)
        return own + b", " + text[1:].encode("utf-8", "backslashreplace") + b"\n"
    value = row.value if row.value is not None else parse_line(raw or b"{}")[0]
    line = json.dumps({**(value or {}), **added}, ensure_ascii=False, default=str)
    return line.encode("utf-8", "backslashreplace") + b"\n"
