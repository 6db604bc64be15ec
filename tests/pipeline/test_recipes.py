"""Recipes: each that ships is valid, runs where its data is, and mistakes are named."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

from ifcurate.errors import DataError, RecipeError
from ifcurate.pipeline.loading import list_recipes, load_recipe
from ifcurate.pipeline.recipe import Recipe
from ifcurate.pipeline.running import run_recipe
from tests.conftest import ALPACA_ROWS, write_jsonl

RECIPE: dict[str, Any] = {
    "data": {"paths": ["alpaca.jsonl"]},
    "score": {"engine": "toy", "template": "alpaca"},
    "split": {"rule": "paper", "fraction": 0.5},
    "filter": {"keep": "context-critical"},
}


def write(recipe: dict[str, Any], path: Path) -> str:
    path.write_text(yaml.safe_dump(recipe))
    return str(path)


def test_every_recipe_that_ships_is_valid() -> None:
    names = list_recipes()
    assert {"demo", "alpaca"} <= set(names)
    for name, description in names.items():
        assert description
        assert isinstance(load_recipe(name), Recipe)


def test_the_alpaca_recipe_does_what_it_says(folder: Path) -> None:
    """With the toy engine in the place of the 7B model; all else as it ships."""
    write_jsonl(folder / "alpaca.jsonl", ALPACA_ROWS * 10)
    text = (resources.files("ifcurate.recipes") / "alpaca.yaml").read_text()
    value = yaml.safe_load(text)
    value["score"] |= {"engine": "toy", "model": ""}
    value["data"]["paths"] = ["alpaca.jsonl"]
    value["export"]["model"] = "gpt2"
    done = run_recipe(load_recipe(write(value, folder / "r.yaml")))
    counts = done.filtered.manifest.counts
    assert counts["rows"] == 50
    assert counts["dropped"] == counts["non-context-critical"] == 5
    assert done.run.manifest.identity["settings"]["ablation"] == "template"


def test_what_is_done_is_skipped_and_what_changed_is_not(folder: Path) -> None:
    write_jsonl(folder / "alpaca.jsonl", ALPACA_ROWS * 10)
    recipe = load_recipe(write(RECIPE, folder / "r.yaml"))
    assert run_recipe(recipe).skipped == []
    again = run_recipe(recipe)
    assert again.skipped == ["score", "split", "filter"]
    assert again.split is None
    changed = {**RECIPE, "split": {"length_control": True, "length_bins": 2}}
    assert run_recipe(load_recipe(write(changed, folder / "r.yaml"))).skipped == ["score"]
    changed = {**RECIPE, "split": {"rule": "gain", "threshold": 0.1}}
    assert run_recipe(load_recipe(write(changed, folder / "r.yaml"))).skipped == ["score"]
    rescored = {**RECIPE, "score": {"engine": "toy", "template": "plain"}}
    assert run_recipe(load_recipe(write(rescored, folder / "r.yaml"))).skipped == []
    write_jsonl(folder / "alpaca.jsonl", ALPACA_ROWS * 11)
    assert run_recipe(recipe).skipped == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scoer": {}}, "scoer: unknown key; did you mean score?"),
        ({"score": {"modle": "x"}}, "score.modle: unknown key; did you mean model?"),
        ({"split": {"rule": "best"}}, "split.rule"),
        ({"split": {"fraction": 3}}, "split.fraction"),
        ({"data": {"paths": []}}, "data.paths"),
        ({"filter": None}, "filter"),
        ({"filter": {}}, "give either filter.keep: LABEL or filter.drop: LABEL"),
        ({"score": {"engine": "server"}}, ": score: .* score.base_url: http://127"),
        ({"score": {"model": "m", "row_timeout": 9, "engine": "vllm"}}, "for score.engine hf"),
        ({"score": {"model": "m", "attention_layer": 3}}, "only for score.method attention"),
        ({"split": {"statistic": "foo"}}, "split.statistic"),
        ({"score": {"engine": "steam"}}, "score.engine"),
        ({"split": {"length_bins": 4}}, "length_bins is only for split.length_control"),
        ({"split": {"rule": "attention"}}, "split cuts the attention, and score does not"),
        ({"mix": {"components": ["other"]}}, "'other': is not the result of a step"),
        ({"mix": {"components": ["kept", "kept:5rows"]}}, "kept: occurs twice"),
        ({"mix": {"components": ["kept", "scored:10%-of-x"]}}, "mix: component scored: .* 'x'"),
        ({"mix": {"components": ["kept:9ktok"]}}, "mix: component kept: .* in tokens"),
        ({"augment": {"types": "NAME"}}, "augment.types: NAME: unknown type"),
        ({"augment": {"recogniser": "bert"}}, "augment.recogniser: 'bert': unknown"),
    ],
)
def test_mistakes_are_named(change: dict[str, Any], said: str, folder: Path) -> None:
    with pytest.raises(RecipeError, match=said.replace("?", r"\?")):
        load_recipe(write({**RECIPE, **change}, folder / "r.yaml"))


@pytest.mark.parametrize(
    "change", ["split.threshold=abc", "split.fractoin=0.4", "split.length_bins=4"]
)
def test_a_mistake_of_the_command_line_is_not_that_of_the_file(change: str, folder: Path) -> None:
    with pytest.raises(RecipeError, match=f"^--set {change}: split"):
        load_recipe(write(RECIPE, folder / "r.yaml"), [change])


def test_a_file_in_the_place_of_an_output_is_named_before_rows_are_scored(folder: Path) -> None:
    write_jsonl(folder / "alpaca.jsonl", ALPACA_ROWS)
    changed = {**RECIPE, "filter": {**RECIPE["filter"], "out": "r.yaml/filtered"}}
    recipe = load_recipe(write(changed, folder / "r.yaml"))
    with pytest.raises(DataError, match=r"^r\.yaml: is a file, .* another folder with filter\.out"):
        run_recipe(recipe)
    assert not (folder / "ifcurate-runs").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data: {paths: [a]}\ndata: {paths: [b]}", "r.yaml:2: data occurs twice"),
        ("a: &x [1]\nb: *x", "aliases"),
        ("a: " + "[" * 600, "YAML|nested too deeply"),
        ("a: [", "not valid YAML"),
        ("- a", "must be a mapping"),
        ("!!python/none", "YAML"),
    ],
)
def test_files_that_are_no_recipe(text: str, said: str, folder: Path) -> None:
    (folder / "r.yaml").write_text(text)
    with pytest.raises(RecipeError, match=said):
        load_recipe("r.yaml")
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe("missing.yaml")
