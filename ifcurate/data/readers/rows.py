"""Rows from JSON, JSONL, nested SQuAD, Parquet, Arrow and CSV files, and from the Hub.

A reader yields every row, good or bad, with its place. Rows of text files have their exact
bytes, so that a kept row is written unchanged. A file that cannot be read at all is one bad
row. Readers do not interpret the rows.
"""

from __future__ import annotations

import contextlib
import glob
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ifcurate.data.readers.copies import STDIN, fetch_urls, is_url, keep_stdin
from ifcurate.data.readers.csv_rows import read_csv
from ifcurate.data.readers.files import (
    BROKEN,
    COMPRESSIONS,
    DEMO,
    RawRow,
    Source,
    broken_source,
    find_sign,
    open_binary,
)
from ifcurate.data.readers.folders import describe_below, folder_files
from ifcurate.data.readers.hub_rows import count_hub_rows, read_hub
from ifcurate.data.readers.json_rows import read_json_array, read_json_lines, spread_lines
from ifcurate.data.readers.squad_rows import is_squad, read_squad
from ifcurate.data.readers.table_rows import (
    count_table_rows,
    read_table,
    spread_groups,
    table_problem,
)
from ifcurate.errors import DataError
from ifcurate.options.data import HUB_SPLIT
from ifcurate.phrases import count, did_you_mean
from ifcurate.storage.files import file_digest

_KINDS: Final = {
    "jsonl": (".jsonl", ".ndjson"),
    "json": (".json",),
    "csv": (".csv", ".tsv"),
    "parquet": (".parquet", ".pq"),
    "arrow": (".arrow", ".feather", ".ipc"),
}
_EXTENSIONS: Final = {ending: kind for kind, endings in _KINDS.items() for ending in endings}
_SPREADSHEETS: Final = (".xlsx", ".xls", ".xlsm", ".ods")
_ARCHIVES: Final = frozenset((".zip", ".tar", ".tgz", ".7z", ".rar", ".bz2", ".xz"))
_DATA_ENDINGS: Final = [ending + pack for ending in _EXTENSIONS for pack in ("", *COMPRESSIONS)]
_HEAD: Final = 1 << 16  # bytes from which the kind of a JSON file is detected
_FIRST_BYTES: Final = 32 << 20  # most bytes of the first rows
_HUB_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def open_sources(
    paths: str | Path | Sequence[str | Path], *, subset: str = "", split: str = HUB_SPLIT
) -> list[Source]:
    """Resolve files, folders, globs, URLs, "-" and Hub names, in the order given.

    The matches of a glob and the files of a folder are sorted. Raises `DataError` for a
    missing file, an unknown file type and a repeated source, and when none of the files
    can be read (empty, damaged, UTF-16). If only some of them cannot be read, their
    readers report why.
    """
    items = [paths] if isinstance(paths, str | Path) else list(paths)
    if not items:
        raise DataError("no data: no file was given; name at least one file, glob or Hub dataset")
    sources = [s for item in map(str, items) for s in _open(item, subset=subset, split=split)]
    _refuse_twice(sources)
    problems = [source_problem(source) for source in sources]
    if all(problems):
        more = f" (and {count(len(sources) - 1, 'other')} like it)" if len(sources) > 1 else ""
        raise DataError(f"{sources[0].name}: {problems[0]}{more}")
    return sources


def _open(item: str, *, subset: str, split: str) -> list[Source]:
    """Return the sources of one name."""
    if not item.strip():
        raise DataError("'': an empty name; name a file (or is a variable of the shell empty?)")
    hub = item.removeprefix("hf://datasets/")
    is_hub = _looks_like_hub_name(hub) and (hub != item or not is_url(item))
    if is_hub and not Path(item).exists():
        return [Source(hub, "hub", subset=subset, split=split)]
    return [_file_source(name) for name in _file_names(item, split)]


def _file_names(item: str, split: str) -> list[str]:
    """Return the file of this name, or the files of a folder, a pattern or a URL."""
    if Path(item).is_dir():
        return folder_files(item, split=split, endings=[*_DATA_ENDINGS, *_SPREADSHEETS])
    if Path(item).exists() or (item.startswith(DEMO) and Source(item, "").path.exists()):
        return [item]
    if item == STDIN:
        return [keep_stdin()]
    if is_url(item):
        return fetch_urls(item)
    if glob.has_magic(item):
        return _match_pattern(item)
    raise DataError(_missing(item))


def describe_subfolders(names: Sequence[str], sources: Sequence[Source]) -> dict[str, str]:
    """Folder -> what is not read in its subfolders, for the folders among these names."""
    read = {source.path.resolve() for source in sources if source.format != "hub"}
    told = {
        name: describe_below(name, _DATA_ENDINGS, read) for name in names if Path(name).is_dir()
    }
    return {name: text for name, text in told.items() if text}


def _match_pattern(item: str) -> list[str]:
    matches = sorted(glob.glob(item, recursive=True))  # noqa: PTH207 - as the user wrote it
    files = [m for m in matches if Path(m).is_file()]
    if not files:
        raise DataError(f"{item}: no file matches this pattern; check the path")
    return files


def _refuse_twice(sources: Sequence[Source]) -> None:
    """Raise `DataError` for a repeated source, whose rows could not be distinguished."""
    seen: dict[object, str] = {}
    for source in sources:
        key = source.name if source.format == "hub" else source.path.resolve()
        if key in seen:
            also = f" (also as {seen[key]})" if seen[key] != source.name else ""
            raise DataError(
                f"{source.name}: given twice{also}; each row would count twice: name it once "
                "(patterns may overlap)"
            )
        seen[key] = source.name


def _looks_like_hub_name(item: str) -> bool:
    suffixes = Path(item).suffixes
    known = _EXTENSIONS.keys() | COMPRESSIONS.keys() | {".txt", ".yaml", *_SPREADSHEETS}
    return bool(_HUB_NAME.fullmatch(item)) and not known.intersection(suffixes[-1:])


def _missing(item: str) -> str:
    if item.split(":")[0] == DEMO.rstrip(":"):
        from ifcurate.pocket import demo_path

        bundled = ", ".join(sorted(f"{DEMO}{path.name}" for path in demo_path().glob("*.jsonl")))
        return f"{item}: no such file; the bundled data are {bundled}"
    folder = Path(item).parent
    where = folder if str(folder) != "." else Path.cwd()
    if not where.is_dir():
        return f"{item}: no such file; the folder {where} does not exist; check the path"
    hint = _describe_folder(where, Path(item).name)
    return f"{item}: no such file; {hint}; check the path, or give a Hub name as owner/name"


def _describe_folder(where: Path, name: str) -> str:
    """Return the data files in a folder, and a folder in it with a name similar to `name`."""
    known = _EXTENSIONS.keys() | COMPRESSIONS
    near = sorted(p.name for p in where.iterdir() if p.suffix in known and p.exists())
    hint = f"data files there: {', '.join(near[:5])}" if near else "no data file is in this folder"
    return hint + did_you_mean(name, (p.name for p in where.iterdir() if p.is_dir()))


def _file_source(name: str) -> Source:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"{name!r}: the file's name is not UTF-8; rename the file") from error
    suffixes = ["", "", *(suffix.lower() for suffix in Source(name, "").path.suffixes)]
    compression = COMPRESSIONS.get(suffixes[-1], "")
    kind = _kind_of(name, suffixes[-2] if compression else suffixes[-1])
    source = Source(name, kind, compression)
    if kind in ("json", "jsonl"):
        with contextlib.suppress(*BROKEN):  # its reader reports the problem
            return replace(source, format=_detect_json_kind(_first_bytes(source, _HEAD)))
    return source


def _kind_of(name: str, extension: str) -> str:
    """Return the kind of a file by its extension. Raises `DataError` for an unknown extension."""
    if extension in _SPREADSHEETS:
        raise DataError(
            f"{name}: a spreadsheet, found {extension}; save it as CSV (Save as, CSV UTF-8) "
            "and name that file"
        )
    if extension in _ARCHIVES:
        raise DataError(f"{name}: packed as {extension}; unpack it, and name the files in it")
    if extension not in _EXTENSIONS:
        known = ", ".join(_EXTENSIONS)
        raise DataError(
            f"{name}: unknown file type {extension or '(no extension)'}; "
            f"known are {known}, each also with .gz or .zst; rename or convert the file"
        )
    return _EXTENSIONS[extension]


def _detect_json_kind(first: bytes) -> str:
    """Return the kind by content, because many `.json` files have JSON lines."""
    if first.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
        return "json"
    return "squad" if is_squad(first) else "jsonl"


def _first_bytes(source: Source, n: int = 4096) -> bytes:
    with open_binary(source) as stream:
        return stream.read(n)


def source_problem(source: Source) -> str:
    """Return why a source cannot be read at all; "" if it can."""
    if source.format == "hub":
        return ""
    try:
        if source.path.stat().st_size == 0:
            return "the file is empty (0 bytes); nothing to read"
        if source.format in ("parquet", "arrow"):
            return table_problem(source)
        first = _first_bytes(source)
    except BROKEN as error:
        return f"cannot be read: {error}; check the file"
    if first.startswith((b"\xff\xfe", b"\xfe\xff")):
        return (
            "the text is UTF-16, not UTF-8; convert it: "
            f"iconv -f UTF-16 -t UTF-8 {source.name} > NEW"
        )
    kind, ending = find_sign(first)
    return kind and f"found {kind}, not text; rename the file so that it ends in {ending}"


def read_rows(source: Source, *, parse: bool = True) -> Iterator[RawRow]:
    """Return every row of the source in order. A bad row has `error` instead of `value`.

    With `parse` off, rows of JSON lines and of nested files have only their bytes and places.
    Raises `DataError` only for a dataset of the Hub.
    """
    if problem := source_problem(source):
        return iter([broken_source(source, 0, None, problem)])
    match source.format:
        case "jsonl":
            return read_json_lines(source, parse=parse)
        case "json":
            return read_json_array(source)
        case "squad":
            return read_squad(source, parse=parse)
        case "csv":
            return read_csv(source)
        case "parquet" | "arrow":
            return read_table(source)
        case _:
            return read_hub(source)


def first_rows(source: Source, n: int) -> list[RawRow]:
    """Return the first `n` rows, or fewer when they are large."""
    rows, size = [], 0
    for raw in itertools.islice(read_rows(source), n):
        rows.append(raw)
        size += raw.size
        if size > _FIRST_BYTES:
            break
    return rows


def spread_rows(source: Source, n: int) -> list[dict[str, Any]]:
    """About `n` rows from eight places, the same places each time; [] where this is slow.

    It is fast in JSON Lines that are not compressed, and in Parquet with several row groups.
    Rows that cannot be read are left out.
    """
    if source.format == "jsonl" and not source.compression:
        return list(spread_lines(source, n))
    return list(spread_groups(source, n)) if source.format == "parquet" else []


def count_rows(source: Source, most: int | None = None) -> int | None:
    """Return the number of rows, good and bad, parsed only where necessary.

    Where rows are read to count them, no more than `most` are. None when it is unknown.
    """
    if source.format == "hub":
        return count_hub_rows(source)
    if source.format in ("parquet", "arrow"):
        return count_table_rows(source)
    return sum(1 for _ in itertools.islice(read_rows(source, parse=False), most))


def fingerprint_source(source: Source) -> dict[str, Any]:
    """Name, size and hash of a file; name, subset and split of a Hub dataset."""
    record: dict[str, Any] = {"name": source.name, "format": source.format}
    if source.format == "hub":
        return record | {"subset": source.subset, "split": source.split}
    try:
        size, digest = source.path.stat().st_size, file_digest(source.path)
    except OSError as error:
        raise DataError(f"{source.name}: cannot be read: {error}; check the file") from error
    return record | {"compression": source.compression, "bytes": size, "blake2b": digest}
