"""The README is true: its table is the schema's, its code runs, its commands exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ifcurate.storage.tables import COLUMNS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def kind_name(kind: Any) -> str:
    """A column's type in a word."""
    return getattr(kind, "__name__", None) or type(kind).__name__


def columns_table() -> str:
    """The README's table of columns, from the schema."""
    lines = ["| column | type | meaning |", "|---|---|---|"]
    for name, (kind, meaning) in COLUMNS.items():
        lines.append(f"| `{name}` | {kind_name(kind)} | {meaning} |")
    return "\n".join(lines)


def test_the_page_of_columns_is_the_schema() -> None:
    page = (ROOT / "docs" / "columns.md").read_text("utf-8")
    assert columns_table() in page


def speed_table() -> str:
    """The README's table of speed, from the benchmark's results."""
    from benchmarks.scoring.tables import readme_table

    return readme_table(json.loads((ROOT / "benchmarks/scoring/amd.json").read_text()))


def test_the_table_of_speed_is_the_benchmarks() -> None:
    found = re.search(r"<!-- speed -->\n(.*?)\n?<!-- /speed -->", README, re.DOTALL)
    assert found
    assert found[1].strip() == speed_table()


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_the_library_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(code, {})
    assert "82 kept" in capsys.readouterr().out


def test_every_file_that_is_linked_is_there() -> None:
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_every_command_and_make_target_exists() -> None:
    from importlib import import_module

    from ifcurate.engines.load import ENGINES

    names = set(import_module("ifcurate.cli.commands").COMMANDS)
    assert names >= {"score", "filter", "augment", "merge"}
    assert set(re.findall(r"^ifcurate (\w+)", README, re.MULTILINE)) <= names
    assert set(re.findall(r"`ifcurate (\w+)", README)) <= names
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"\bmake ([a-z-]+)", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    assert "hf" in ENGINES


if __name__ == "__main__":  # writes the tables into the README and the page of columns
    tables = (
        ("README.md", "speed", speed_table()),
        ("docs/columns.md", "columns", columns_table()),
    )
    for file, name, table in tables:
        text = (ROOT / file).read_text("utf-8")
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        found = pattern.search(text)
        assert found
        new = text.replace(found[0], found[1] + table + "\n" + found[2])
        (ROOT / file).write_text(new, "utf-8")
