"""What the commands say: no hint between the steps of a recipe, near names, one row."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from tests.cli.test_cli import Command, ifcurate
from tests.conftest import ANSWERED_ROWS, write_jsonl

__all__ = ["ifcurate"]  # the fixture

RECIPE = """
data: {paths: [a.jsonl]}
score: {engine: toy}
split: {rule: paper}
filter: {keep: context-critical}
"""


@pytest.fixture
def data(folder: Path) -> Path:
    rows = [{**ANSWERED_ROWS[i % 5], "instruction": f"Question {i}?"} for i in range(50)]
    return write_jsonl(folder / "a.jsonl", rows)


def test_a_recipe_has_no_hints_between_its_steps(
    ifcurate: Command, data: Path, folder: Path
) -> None:
    (folder / "r.yaml").write_text(RECIPE)
    assert "next    ifcurate split" in ifcurate("score a.jsonl --engine toy").out
    assert "next   ifcurate filter" in ifcurate("split").out
    whole = ifcurate("run r.yaml --out other")
    assert whole.code == 0, whole.err
    assert "around the cut" in whole.out
    assert "kept" in whole.out
    assert "next" not in whole.out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("score a.jsonl --model ./pockett", "did you mean pocket?"),
        ("score a.jsonl --model pockett", "did you mean pocket?"),
        ("score a.jsonl --engine toy --template alpacca", "did you mean alpaca?"),
    ],
)
def test_a_name_that_is_near(line: str, said: str, ifcurate: Command, data: Path) -> None:
    result = ifcurate(line)
    assert result.code == 1
    assert said in result.err


def test_one_row_is_one_row(ifcurate: Command, folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", ANSWERED_ROWS[:1])
    assert "1 row; 1 with a context (100.0%)" in ifcurate("inspect a.jsonl").out
    (folder / "b.jsonl").write_text("nothing\n")
    assert "b.jsonl: its one row cannot be read: invalid JSON" in ifcurate("inspect b.jsonl").err


def test_defaults_of_options_are_those_of_the_command() -> None:
    """A command may start from other defaults than its option model: augment reads all turns."""
    load = import_module("ifcurate.cli.commands").load_command
    help_of = {
        name: next(p.help for p in load(name).params if p.name == "turns")
        for name in ("score", "inspect", "augment")
    }
    shown = {name: text.rpartition("Default: ")[2] for name, text in help_of.items()}
    assert shown == {"score": "last.", "inspect": "last.", "augment": "all."}


def test_a_run_on_the_bundled_data_ends_with_its_truth_and_the_report(
    ifcurate: Command, folder: Path
) -> None:
    paths = '"demo:alpaca.jsonl", "demo:chats.jsonl"'
    recipe = RECIPE.replace("a.jsonl", paths)
    (folder / "r.yaml").write_text(f"{recipe}report: {{examples: 5}}\n")
    lines = ifcurate("run r.yaml --out run").out.splitlines()
    assert lines[-1] == "page     run/report.html"
    (said,) = [
        i for i, line in enumerate(lines) if " rows with a context have the right label" in line
    ]
    *rows, blank = lines[said + 1 : -1]
    kinds = [row.split()[0] for row in rows]
    assert list(dict.fromkeys(kinds)) in (["kept", "dropped"], ["kept", "dropped", "wrong"])
    n_right, n = (int(word.replace(",", "")) for word in lines[said].split()[:3:2])
    assert kinds.count("wrong") == min(4, n - n_right)
    assert blank == ""


def test_runs_have_names_that_can_be_copied_in_a_narrow_window(
    ifcurate: Command, data: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    (folder / "nightly.yaml").write_text(RECIPE)
    assert ifcurate("run nightly.yaml -q").code == 0
    ifcurate("score a.jsonl --engine toy --template plain --limit 3 -q")
    (recipe_run,) = folder.glob("ifcurate-runs/nightly--*")  # the name of the recipe
    lines = ifcurate("runs").out.splitlines()
    assert recipe_run.name in lines
    assert "a.jsonl, scored by toy, limit 3; finished" in " ".join(" ".join(lines).split())
    monkeypatch.delenv("TTY_COMPATIBLE")  # a pipe has columns of any width
    header, *rows = ifcurate("runs").out.splitlines()
    assert header.startswith("date ")
    assert sum(f"  {recipe_run.name}  " in row for row in rows) == 1
    assert "(the newest here over all rows)" in ifcurate("split -q").err
    ifcurate("split --rule gain --as strict -q")
    assert any(row.split()[:2] == ["gain", "(strict)"] for row in ifcurate("runs").out.splitlines())
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    assert "; rule gain (strict), " in " ".join(ifcurate("runs").out.split())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("split --rule gian", "did you mean gain?"),
        ("split --threshold abc", "'--threshold': must be a number (found 'abc')"),
        ("score a.jsonl --name a/b", "'a/b': not a valid name; use letters"),
        ("inspect a.jsonl --limit 0", "must be at least 1 (found '0')"),
        ("filter RUN --keep context-critical", "(RUN); name a run with --run RUN"),
    ],
)
def test_a_usage_error_says_what_is_expected(ifcurate: Command, line: str, said: str) -> None:
    result = ifcurate(line)
    assert result.code == 2
    assert said in " ".join(result.err.replace("│", " ").split())


def test_a_recipe_is_copied_into_a_folder_and_replaced_when_asked(
    ifcurate: Command, folder: Path
) -> None:
    (folder / "mine").mkdir()
    copied = ifcurate("recipes copy qa mine")
    assert copied.out.splitlines() == ["recipe mine/qa.yaml", "next   ifcurate run mine/qa.yaml"]
    (folder / "mine" / "qa.yaml").write_text("edited")
    refused = ifcurate("recipes copy qa mine")
    assert refused.code == 1
    assert "mine/qa.yaml: exists already; give --overwrite to replace it" in refused.err
    assert ifcurate("recipes copy qa mine --overwrite").code == 0
    assert (folder / "mine" / "qa.yaml").read_text() == ifcurate("recipes show qa").out


def test_each_help_has_an_example_in_its_own_lines() -> None:
    commands = import_module("ifcurate.cli.commands")
    without = set()
    for name in commands.COMMANDS:
        command = commands.load_command(name)
        parts = getattr(command, "commands", {"": command})
        without |= {f"{name} {p}".strip() for p, one in parts.items() if "```" not in one.help}
    assert without == {"runs", "recipes list", "cards list", "models"}


@pytest.mark.parametrize("command", ["score", "evaluate", "inspect", "mix"])
def test_a_narrow_help_cuts_nothing(
    ifcurate: Command, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    shown = ifcurate(f"{command} --help").out
    assert "…" not in shown
    assert ("--out" in shown) == ("-o" in shown.split())


def test_an_interrupt_before_a_run_promises_nothing(
    ifcurate: Command, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*given: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ifcurate.scoring.opening.open_engine", interrupt)
    result = ifcurate(f"score {data} --engine toy")
    assert result.code == 130
    assert result.err.splitlines()[-1] == "error: interrupted"
