"""Rows from files of every kind, with their places and their bytes."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import polars as pl
import pytest
import zstandard
from hypothesis import given, settings, strategies as st

from ifcurate.data.readers.rows import count_rows, open_sources, read_rows
from ifcurate.data.sources import read_examples
from ifcurate.data.writing import open_row_writer
from ifcurate.errors import DataError
from tests.conftest import ALPACA_ROWS, write_jsonl


def rows_of(path: Path) -> list[dict[str, object] | None]:
    (source,) = open_sources(path)
    return [row.value for row in read_rows(source)]


def write_as(kind: str, path: Path) -> Path:
    path = path / f"rows.{kind}"
    text = "".join(json.dumps(row) + "\n" for row in ALPACA_ROWS)
    if kind == "jsonl":
        path.write_text(text)
    elif kind == "jsonl.gz":
        path.write_bytes(gzip.compress(text.encode()))
    elif kind == "jsonl.zst":
        path.write_bytes(zstandard.compress(text.encode()))
    elif kind == "json":
        path.write_text(json.dumps(ALPACA_ROWS, indent=2))
    elif kind == "json.gz":
        path.write_bytes(gzip.compress(json.dumps(ALPACA_ROWS).encode()))
    elif kind == "csv":
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(ALPACA_ROWS[0]))
            writer.writeheader()
            writer.writerows(ALPACA_ROWS)
    elif kind == "parquet":
        pl.DataFrame(ALPACA_ROWS).write_parquet(path)
    return path


@pytest.mark.parametrize(
    "kind", ["jsonl", "jsonl.gz", "jsonl.zst", "json", "json.gz", "csv", "parquet"]
)
def test_every_format_gives_the_same_rows(kind: str, tmp_path: Path) -> None:
    assert rows_of(write_as(kind, tmp_path)) == ALPACA_ROWS


def test_json_lines_in_a_json_file_are_noticed(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.json", ALPACA_ROWS)
    assert rows_of(path) == ALPACA_ROWS


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(ALPACA_ROWS[0]).encode() + b"\r\n")
    assert rows_of(path) == ALPACA_ROWS[:1]


def test_bad_lines_have_place_and_reason_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n\n{"a": \n[1]\n\xff\n{"a": 2}\n')
    (source,) = open_sources(path)
    rows = list(read_rows(source))
    assert [row.value for row in rows] == [{"a": 1}, None, None, None, {"a": 2}]
    assert [row.number for row in rows] == [0, 1, 2, 3, 4]
    assert [row.line for row in rows] == [1, 3, 4, 5, 6]
    assert "invalid JSON" in rows[1].error
    assert "found list" in rows[2].error
    assert "not UTF-8" in rows[3].error


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (b'[{"a": 1}, {"a": ]', "invalid JSON"),
        (b'[{"a": 1} {"a": 2}]', "expected ','"),
        (b'[{"a": 1}', "expected ',' or ']'"),
        (b'[{"a": 1},', "not closed"),
    ],
)
def test_a_broken_array_keeps_what_came_before(tail: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(tail)
    (source,) = open_sources(path)
    rows = list(read_rows(source))
    assert rows[0].value == {"a": 1}
    assert len(rows) == 2
    assert reason in rows[1].error


def test_a_truncated_gzip_keeps_what_came_before(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(b'{"a": %d}\n' % (i * 7919 % 10007) for i in range(5000)))
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(whole[: len(whole) * 3 // 4])
    (source,) = open_sources(path)
    rows = list(read_rows(source))
    assert len(rows) > 100
    assert all(row.value for row in rows[:-1])
    assert "breaks off" in rows[-1].error


def test_a_csv_row_of_another_width_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('instruction,output\n"a\nb",c\nonly-one\nd,e\n')
    (source,) = open_sources(path)
    rows = list(read_rows(source))
    assert [row.value is not None for row in rows] == [True, False, True]
    assert rows[0].value == {"instruction": "a\nb", "output": "c"}
    assert [row.line for row in rows] == [2, 4, 5]


def test_a_csv_with_semicolons_is_read_and_its_rows_are_copied(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('\n"instruction, in short";output\n"a, or; b?";c, then d\ne;f\n')
    (source,) = open_sources(path)
    first, second = read_rows(source)
    assert first.value == {"instruction, in short": "a, or; b?", "output": "c, then d"}
    with open_row_writer(source, tmp_path / "kept.csv") as write:
        write(second)
    assert (tmp_path / "kept.csv").read_text() == '"instruction, in short";output\ne;f\n'


def test_a_csv_whose_header_is_not_utf8_says_so_once(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes("instruction,output,année\na,b,c\nd,e,f\n".encode("cp1252"))
    with pytest.raises(DataError) as caught:
        read_examples(path)
    assert str(caught.value) == (
        f"{path}: cannot be read: not UTF-8 (byte 22 of the row); convert the file to UTF-8"
    )


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.jsonl", b"", "empty"),
        ("rows.xml", b"<a/>", "unknown file type"),
        ("rows.jsonl", "{}".encode("utf-16"), "UTF-16"),
        ("rows.jsonl.gz", b"not gzip at all", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_data(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        open_sources(tmp_path / name)


def test_missing_files_folders_and_patterns(folder: Path) -> None:
    write_jsonl(folder / "alpaca.jsonl", ALPACA_ROWS)
    with pytest.raises(DataError, match=r"no such file; data files there: alpaca.jsonl"):
        open_sources("alpca.jsonl")
    assert [source.path.name for source in open_sources(folder)] == ["alpaca.jsonl"]
    with pytest.raises(DataError, match="no file matches"):
        open_sources("*.parquet")
    with pytest.raises(DataError, match="no data"):
        open_sources([])


@pytest.mark.parametrize("name", ["demo", "demo:other.jsonl"])
def test_the_bundled_data_are_named(name: str) -> None:
    with pytest.raises(DataError, match=r"the bundled data are demo:alpaca\.jsonl, demo:chats"):
        open_sources(name)


@pytest.mark.parametrize(
    "given",
    [["a.jsonl", "a.jsonl"], ["*.jsonl", "a.jsonl"], ["a.jsonl", "./a.jsonl"], ["x/y", "x/y"]],
)
def test_what_is_given_twice_is_refused(given: list[str], folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", ALPACA_ROWS)
    with pytest.raises(DataError, match=r"given twice.*name it once"):
        open_sources(given)


def test_globs_are_sorted_and_a_hub_name_is_distinguished_from_a_file(folder: Path) -> None:
    for name in ("b.jsonl", "a.jsonl"):
        write_jsonl(folder / name, ALPACA_ROWS)
    found = open_sources(["*.jsonl", "tatsu-lab/alpaca"])
    assert [(s.name, s.format) for s in found] == [
        ("a.jsonl", "jsonl"),
        ("b.jsonl", "jsonl"),
        ("tatsu-lab/alpaca", "hub"),
    ]
    with pytest.raises(DataError, match="no such file"):
        open_sources("data/alpaca.jsonl")


def test_a_hub_dataset_without_network_says_what_to_do() -> None:
    (source,) = open_sources("nobody-at-all/nothing")
    with pytest.raises(DataError, match="Hub dataset nobody-at-all/nothing: cannot be loaded"):
        list(read_rows(source))


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "csv", "parquet"])
def test_rows_are_counted_without_parsing(kind: str, tmp_path: Path) -> None:
    (source,) = open_sources(write_as(kind, tmp_path))
    counted = count_rows(source)
    assert counted == len(ALPACA_ROWS)


def test_neither_blank_lines_nor_line_ends_in_cells_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('\n{"a": 1}\n \r\n{"a": "\\"2"}')
    (tmp_path / "a.csv").write_text('a,b\n1,"x\n\ny ""z"""\n\n2,3\n"4\n","5"')
    assert [count_rows(open_sources(tmp_path / f"a.{k}")[0]) for k in ("jsonl", "csv")] == [2, 3]
    assert count_rows(open_sources(tmp_path / "a.csv")[0], most=2) == 2


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=300))
def test_no_bytes_at_all_break_the_reader(content: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        for kind in ("jsonl", "json", "csv"):
            path = Path(name, f"rows.{kind}")
            path.write_bytes(content)
            try:
                (source,) = open_sources(path)
                rows = list(read_rows(source))
            except DataError:
                continue
            assert all((row.value is None) == bool(row.error) for row in rows)
