"""The documentation builds, the examples run, and CONTRIBUTING names what is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ifcurate

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "-d", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    reference = (tmp_path / "reference" / "index.html").read_text("utf-8")
    assert "split_scores" in reference
    assert "For paper and both: the share of rows" in reference  # an option of split_scores


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        assert str(page.relative_to(ROOT / "docs")) in navigation


@pytest.mark.slow
@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(script: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") >= 3


def test_contributing_names_rooms_and_files_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    for room, start in re.findall(r"^\| `(\w+)/` \|[^|]+\| `(\w+\.py)` \|", text, re.MULTILINE):
        assert (ROOT / "ifcurate" / room / start).is_file(), f"{room}/{start}"
    rooms = {path.parent.name for path in (ROOT / "ifcurate").glob("*/__init__.py")}
    assert rooms == set(re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE))
    for path in re.findall(r"`((?:ifcurate|tests|cli)/[\w/.]+)`", text):
        assert (ROOT / path).exists(), path
    names = re.findall(r"`(\w+)`(?: there)?,? in\s+`(ifcurate/[\w/]+\.py)`", text)
    assert len(names) >= 6
    for name, path in names:
        assert re.search(rf"(?m)^(def |class )?{name}\b", (ROOT / path).read_text("utf-8")), name


def test_the_library_page_has_every_public_name() -> None:
    text = (ROOT / "docs" / "reference.md").read_text("utf-8")
    shown = set(re.findall(r"^::: (ifcurate[\w.]+)$", text, re.MULTILINE))
    homes = {name: f"{getattr(ifcurate, name).__module__}.{name}" for name in ifcurate.__all__}
    missing = {n for n, home in homes.items() if home not in shown and "errors" not in home}
    assert missing == set()
