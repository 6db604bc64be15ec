"""The components of a mixture, and their rows, which may have any format."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import polars as pl

from ifcurate.data.parse_rows import parse_row, row_hash
from ifcurate.data.readers.files import RawRow
from ifcurate.data.readers.json_rows import parse_line
from ifcurate.data.readers.rows import fingerprint_source
from ifcurate.data.row_formats import RowLayout
from ifcurate.data.sources import Examples
from ifcurate.errors import RowError
from ifcurate.mixing.amounts import Amount
from ifcurate.mixing.mixture import MESSAGE, MIXTURE
from ifcurate.mixing.texts import (
    as_messages,
    digest_texts,
    example_exclusions,
    read_last,
    write_record,
)
from ifcurate.records import Example
from ifcurate.storage.manifest import fingerprint

#: The labels of rows that `augment` wrote. An original may be one that needs no context.
_ROLES: Final = {"counterfactual": "context-critical", "original": None, "abstain": "no-context"}
_BROKEN: Final = "judged broken"  # the problem of a counterfactual row that a person refused
Refusal = tuple[str | None, str | None]  # why a row cannot be taken: reason and detail
LabelOf = Callable[[int], str | None]  # the label of a row by its number; None without one


@dataclass(frozen=True, slots=True)
class Component:
    """One named part of a mixture."""

    name: str
    examples: Examples
    amount: Amount = field(default_factory=Amount)
    labels: Mapping[str, LabelOf] = field(default_factory=dict)  # by source
    origin: Mapping[str, Any] = field(default_factory=dict)  # the step that made it, for the card
    broken: frozenset[str] = frozenset()  # hashes of the rows that a person judged broken
    stale: str = ""  # the reason why the rows are out of date; "" if they are not

    def read(self, size: int, stratify: str) -> Iterator[list[MixRow]]:
        """Yield all its rows, `size` at a time. `stratify` is a column of the rows, or `file`.

        A row of a source without labels gets the label `no-context` if the options name kinds
        of context, and the row has none.
        """
        for chunk in self.examples.raw_chunks(size):
            yield [_read_row(raw, layout, self, stratify) for raw, layout in chunk]

    def identity(self) -> dict[str, Any]:
        """Everything that its rows depend on: the content and formats of its files, the amount."""
        pairs = self.examples.pairs
        return {
            "name": self.name,
            "amount": asdict(self.amount),
            "inputs": [{**fingerprint_source(s), "layout": layout.format} for s, layout in pairs],
            **({"origin": dict(self.origin)} if self.origin else {}),
            **({"broken": fingerprint(dict.fromkeys(sorted(self.broken)))} if self.broken else {}),
        }


@dataclass(slots=True)
class MixRow:
    """A row of a component. A row without texts has a problem."""

    source: str
    number: int
    record: str  # the row as it was read, in JSON
    format: str  # the format's name, and the mapping of columns
    label: str | None = None
    stratum: str = ""
    example: Example | None = None  # None if it has a problem
    digest: bytes = bytes(16)  # hash of the texts
    n_excluded: int = 0  # answers that the row says not to train on
    problem: str = ""  # why the row cannot be used

    def take_texts(self, example: Example, row: Mapping[str, Any]) -> None:
        """Give the row its texts. Raises `RowError` for texts that cannot be trained on."""
        if not example.response.strip():
            raise RowError("no response to train on")
        self.digest = digest_texts(example, row)
        self.example = example

    def refuse(self, only: str) -> Refusal:
        """Return the reason why the row cannot be taken, and a detail; (None, None) if it can."""
        if self.problem == _BROKEN:
            return _BROKEN, "by a person, in the review"
        if self.problem:
            return "cannot be used", self.problem
        # With --only context, a row without a label has a context.
        wanted = {
            "all": True,
            "context": self.label != "no-context",
            "context-critical": self.label == "context-critical",
        }
        return (
            (None, None) if wanted[only] else ("not asked for", f"label {self.label or 'unknown'}")
        )


def _read_row(raw: RawRow, layout: RowLayout, component: Component, stratify: str) -> MixRow:
    record = raw.raw.decode("utf-8", "replace") if raw.raw is not None else ""
    columns = f" {json.dumps(dict(layout.columns))}" if layout.columns else ""
    label_of = component.labels.get(raw.source)
    label = label_of(raw.number) if label_of else None
    row = MixRow(raw.source, raw.number, record, layout.format + columns, label)
    value, row.problem = raw.value, raw.error or ""
    if value is None and not raw.error:
        value, row.problem = parse_line(raw.raw or b"")
    if value is None:
        return row
    try:
        # Without the row, so that memory does not hold the values of a whole batch.
        example = read_last(value, layout, id=f"{raw.source} {raw.number}")
        row.n_excluded = sum(example_exclusions(example, value))
        if label_of is None:
            row.label = _label_row(value, layout)
        if not record.startswith("{"):
            row.record = json.dumps(value, ensure_ascii=False, default=str)
        row.stratum = _name_stratum(raw.source, value, stratify)
        if component.broken and row_hash(value) in component.broken:
            row.problem = _BROKEN
        else:
            row.take_texts(example, value)
    except RowError as problem:
        row.problem = str(problem)
    except (RecursionError, ValueError, OverflowError) as problem:
        row.problem = f"cannot be used: {type(problem).__name__}: {problem}"
    return row


def _label_row(row: Mapping[str, Any], layout: RowLayout) -> str | None:
    """Return the label of a row that `augment` wrote, or `no-context`; None if it has a context.

    `no-context` is for a row without a context of the layout's kinds. Raises `RowError`.
    """
    role = str(row.get("ifcurate_role"))
    if role in _ROLES:
        return _ROLES[role]
    if not layout.context or any(e.has_context for e in parse_row(row, layout)):
        return None
    return "no-context"


def _name_stratum(source: str, row: Mapping[str, Any], stratify: str) -> str:
    """Return the stratum of a row: its file, its value in the column `stratify`, or ""."""
    if stratify == "file":
        return source
    return str(row.get(stratify, "")) if stratify else ""


def take_rows(examples: Iterable[Example], stratify: str) -> list[MixRow]:
    """Return the rows of examples.

    Of several turns of one row, only the last is taken: it has the others.
    """
    rows: list[MixRow] = []
    for example in examples:
        row = MixRow(
            example.source,
            example.row_number,
            write_record(example),
            "example",
            None if example.has_context else "no-context",
            _name_stratum(example.source, example.row, stratify),
        )
        row.n_excluded = sum(example_exclusions(example, example.row))
        try:
            row.take_texts(example, example.row)
        except RowError as problem:
            row.problem = str(problem)
        if rows and example.turn and (rows[-1].source, rows[-1].number) == (row.source, row.number):
            rows.pop()
        rows.append(row)
    return rows


def tabulate_rows(rows: Sequence[MixRow], component: str) -> pl.DataFrame:
    """Return the rows in columns of `MIXTURE`. Rows that cannot be used have no messages."""
    return pl.DataFrame(
        {
            "messages": _message_column([row.example for row in rows]),
            "tools": [(row.example.tools or None) if row.example else None for row in rows],
            "ifcurate_source": [row.source for row in rows],
            "ifcurate_row": [row.number for row in rows],
            "ifcurate_label": [row.label for row in rows],
            "ifcurate_format": [row.format for row in rows],
            "ifcurate_hash": [row.digest.hex() for row in rows],
            "ifcurate_record": [row.record for row in rows],
        },
        schema_overrides={name: MIXTURE[name] for name in ("tools", "ifcurate_label")},
    ).with_columns(pl.lit(component).alias("ifcurate_component"))


def _message_column(examples: Sequence[Example | None]) -> pl.Series:
    """Return the messages of each row, built from flat columns; dicts would be ten times slower."""
    import pyarrow as pa

    flat: list[tuple[str, str, str | None, str | None]] = []
    offsets: list[int | None] = []
    for example in examples:
        offsets.append(len(flat) if example is not None else None)
        if example is not None:
            flat += as_messages(example)
    columns = list(zip(*flat, strict=True)) or [(), (), (), ()]
    names = [name for name, _ in MESSAGE.to_schema().items()]
    fields = [pa.array(list(column), pa.large_string()) for column in columns]
    values = pa.StructArray.from_arrays(fields, names=names)
    starts = pa.array([*offsets, len(flat)], pa.int64())
    series = pl.from_arrow(pa.LargeListArray.from_arrays(starts, values))
    assert isinstance(series, pl.Series)
    return series
