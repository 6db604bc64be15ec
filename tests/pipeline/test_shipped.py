"""Every shipped recipe from end to end, with the bundled model on a few rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ifcurate.mixing.verify import verify_mixture
from ifcurate.pipeline.loading import list_recipes, load_recipe
from ifcurate.pipeline.running import RecipeRun, run_recipe
from ifcurate.pocket import demo_path
from tests.conftest import write_jsonl


def demo_rows(n: int) -> list[dict[str, Any]]:
    lines = (demo_path() / "alpaca.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines[:n]]


def questions(folder: Path) -> Path:
    rows = [
        {"question": r["instruction"], "context": r["input"], "answers": {"text": [r["output"]]}}
        for r in demo_rows(40)
    ]
    return write_jsonl(folder / "squad.jsonl", rows)


def tool_chats(folder: Path) -> Path:
    rows = []
    for row in demo_rows(40):
        call = {"name": "find", "arguments": {"what": row["instruction"]}}
        turns = [
            ("human", row["instruction"]),
            ("function_call", json.dumps(call)),
            ("observation", row["input"] or "nothing"),
            ("gpt", row["output"]),
        ]
        tools = json.dumps([{"name": "find", "parameters": {}}])
        said = [{"from": who, "value": text} for who, text in turns]
        rows.append({"conversations": said, "tools": tools})
    return write_jsonl(folder / "tools.jsonl", rows)


def pairs(folder: Path) -> Path:
    rows = []
    for row in demo_rows(40):
        prompt = f"{row['instruction']}\n\nPassage: {row['input']}"
        asked = {"role": "user", "content": prompt}
        chosen, rejected = ({"role": "assistant", "content": t} for t in (row["output"], "No."))
        pair = {"chosen": [asked, chosen], "rejected": [asked, rejected]}
        rows.append({"prompt": prompt, **pair})
    return write_jsonl(folder / "pairs.jsonl", rows)


def demo(name: str) -> Callable[[Path], str]:
    return lambda _: f"demo:{name}.jsonl"


DATA: dict[str, Callable[[Path], Path | str]] = {
    "alpaca": demo("alpaca"),
    "counterfactual": demo("alpaca"),
    "preference": pairs,
    "qa": questions,
    "qk-only": demo("alpaca"),
    "tools": tool_chats,
    "tulu": demo("chats"),
    "ultrachat": demo("chats"),
}


def run(name: str, folder: Path, *changes: str) -> RecipeRun:
    data = DATA[name](folder)
    path = data.name if isinstance(data, Path) else data
    given = [f"data.paths=['{path}']", "score.model=pocket", "report.examples=20", *changes]
    return run_recipe(load_recipe(name, given))


def test_every_shipped_recipe_is_run_by_a_test() -> None:
    assert set(list_recipes()) == {*DATA, "demo"}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(DATA))
def test_a_shipped_recipe_runs_from_end_to_end(name: str, folder: Path) -> None:
    done = run(name, folder)
    assert done.skipped == []
    assert done.mixture is not None
    assert done.mixture.folder is not None
    assert done.mixture.n_rows > 0
    found = verify_mixture(done.mixture.folder)
    assert found.whole, found.problems
    assert done.exported is not None
    assert done.exported.manifest.counts["left_out"] == 0
    assert done.exported.manifest.counts["written"] == done.mixture.n_rows
    assert done.report is not None
    assert done.report.stat().st_size > 10_000
    card = (done.mixture.folder / "README.md").read_text()
    assert "pocket" in card
    assert "non-context-critical" in card
    again = run(name, folder)
    steps = ("score", "split", "filter", "augment", "mix", "card", "export", "report")
    recipe = load_recipe(name)
    assert again.skipped == [
        step for step in steps if step == "card" or getattr(recipe, step) is not None
    ]
    CHECKS.get(name, lambda _: None)(done)


def check_counterfactual(done: RecipeRun) -> None:
    assert done.mixture is not None
    counts = done.mixture.manifest.counts
    assert 0 < counts["rows:counterfactual"] <= 0.1 * counts["rows:kept"] + 0.5


def check_qk_only(done: RecipeRun) -> None:
    assert done.exported is not None
    config = yaml.safe_load((done.exported.folder / "axolotl.yaml").read_text())
    assert config["unfrozen_parameters"] == ["model.layers.[0-9]+.self_attn.[qk]_proj."]


def check_preference(done: RecipeRun) -> None:
    assert done.exported is not None
    row = json.loads(done.exported.data.read_text().splitlines()[0])
    assert set(row) == {"prompt", "chosen", "rejected"}


def check_tools(done: RecipeRun) -> None:
    assert done.exported is not None
    row = json.loads(done.exported.data.read_text())[0]
    assert [turn["from"] for turn in row["conversations"]] == [
        "human",
        "function_call",
        "observation",
        "gpt",
    ]


CHECKS = {
    "counterfactual": check_counterfactual,
    "preference": check_preference,
    "qk-only": check_qk_only,
    "tools": check_tools,
}
