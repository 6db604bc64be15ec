"""What a person must not miss: stale data, runs without a score, and options in their order."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.test_cli import Command, ifcurate
from tests.conftest import ANSWERED_ROWS, write_jsonl

__all__ = ["ifcurate"]  # the fixture

BARE = [{"instruction": f"Name a bird, number {i}.", "output": "A heron."} for i in range(3)]


@pytest.fixture
def data(folder: Path) -> Path:
    return write_jsonl(folder / "a.jsonl", ANSWERED_ROWS * 4)


@pytest.fixture
def stale(ifcurate: Command, data: Path, folder: Path) -> Path:
    """A folder that was filtered by an earlier split."""
    ifcurate("score a.jsonl --engine toy -q --out run")
    ifcurate("split --rule gain --threshold 0.0 -q --run run")
    assert ifcurate("filter --keep context-critical -q --run run").code == 0
    again = ifcurate("split --rule gain --threshold 0.1 -q --run run")
    assert "was filtered by an earlier split" in again.err  # with -q too
    return folder / "run" / "filtered" / "keep-context-critical"


def test_a_mixture_of_stale_rows_has_a_note(ifcurate: Command, stale: Path, folder: Path) -> None:
    parts = (f"new={stale}", f"file={stale / 'kept' / 'a.jsonl'}")
    mixed = ifcurate("mix --duplicates keep --out mix -q", *parts)
    assert mixed.code == 0, mixed.err
    for name in ("new", "file"):
        assert f"{name}: {stale} is stale: the split was made again" in mixed.err
    made = json.loads((folder / "mix" / "mixture.json").read_text())
    assert sum("is stale" in note for note in made["notes"]) == 2
    exported = ifcurate("export mix --trainer trl -q")
    assert "is stale: the split was made again" in exported.err


def test_an_export_of_stale_rows_has_a_note(ifcurate: Command, stale: Path) -> None:
    exported = ifcurate(f"export {stale} --trainer messages --out export -q")
    assert exported.code == 0, exported.err
    (again,) = re.findall(r"filter again: ifcurate (.*)", exported.err)
    notes = json.loads(Path("export/export.json").read_text())["notes"]
    assert any("a filter that was out of date" in note for note in notes)
    assert ifcurate(again).code == 0  # the advice works
    fresh = ifcurate(f"export {stale} --trainer messages --out fresh -q")
    assert "stale" not in fresh.err


def test_a_mixture_says_what_of_its_rows_is_not_read(ifcurate: Command, folder: Path) -> None:
    asked = {"role": "user", "content": "Who keeps the mill?"}
    answer = {"role": "assistant", "content": "Ada.", "weight": 0}
    write_jsonl(folder / "chat.jsonl", [{"messages": [asked, answer]}])
    mixed = ifcurate("mix a=chat.jsonl --out mix")
    assert "a chat.jsonl: answers have weight 0" in mixed.err


def test_a_run_without_a_score_cannot_be_filtered(ifcurate: Command, folder: Path) -> None:
    write_jsonl(folder / "bare.jsonl", BARE)
    scored = ifcurate("score bare.jsonl --engine toy")
    assert scored.code == 1
    assert "`ifcurate inspect bare.jsonl`" in scored.err
    cut = ifcurate("split --json").json()
    assert cut["formula"].startswith("no row is context-critical, as there was nothing to cut")
    dropped = ifcurate("filter --drop non-context-critical")
    assert dropped.code == 1
    assert "no row was scored, so there is nothing to filter; found 3 no_context" in dropped.err
    assert ifcurate("runs --json").json()["runs"][0]["state"] == "no row scored"


def test_the_one_prompt_of_a_row_without_a_context_is_shown(
    ifcurate: Command, folder: Path
) -> None:
    write_jsonl(folder / "bare.jsonl", [{"id": "x", **BARE[0]}])
    ifcurate("score bare.jsonl --engine toy -q --template alpaca")
    shown = ifcurate("show x").out
    assert "no_context: no context was found" in shown
    assert "the one prompt" in shown
    assert "### Response:\n⟦A heron.⟧" in shown


def test_the_help_begins_with_what_most_people_need(ifcurate: Command) -> None:
    shown = ifcurate("score --help").out
    order = ["--model", "--engine", "--device", "--dtype", "--batch-size", "--template", "--limit"]
    order += ["--context ", "--out", "--base-url", "--num-engines", "--fail-on-error"]
    places = [shown.index(f"│ {name}") for name in order]
    assert places == sorted(places)
    for command in ("split", "mix", "augment"):
        shown = ifcurate(f"{command} --help").out
        assert shown.rindex("╭─") == shown.index("╭─ Messages and errors")


def test_a_report_takes_its_run_as_other_commands_do(ifcurate: Command, data: Path) -> None:
    ifcurate("score a.jsonl --engine toy -q --out run")
    assert ifcurate("report --run run").out.strip() == "page  run/report.html"
    assert ifcurate("report --run run -q").out.strip() == "run/report.html"
    both = ifcurate("report run --run run")
    assert both.code == 2
    assert "give one" in both.err


def test_a_summary_speaks_in_words_and_its_advice_can_be_pasted(
    ifcurate: Command, folder: Path
) -> None:
    ended = [{**row, "output": f"{row['output']}</s>"} for row in ANSWERED_ROWS if row["input"]]
    copied = {**ended[0], "instruction": f"{ended[0]['input']} {ended[0]['instruction']}"}
    write_jsonl(folder / "a.jsonl", [*ended, copied])
    scored = ifcurate("score a.jsonl --engine toy")
    assert scored.code == 0, scored.err
    assert "rows with an end-of-text marker that was not scored" in scored.out
    assert "end_marker_removed" not in scored.out
    assert "ifcurate split --max-overlap 0.6" in scored.out
    assert ifcurate("split --max-overlap 0.6").code == 0


def test_the_summary_does_not_claim_that_a_row_needs_its_context_when_none_does(
    ifcurate: Command, folder: Path
) -> None:
    row = {"instruction": "Say it.", "input": "Something else entirely.", "output": "Zzz."}
    write_jsonl(folder / "a.jsonl", [row, {**row, "output": "Qqq."}])
    scored = ifcurate("score a.jsonl --engine toy").out
    assert "largest gain; no context helps its response" in scored


def test_an_estimate_of_a_json_array_has_tokens_and_time(ifcurate: Command, folder: Path) -> None:
    rows = [{**ANSWERED_ROWS[i % 5], "instruction": f"Question [{i}]?"} for i in range(300)]
    write_jsonl(folder / "a.jsonl", rows)
    (folder / "a.json").write_text(json.dumps(rows, indent=1))
    (lines, array) = (
        ifcurate(f"score {name} --engine toy --estimate --json").json()
        for name in ("a.jsonl", "a.json")
    )
    for name in ("rows", "rows_read", "scored", "tokens"):
        assert lines[name] == array[name], name
    assert array["rows"] == 300
    assert array["seconds"] > 0
