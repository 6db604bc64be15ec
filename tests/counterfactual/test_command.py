"""`ifcurate augment` as a person types it."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from tests.conftest import write_jsonl

from .making import qca
from .test_output import MARTHA, SORT


def run(*arguments: str) -> Any:
    entry = next(e for e in metadata.entry_points(group="console_scripts") if e.name == "ifcurate")
    main = entry.load()
    app = main.__globals__["app"]
    return CliRunner().invoke(app, list(arguments))


def test_the_command(folder: Path) -> None:
    write_jsonl(folder / "data.jsonl", [MARTHA, SORT])
    done = run("augment", "--entity-substitution", "data.jsonl", "--sample", "1", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["funnel"]["written"] == 1
    assert (folder / "augmented" / "review.html").exists()
    shown = run("augment", "--entity-substitution", "data.jsonl", "--out", "o")
    assert "rows written" in shown.stdout
    assert "1  the task depends on the entity itself: rewriting, code, sums (H14)" in shown.stdout
    assert run("augment", "data.jsonl", "--out", "o").exit_code == 0  # the same, the default
    other = run("augment", "data.jsonl", "--out", "o", "--seed", "1")
    assert other.exit_code == 1
    assert "--overwrite" in other.output
    assert run("augment", "--entity-substitution", "data.jsonl", "--types", "X").exit_code == 2


def test_rows_that_cannot_be_used_are_reported(folder: Path) -> None:
    lines = (json.dumps(MARTHA), "{nothing", json.dumps(SORT)[:-9])
    (folder / "data.jsonl").write_text("\n".join(lines), "utf-8")
    done = run("augment", "--entity-substitution", "data.jsonl")
    assert done.exit_code == 1
    assert "2  of them cannot be used" in done.stdout
    assert "not read to the end: data.jsonl: invalid JSON" in done.stderr
    manifest = json.loads((folder / "augmented" / "augment.json").read_text("utf-8"))
    assert len(manifest["broken_inputs"]) == 1
    allowed = "--fail-on-error false"
    assert run("augment", "--entity-substitution", "data.jsonl", *allowed.split()).exit_code == 0
    checked = run("augment", "--check", "data.jsonl")
    assert checked.exit_code == 1
    assert (
        "3 rows read, 1 of them with a context and an answer, 2 that cannot be used"
        in checked.stdout
    )


def test_a_run_is_augmented_with_the_contexts_that_were_scored(folder: Path) -> None:
    prompt = f"Consider <<{MARTHA['input']}>> and say who opened it."
    write_jsonl(folder / "data.jsonl", [{"prompt": prompt, "completion": "Martha"}])
    regex = ("--context-regex", "<<(?P<context>.*)>>")
    assert run("score", "data.jsonl", "--engine", "toy", "-q", *regex).exit_code == 0
    assert json.loads(run("augment", "--json").stdout)["funnel"]["written"] == 1


def test_options_that_write_are_refused_with_check(folder: Path) -> None:
    write_jsonl(folder / "data.jsonl", [MARTHA])
    refused = run("augment", "--check", "data.jsonl", "--seed", "3", "--out", "o")
    assert refused.exit_code == 2
    assert "leave out --out, --seed" in " ".join(refused.output.replace("│", " ").split())


def test_the_command_checks_a_file(folder: Path) -> None:
    bad = qca("Kevin Kemp wrote it. Shelley was 18.", "Who wrote it?", "Kevin Kemp", "Mary Shelley")
    write_jsonl(folder / "bad.jsonl", [bad])
    found = run("augment", "--check", "bad.jsonl")
    assert found.exit_code == 1
    assert "H1: 'shelley' is left" in found.stdout
    write_jsonl(folder / "good.jsonl", [qca("Kevin Kemp wrote it.", "Who?", "Kevin Kemp")])
    assert run("augment", "--check", "good.jsonl").exit_code == 0
