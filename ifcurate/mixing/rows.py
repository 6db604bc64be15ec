"""The rows of a mixture, and how rows of any layout become them.

A row of a mixture is a conversation in one schema, so that files of different layouts
load as one table. The row as it was read is kept beside it, so that nothing is lost.
Columns that ifcurate adds start with `ifcurate_`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

import polars as pl

from ifcurate.data.formats import parse_row
from ifcurate.data.readers.rows import RawRow, parse_line
from ifcurate.data.row_formats import READERS, Draft, Layout
from ifcurate.data.sources import Examples
from ifcurate.errors import RowError
from ifcurate.records import Example, Turn

__all__ = [
    "COLUMNS",
    "MESSAGE",
    "MIXTURE",
    "TEXT",
    "Batch",
    "RowText",
    "digest_texts",
    "example_record",
    "example_text",
    "read_batches",
    "read_draft",
    "read_record",
]

MESSAGE: Final = pl.Struct(
    {"role": pl.String, "content": pl.String, "name": pl.String, "tool_calls": pl.String}
)

#: name -> (type, meaning); a row per row of the mixture, in training order.
COLUMNS: Final[dict[str, tuple[Any, str]]] = {
    "messages": (
        pl.List(MESSAGE),
        "the conversation; the last message is the response; tool_calls is JSON",
    ),
    "tools": (pl.String, "the tools on offer, JSON as the row has it; null when there are none"),
    "ifcurate_component": (pl.String, "the component that the row was taken from"),
    "ifcurate_source": (pl.String, "the file (or dataset) that it was read from"),
    "ifcurate_row": (pl.Int64, "its place there, counted from 0"),
    "ifcurate_copy": (pl.Int32, "0, or the number of the repetition of an up-sampled row"),
    "ifcurate_label": (pl.String, "its label in the split; null where it was not split"),
    "ifcurate_format": (
        pl.String,
        "the layout of the row as it was read, with the columns that were mapped",
    ),
    "ifcurate_hash": (pl.String, "hash of the texts that are trained on"),
    "ifcurate_tokens": (pl.Int32, "tokens, of the tokenizer that the manifest names; null if none"),
    "ifcurate_record": (pl.String, "the row as it was read, as JSON"),
}
MIXTURE: Final = pl.Schema({name: kind for name, (kind, _) in COLUMNS.items()})
#: The text of all messages of a row, with tool calls; a blank line between messages.
TEXT: Final = (
    pl.col("messages")
    .list.eval(
        pl.concat_str(
            pl.element().struct.field("content", "tool_calls"), separator="\n", ignore_nulls=True
        )
    )
    .list.join("\n\n")
)


@dataclass(frozen=True, slots=True)
class RowText:
    """The texts of an `Example`, without its metadata."""

    instruction: str
    context: str
    response: str
    system: str = ""
    history: tuple[Turn, ...] = ()
    trailing: tuple[Turn, ...] = ()
    tools: str = ""

    def as_messages(self) -> list[tuple[str, str, str | None, str | None]]:
        """(role, content, name, tool_calls) of each message, the response last."""
        question = "\n\n".join(text for text in (self.instruction, self.context) if text)
        messages: list[tuple[str, str, str | None, str | None]] = []
        if self.system:
            messages.append(("system", self.system, None, None))
        messages += map(_message, self.history)
        if question or not self.trailing:
            messages.append(("user", question, None, None))
        messages += map(_message, self.trailing)
        messages.append(("assistant", self.response, None, None))
        return messages


def _message(turn: Turn) -> tuple[str, str, str | None, str | None]:
    if not turn.tool_calls:
        return turn.role, turn.content, turn.name or None, None
    # Some data also writes a call out as text. The message has it once.
    text = "" if turn.content.lstrip().startswith("{") else turn.content
    return turn.role, text, turn.name or None, json.dumps(turn.tool_calls, ensure_ascii=False)


def read_draft(row: Mapping[str, Any], layout: Layout) -> RowText:
    """The texts of a row's last response. Raises `RowError` when the row does not fit."""
    return _draft_text(READERS[layout.format](row, layout)[-1])


def read_record(row: Mapping[str, Any]) -> RowText:
    """The texts of a mixture's row, from the row as it was read. Raises `RowError`."""
    value = json.loads(row["ifcurate_record"])
    name, _, columns = row["ifcurate_format"].partition(" ")
    if name == "example":
        history, trailing = ([Turn(**t) for t in value.pop(k)] for k in ("history", "trailing"))
        value.pop("row")
        return RowText(**value, history=tuple(history), trailing=tuple(trailing))
    return read_draft(value, Layout(name, json.loads(columns) if columns else None))


def example_record(example: Example) -> str:
    """An example as JSON, with the row that it was read from."""
    text = asdict(example_text(example))
    return json.dumps({**text, "row": dict(example.row)}, ensure_ascii=False, default=str)


def _format_name(layout: Layout) -> str:
    """The value of `ifcurate_format`: the layout's name, and the mapping of columns."""
    columns = f" {json.dumps(dict(layout.columns))}" if layout.columns else ""
    return layout.format + columns


def _draft_text(draft: Draft) -> RowText:
    return RowText(
        draft.instruction.text,
        draft.context.text,
        draft.response.text,
        draft.system.text,
        draft.history,
        draft.trailing,
        draft.tools,
    )


def example_text(example: Example) -> RowText:
    """The texts of an example."""
    return RowText(
        example.instruction,
        example.context,
        example.response,
        example.system,
        example.history,
        example.trailing,
        example.tools,
    )


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
        """Add a row; one without texts has a reason."""
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


def digest_texts(text: RowText) -> bytes:
    """A hash of the texts, 16 bytes; equal for rows that differ only in other fields.

    Raises `RowError` for half a surrogate pair, which UTF-8 cannot encode.
    """
    parts = [text.system, text.instruction, text.context, text.response, text.tools]
    for turn in (*text.history, Turn("user", "\0"), *text.trailing):
        calls = json.dumps(turn.tool_calls, sort_keys=True, default=str) if turn.tool_calls else ""
        parts += (turn.role, turn.content, turn.name, calls)
    try:
        # The lengths tell apart texts that are the same when joined.
        whole = f"{[*map(len, parts)]}{''.join(parts)}".encode()
    except UnicodeEncodeError as error:
        raise RowError("half a surrogate pair in a text: repair or drop the row") from error
    return hashlib.blake2b(whole, digest_size=16).digest()


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
    labels: Mapping[str, Sequence[str | None]] | None = None,
    stratify: str = "",
) -> Iterator[Batch]:
    """All rows of a component, `size` at a time. Rows that cannot be used have a reason.

    `labels` has the labels of each source's rows, in order. If a source has none and its
    layout names kinds of context, rows without such a context get the label `no-context`.
    `stratify` is a column of the rows, or `file`.
    """
    for chunk in examples.raw_chunks(size):
        batch = Batch(component)
        for raw, layout in chunk:
            _add_row(batch, raw, layout, labels or {}, stratify)
        yield batch


def _add_row(
    batch: Batch,
    raw: RawRow,
    layout: Layout,
    labels: Mapping[str, Sequence[str | None]],
    stratify: str,
) -> None:
    value, error = _parse(raw)
    record = raw.raw.decode("utf-8", "replace") if raw.raw is not None else ""
    text, label, stratum = None, None, ""
    if value is not None:
        try:
            text = read_draft(value, layout)
            label = None if raw.source in labels else _label_context(value, layout)
            record = record if record.startswith("{") else _as_json(value)
            stratum = _name_stratum(raw.source, value, stratify)
        except RowError as problem:
            text, error = None, str(problem)
        except (RecursionError, ValueError, OverflowError) as problem:
            text, error = None, f"cannot be used: {type(problem).__name__}: {problem}"
    known = labels.get(raw.source, ())
    batch.add(
        raw.source,
        raw.number,
        record,
        text,
        format=_format_name(layout),
        label=known[raw.number] if raw.number < len(known) else label,
        stratum=stratum,
        reason=error or None,
    )


def _parse(raw: RawRow) -> tuple[Mapping[str, Any] | None, str | None]:
    """The row's value, or what is wrong with it."""
    if raw.value is None and not raw.error:
        return parse_line(raw.raw or b"")
    return raw.value, raw.error


def _label_context(row: Mapping[str, Any], layout: Layout) -> str | None:
    """`no-context` for a row without a context of the layout's kinds. Raises `RowError`."""
    if not layout.context or any(e.has_context for e in parse_row(row, layout)):
        return None
    return "no-context"


def _as_json(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, default=str)


def _name_stratum(source: str, row: Mapping[str, Any], stratify: str) -> str:
    if stratify == "file":
        return source
    return str(row.get(stratify, "")) if stratify else ""
