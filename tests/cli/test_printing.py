"""What data, names and servers hold is shown as text, wherever it is printed."""

from __future__ import annotations

import json
import re
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from tests.conftest import ALPACA_ROWS, write_jsonl

(ENTRY,) = metadata.entry_points(group="console_scripts", name="ifcurate")
ROOT = Path(__file__).resolve().parents[2]
# An escape sequence, C1's own introducer, a right-to-left override, a bell, a line separator.
EVIL = "x\x1b[31m\x9b31m\u202egnp\u2066\a\u2028y"
STEERS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class Said(NamedTuple):
    code: int
    text: str  # stdout and stderr


def ifcurate(*arguments: str, encoding: str = "utf-8") -> Said:
    """Run a command line; what it prints holds nothing that steers a terminal."""
    found = ENTRY.load().__globals__["app"]
    result = CliRunner(charset=encoding).invoke(found, arguments, prog_name="ifcurate")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    said = (result.stdout_bytes + result.stderr_bytes).decode(encoding)
    assert not STEERS.findall(said)
    assert "this should not happen" not in said
    return Said(result.exit_code, said)


def test_nothing_prints_beside_the_one_door() -> None:
    call = re.compile(
        r"(?<![\w.])(print|echo|Console|secho)\(|typer\.s?echo|sys\.std(out|err)\.write"
    )
    wrong = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for folder in ("cli", "ifcurate")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path.name not in ("printing.py", "commands.py")  # the door, and our own help
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if call.search(line)
    ]
    assert wrong == []


@pytest.fixture
def evil(folder: Path) -> Path:
    """A file whose name, ids, keys and texts would steer a terminal."""
    rows = [
        {**row, "id": f"{EVIL}{i}", "input": f"{EVIL} is it."} for i, row in enumerate(ALPACA_ROWS)
    ]
    return write_jsonl(folder / f"{EVIL}.jsonl", [*rows, {EVIL: 1}])


def test_every_command_shows_names_and_rows_as_text(evil: Path, folder: Path) -> None:
    name, toy = evil.name, ("--engine", "toy", "--fail-on-error", "false")
    out = EVIL.replace("[", "")
    assert "x�[31m�31m�gnp��" in ifcurate("inspect", name).text
    found = ifcurate("inspect", name, "--json").text
    assert list(json.loads(found)["formats"]) == [name]
    ifcurate("score", name, *toy, "--out", out)
    ifcurate("score", name, *toy, "--out", out, "--json")
    ifcurate("split", "--run", out)
    ifcurate("filter", "--run", out, "--keep", "context-critical")
    ifcurate("inspect", f"no{name}")
    ifcurate("inspect", f"--{EVIL}")
    ifcurate("inspect", name, "--format", EVIL)
    ifcurate(EVIL)


def test_what_a_template_says_is_shown_as_text(evil: Path, folder: Path) -> None:
    said = json.dumps(EVIL)
    Path("t.jinja").write_text(
        "{% if instruction != 'Instruct.' %}{{ raise_exception("
        + said
        + ") }}{% endif %}{{ response }}"
    )
    line = ("score", evil.name, "--engine", "toy", "--template", "t.jinja", "--out", "run")
    assert "x�[31m" in ifcurate(*line).text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_unicode_is_no_error(encoding: str, folder: Path) -> None:
    write_jsonl(folder / "é.jsonl", [{**row, "id": f"ž {i}"} for i, row in enumerate(ALPACA_ROWS)])
    for line in (
        ("inspect", "é.jsonl"),
        ("inspect", "é.jsonl", "--json"),
        ("score", "é.jsonl", "--engine", "toy", "--fail-on-error", "false", "--out", "run"),
        ("split", "--run", "run", "--rule", "gain"),
    ):
        result = ifcurate(*line, encoding=encoding)
        assert result.code == 0, result.text


def test_half_a_surrogate_pair_in_a_key_is_named(folder: Path) -> None:
    (folder / "a.jsonl").write_text('{"\\ud800": 1}\n')
    result = ifcurate("inspect", "a.jsonl")
    assert result.code == 1
    assert "found the columns" in result.text
    (folder / "b.jsonl").write_text(json.dumps({**ALPACA_ROWS[0], "\ud800": 1}))
    assert ifcurate("inspect", "b.jsonl").text
    ifcurate("inspect", "b.jsonl", "--json")
