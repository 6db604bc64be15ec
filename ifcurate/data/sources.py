"""Examples from data, and the rows that cannot become one.

`read_examples` detects the format from the first rows. The result can be iterated many times
and yields every row in order. A row gives examples or a `BadRow` with a reason, so every row
is accounted for.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ifcurate.contexts.language_files import read_language
from ifcurate.contexts.learn import LOOKED_AT, learn_templates
from ifcurate.contexts.words import add_languages
from ifcurate.data.detection import FORMAT_ROWS, detect_formats, refuse_rows
from ifcurate.data.known_sets import find_known_set
from ifcurate.data.parse_rows import Piece, ReadRow, parse_row, template_texts
from ifcurate.data.readers.files import RawRow, Source
from ifcurate.data.readers.json_rows import parse_line
from ifcurate.data.readers.rows import (
    count_rows,
    describe_subfolders,
    first_rows,
    open_sources,
    read_rows,
    spread_rows,
)
from ifcurate.data.row_formats import RowLayout
from ifcurate.data.unique_names import UniqueNames
from ifcurate.data.unread import Unread, unread_columns
from ifcurate.errors import OptionError, RowError
from ifcurate.memory import PIECE_BYTES
from ifcurate.options.base import takes_options
from ifcurate.options.data import DataOptions
from ifcurate.records import Example


@dataclass(frozen=True, repr=False)
class Examples:
    """All examples of some sources, read again at each iteration.

    Iterating gives the `Example`s; `read()` gives every row, bad ones included.
    """

    sources: tuple[Source, ...]
    layouts: tuple[RowLayout, ...]  # one per source
    limit: int | None = None
    not_read: Mapping[str, str] = field(default_factory=dict)  # folder -> what is not read there

    def __repr__(self) -> str:
        named = ", ".join(f"{name}: {kind}" for name, kind in list(self.formats.items())[:3])
        more = ", ..." if len(self.sources) > 3 else ""
        limit = f", limit {self.limit}" if self.limit else ""
        return f"Examples({named}{more}{limit})"

    def __len__(self) -> int:
        """Raise `TypeError`: the data would be read to count them."""
        raise TypeError("the number of examples is unknown before they are read: list(examples)")

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Example]:
        """Yield every example, without bad rows."""
        for row in self.read():
            yield from row.examples

    def read(self, *, unique: bool = True) -> Iterator[ReadRow]:
        """Return every row in order; with `unique`, ids are made unique by `UniqueNames`.

        Unique ids need memory for every id. Without `unique`, and in `read_chunks`, memory
        does not grow with the number of rows.
        """
        rows = (read_row(raw, layout) for raw, layout in self.raw_rows())
        return rename_repeated(rows) if unique else rows

    def read_chunks(
        self,
        size: int,
        wanted: Callable[[int], bool] = lambda _: True,
        most_bytes: int = PIECE_BYTES,
    ) -> Iterator[Piece]:
        """The wanted chunks of `size` rows, in pieces of at most `most_bytes` or of one row.

        Ids are those of the rows, and may repeat. Other chunks are not parsed.
        """
        for number, piece, ends in divide_rows(self.raw_rows(), size, most_bytes):
            if wanted(number):
                yield Piece(number, [read_row(*row) for row in piece], ends)

    def raw_chunks(
        self, size: int, most_bytes: int = PIECE_BYTES
    ) -> Iterator[list[tuple[RawRow, RowLayout]]]:
        """Return the same pieces with unparsed rows and their layouts, for `read_row`."""
        return (piece for _, piece, _ in divide_rows(self.raw_rows(), size, most_bytes))

    def raw_rows(self) -> Iterator[tuple[RawRow, RowLayout]]:
        """Return every row unparsed, with its layout, for `read_row`."""
        rows = (
            (raw, layout) for source, layout in self.pairs for raw in read_rows(source, parse=False)
        )
        return itertools.islice(rows, self.limit)

    def pick(self, wanted: Iterable[tuple[str, int]]) -> Iterator[ReadRow]:
        """Yield the rows with these sources and numbers.

        Other rows are not parsed if the format allows it.
        """
        left = set(wanted)
        for raw, layout in self.raw_rows():
            if (raw.source, raw.number) in left:
                left.discard((raw.source, raw.number))
                yield read_row(raw, layout)
            if not left:
                return

    def count_rows(self) -> int | None:
        """Return the number of rows, without parsing them; None when it is unknown."""
        counts = [count_rows(source, self.limit) for source in self.sources]
        total = None if None in counts else sum(n or 0 for n in counts)
        return min((n for n in (total, self.limit) if n is not None), default=None)

    def unread(self) -> dict[str, Unread]:
        """Return the columns of each source's first rows that the examples do not use.

        Also the folders whose subfolders are not read.
        """
        columns = {
            s.name: unread_columns(_first_rows(s, FORMAT_ROWS), lay) for s, lay in self.pairs
        }
        columns |= {name: Unread(notes=(text,)) for name, text in self.not_read.items()}
        return {name: unread for name, unread in columns.items() if unread.columns or unread.notes}

    @property
    def pairs(self) -> Iterator[tuple[Source, RowLayout]]:
        """Each source with its layout."""
        return zip(self.sources, self.layouts, strict=True)

    @property
    def formats(self) -> dict[str, str]:
        """Source name -> format."""
        return {source.name: layout.format for source, layout in self.pairs}


def rename_repeated(rows: Iterable[ReadRow]) -> Iterator[ReadRow]:
    """Yield the rows with unique ids for their examples, by `UniqueNames`."""
    names = UniqueNames()
    for row in rows:
        if row.examples and (name := names.name(row.examples[0].id)) != row.examples[0].id:
            renamed = tuple(replace(example, id=name) for example in row.examples)
            row = replace(row, examples=renamed)
        yield row


def divide_rows(
    rows: Iterable[tuple[RawRow, RowLayout]], size: int, most_bytes: int
) -> Iterator[tuple[int, list[tuple[RawRow, RowLayout]], bool]]:
    """Pieces of chunks of `size` rows, each of at most `most_bytes` or of one row.

    Yields the number of the chunk, the rows, and whether they are its last. The last piece of a
    full chunk is yielded before the next row is read.
    """
    held: list[tuple[RawRow, RowLayout]] = []
    n_bytes = number = 0
    for i, (raw, layout) in enumerate(rows):
        number = i // size
        if held and n_bytes + raw.size > most_bytes:
            yield number, held, False
            held, n_bytes = [], 0
        held.append((raw, layout))
        n_bytes += raw.size
        if (i + 1) % size == 0:
            yield number, held, True
            held, n_bytes = [], 0
    if held:
        yield number, held, True


def read_row(raw: RawRow, layout: RowLayout) -> ReadRow:
    """Return the examples of a row, or the reason why it has none. Parses the row if necessary."""
    if raw.value is None and not raw.error and raw.raw is not None:
        value, error = parse_line(raw.raw)
        raw = replace(raw, value=value, error=error)
    if raw.value is None:
        return ReadRow(raw)
    try:
        examples = parse_row(raw.value, layout, source=raw.source, row_number=raw.number)
    except RowError as error:
        return ReadRow(replace(raw, error=str(error)))
    except (RecursionError, ValueError, OverflowError) as error:
        # Nested too deeply, or a number that is too long to write.
        reason = f"cannot be used: {type(error).__name__}: {error}"
        return ReadRow(replace(raw, error=reason))
    return ReadRow(raw, tuple(examples))


@takes_options(DataOptions)
def read_examples(paths: str | Path | Sequence[str | Path], *, options: DataOptions) -> Examples:
    """Return the examples of files, folders, globs, URLs, standard input or a Hub dataset.

    `paths` are files (JSON, JSONL, CSV, Parquet, Arrow, Feather; `.gz`, `.zst`), folders
    (including those of `datasets.save_to_disk`), globs, URLs (`https://`, `s3://`,
    `hf://`, ...), "-" for standard input, or `owner/name` on the Hub. A copy of a URL's data
    and of standard input is kept in `ifcurate-runs/`. A dataset with a card in `data_cards/`
    is read with the card's options, by the name of the card or its Hub name.

    Raises:
        TypeError: `paths` is not a name or a sequence of names.
        DataError: a source is missing, empty, of an unknown type or format.
        OptionError: an option is unknown, out of bounds, or has no effect on this data.
    """
    items = [paths] if isinstance(paths, str | Path) else paths
    if not isinstance(items, Sequence) or not all(isinstance(item, str | Path) for item in items):
        raise TypeError(
            f"read_examples: found {type(paths).__name__}; give names of files; "
            "give rows in memory directly to score_examples"
        )
    names, options = _apply_cards([str(item) for item in items], options)
    format = options_format(options)
    sources = open_sources(names, subset=options.subset, split=options.split)
    if not any(source.format == "hub" for source in sources):
        _refuse_hub_options(options, saved=any(Path(item).is_dir() for item in items))
    formats = detect_formats(sources, first_rows) if format == "auto" else [format] * len(sources)
    layouts = [
        learn_layout(_learning_rows(source), options_layout(name, options))
        for source, name in zip(sources, formats, strict=True)
    ]
    not_read = describe_subfolders(names, sources)
    examples = Examples(tuple(sources), tuple(layouts), options.limit, not_read)
    if format != "auto" or options.columns:
        _refuse_unfit(examples, formats[0])
    return examples


def _refuse_hub_options(options: DataOptions, *, saved: bool) -> None:
    """Raise `OptionError` for options of a Hub dataset; `saved` folders can have splits."""
    if options.has("subset") and options.subset:
        raise OptionError("data: --subset is only for datasets of the Hub; leave it out")
    if options.has("split") and not saved:
        raise OptionError(
            "data: --hub-split is only for datasets of the Hub and saved ones; leave it out"
        )


def _apply_cards(names: list[str], options: DataOptions) -> tuple[list[str], DataOptions]:
    """Replace the names of known datasets by their Hub names, and apply the card of a single one.

    The caller's options take precedence. The formats of several datasets are detected.
    """
    cards = [None if Path(name).exists() else find_known_set(name) for name in names]
    if len(cards) == 1 and cards[0] is not None:
        given = {k: v for k, v in options.given().items() if k in DataOptions.model_fields}
        if "format" in given or "columns" in given:
            given = {"format": options.format, "columns": options.columns, **given}
        options = DataOptions.create(**{**cards[0].reading, **given})
    return [card.hub_id if card else name for name, card in zip(names, cards, strict=True)], options


def options_format(options: DataOptions) -> str:
    """Return the format that the options ask for. A context or a system column adds to a format.

    Raises `OptionError` when only one of instruction and response is mapped.
    """
    mapped = options.columns or {}
    missing = [name for name in ("instruction", "response") if name not in mapped]
    if len(missing) == 1:
        raise OptionError(
            f"data: columns: {missing[0]}=... is missing; it names a column of your data"
        )
    return options.format if missing else "columns"


def options_layout(format: str, options: DataOptions) -> RowLayout:
    """Return the layout of a format with the options of reading."""
    return RowLayout(
        format,
        options.columns,
        options.turns,
        options.context,
        options.min_confidence,
        tuple(options.context_label or ()),
        tuple(read_language(path) for path in options.context_words or ()),
        options.context_regex,
    )


def _learning_rows(source: Source) -> list[dict[str, Any]]:
    """Return the rows from which templates are learned: a sample of a long source."""
    first = _first_rows(source, LOOKED_AT)
    return (spread_rows(source, LOOKED_AT) if len(first) == LOOKED_AT else []) or first


def learn_layout(rows: Sequence[dict[str, Any]], layout: RowLayout) -> RowLayout:
    """Return the layout with the templates of these rows, if their texts include the context.

    Every reader learns from the same rows of a source, so all readers agree. Of more than
    `LOOKED_AT` rows it looks at a sample, spread evenly.
    """
    n = min(len(rows), LOOKED_AT)
    texts = template_texts([rows[i * len(rows) // n] for i in range(n)], layout)
    if not texts:
        return layout
    with add_languages(layout.added):
        prompts, responses = zip(*texts, strict=True)
        return replace(layout, templates=learn_templates(prompts, responses=responses))


def _first_rows(source: Source, n: int) -> list[dict[str, Any]]:
    return [raw.value for raw in first_rows(source, n) if raw.value is not None]


def _refuse_unfit(examples: Examples, format: str) -> None:
    """Raise `DataError` when the requested format fits none of the first rows."""
    bad: list[RawRow] = []
    for row in itertools.islice(examples.read(), FORMAT_ROWS):
        if row.bad is None:
            return
        bad.append(row.bad)
    if bad:
        raise refuse_rows(bad, f" as {format}", "; check --format and --columns")
