"""Convert rows of any format to rows of a mixture, a batch at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

import polars as pl

from ifcurate.data.formats import parse_row, row_hash
from ifcurate.data.readers.files import RawRow
from ifcurate.data.readers.json_rows import parse_line
from ifcurate.data.row_formats import Layout
from ifcurate.data.sources import Examples
from ifcurate.errors import RowError
from ifcurate.mixing.schema import MESSAGE, MIXTURE
from ifcurate.mixing.texts import RowText, digest_texts, read_draft

#: The labels of rows that `augment` wrote. An original may be one that needs no context.
_ROLES: Final = {"counterfactual": "context-critical", "original": None, "abstain": "no-context"}
_BROKEN: Final = "judged broken"  # the reason of a counterfactual row that a person refused
LabelOf = Callable[[int], str | None]  # the label of a row by its number; None without one
Refusal = tuple[str | None, str | None]  # why a row cannot be taken: reason and detail


def _format_name(layout: Layout) -> str:
    """The value of `ifcurate_format`: the format's name, and the mapping of columns."""
    columns = f" {json.dumps(dict(layout.columns))}" if layout.columns else ""
    return layout.format + columns


@dataclass(slots=True)
class Batch:
    """Rows of one component before they become a table. All lists have the same length."""

    component: str
    sources: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    formats: list[str] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    strata: list[str] = field(default_factory=list)
    records: list[str] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    texts: list[RowText | None] = field(default_factory=list)
    reasons: list[str | None] = field(default_factory=list)  # why the row cannot be used

    def __len__(self) -> int:
        return len(self.sources)

    def add(
        self,
        source: str,
        number: int,
        record: str,
        text: RowText | None,
        *,
        format: str = "",
        label: str | None = None,
        stratum: str = "",
        reason: str | None = None,
    ) -> None:
        """Add a row. A row without texts has a reason."""
        digest = bytes(16)
        if text is not None and not text.response.strip():
            text, reason = None, "no response to train on"
        elif text is not None:
            try:
                digest = digest_texts(text)
            except RowError as error:
                text, reason = None, str(error)
        self.sources.append(source)
        self.numbers.append(number)
        self.formats.append(format)
        self.labels.append(label)
        self.strata.append(stratum)
        self.records.append(record)
        self.texts.append(text)
        self.digests.append(digest)
        self.reasons.append(reason)

    def pop(self) -> None:
        """Remove the last row."""
        for column in fields(self)[1:]:
            getattr(self, column.name).pop()

    def table(self) -> pl.DataFrame:
        """The rows in the columns of `MIXTURE`. Rows that cannot be used have no messages."""
        return pl.DataFrame(
            {
                "messages": _message_column(self.texts),
                "tools": [(text.tools or None) if text else None for text in self.texts],
                "ifcurate_source": self.sources,
                "ifcurate_row": self.numbers,
                "ifcurate_label": self.labels,
                "ifcurate_format": self.formats,
                "ifcurate_hash": [digest.hex() for digest in self.digests],
                "ifcurate_record": self.records,
            },
            schema_overrides={name: MIXTURE[name] for name in ("tools", "ifcurate_label")},
        ).with_columns(pl.lit(self.component).alias("ifcurate_component"))


def _message_column(texts: Sequence[RowText | None]) -> pl.Series:
    """The messages of each row, built from flat columns; dicts would be ten times slower."""
    import pyarrow as pa

    flat: list[tuple[str, str, str | None, str | None]] = []
    offsets: list[int | None] = []
    for text in texts:
        offsets.append(len(flat) if text is not None else None)
        if text is not None:
            flat += text.as_messages()
    columns = list(zip(*flat, strict=True)) or [(), (), (), ()]
    names = [name for name, _ in MESSAGE.to_schema().items()]
    fields = [pa.array(list(column), pa.large_string()) for column in columns]
    values = pa.StructArray.from_arrays(fields, names=names)
    starts = pa.array([*offsets, len(flat)], pa.int64())
    series = pl.from_arrow(pa.LargeListArray.from_arrays(starts, values))
    assert isinstance(series, pl.Series)
    return series


def read_batches(
    component: str,
    examples: Examples,
    size: int,
    *,
    labels: Mapping[str, LabelOf] | None = None,
    stratify: str = "",
    broken: Collection[str] = (),
) -> Iterator[Batch]:
    """All rows of a component, `size` at a time. Rows that cannot be used have a reason.

    `labels` gives the labels of each source's rows by number. If a source has none and its
    options name kinds of context, rows without such a context get the label `no-context`.
    `stratify` is a column of the rows, or `file`. `broken` has the hashes of rows that a
    person judged broken.
    """
    for chunk in examples.raw_chunks(size):
        batch = Batch(component)
        for raw, layout in chunk:
            _add_row(batch, raw, layout, labels or {}, stratify, broken)
        yield batch


def _add_row(
    batch: Batch,
    raw: RawRow,
    layout: Layout,
    labels: Mapping[str, LabelOf],
    stratify: str,
    broken: Collection[str],
) -> None:
    value, error = _parse(raw)
    record = raw.raw.decode("utf-8", "replace") if raw.raw is not None else ""
    known = labels.get(raw.source)
    text, label, stratum = None, known(raw.number) if known else None, ""
    if value is not None:
        try:
            text = read_draft(value, layout)
            label = label if known else _label_row(value, layout)
            if not record.startswith("{"):
                record = json.dumps(value, ensure_ascii=False, default=str)
            stratum = name_stratum(raw.source, value, stratify)
            if broken and row_hash(value) in broken:
                text, error = None, _BROKEN
        except RowError as problem:
            text, error = None, str(problem)
        except (RecursionError, ValueError, OverflowError) as problem:
            text, error = None, f"cannot be used: {type(problem).__name__}: {problem}"
    batch.add(
        raw.source,
        raw.number,
        record,
        text,
        format=_format_name(layout),
        label=label,
        stratum=stratum,
        reason=error or None,
    )


def _parse(raw: RawRow) -> tuple[Mapping[str, Any] | None, str | None]:
    """The row's value, or what is wrong with it."""
    if raw.value is None and not raw.error:
        return parse_line(raw.raw or b"")
    return raw.value, raw.error


def _label_row(row: Mapping[str, Any], layout: Layout) -> str | None:
    """The label of a row that `augment` wrote, or `no-context`; None if it has a context.

    `no-context` is for a row without a context of the requested kinds. Raises `RowError`.
    """
    role = str(row.get("ifcurate_role"))
    if role in _ROLES:
        return _ROLES[role]
    if not layout.context or any(e.has_context for e in parse_row(row, layout)):
        return None
    return "no-context"


def name_stratum(source: str, row: Mapping[str, Any], stratify: str) -> str:
    """The stratum of a row: its file, its value in the column `stratify`, or "" for none."""
    if stratify == "file":
        return source
    return str(row.get(stratify, "")) if stratify else ""


def refuse_row(unusable: str | None, label: str | None, only: str) -> Refusal:
    """Why a row cannot be taken, regardless of the other rows; (None, None) if it can."""
    if unusable == _BROKEN:
        return _BROKEN, "by a person, in the review"
    if unusable:
        return "cannot be used", unusable
    if not _is_wanted(label, only):
        return "not asked for", f"label {label or 'unknown'}"
    return None, None


def _is_wanted(label: str | None, only: str) -> bool:
    if only == "all":
        return True
    if only == "context-critical":
        return label == "context-critical"
    return label != "no-context"  # with --only context, a row without a label has a context
