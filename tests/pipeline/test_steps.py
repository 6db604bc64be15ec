"""What a recipe repeats, what it writes twice the same, and what it says before it runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ifcurate.errors import RecipeError
from ifcurate.pipeline.loading import create_recipe, list_recipes, load_recipe
from ifcurate.pipeline.planning import plan_recipe
from ifcurate.pipeline.recipe import SECTIONS, render_recipe
from ifcurate.pipeline.running import run_recipe
from tests.conftest import ALPACA_ROWS, write_jsonl

RECIPE = """\
data:
  paths: [alpaca.jsonl]
score: {engine: toy, template: alpaca}
split: {rule: paper, fraction: 0.5}
filter: {drop: non-context-critical}
augment: {}
mix: {components: [kept, "other=other.jsonl:50%"]}
export: {trainer: messages}
report: {}
"""


def write_data(folder: Path) -> None:
    rows = [
        {**row, "instruction": f"{row['instruction']} {i}"} for i in range(8) for row in ALPACA_ROWS
    ]
    write_jsonl(folder / "alpaca.jsonl", rows)
    other = [{"instruction": f"Say {i}", "input": "", "output": f"{i}!"} for i in range(10)]
    write_jsonl(folder / "other.jsonl", other)
    (folder / "r.yaml").write_text(RECIPE)


@pytest.mark.slow
def test_a_change_repeats_only_what_depends_on_it(folder: Path) -> None:
    write_data(folder)

    def skipped(*changes: str) -> tuple[str, ...]:
        return tuple(run_recipe(load_recipe("r.yaml", changes)).skipped)

    everything = ("score", "split", "filter", "augment", "mix", "card", "export", "report")
    assert skipped() == ()
    assert skipped() == everything
    assert skipped("split.fraction=0.3") == ("score", "augment")
    assert skipped("split.fraction=0.3", "mix.seed=2") == (
        "score",
        "split",
        "filter",
        "augment",
        "report",
    )
    assert skipped("split.fraction=0.3", "mix.seed=2", "card.title=x") == (
        "score",
        "split",
        "filter",
        "augment",
        "mix",
        "export",
        "report",
    )
    write_jsonl(folder / "other.jsonl", [{"instruction": "A", "input": "", "output": "B"}] * 2)
    changed = skipped("split.fraction=0.3", "mix.seed=2", "card.title=x")
    assert changed == ("score", "split", "filter", "augment", "report")
    mixture = next(folder.glob("ifcurate-runs/*/mixture/mixture.parquet"))
    mixture.write_bytes(mixture.read_bytes()[:-1])
    repaired = skipped("split.fraction=0.3", "mix.seed=2", "card.title=x")
    assert "mix" not in repaired


def test_counterfactuals_are_made_of_the_kept_rows(folder: Path) -> None:
    text = "The mill was built by Jonas Keller. It ground wheat until the river changed its "
    text += "course, and then it stood still for {} years."
    row = {"instruction": "Who built the mill?", "output": "Jonas Keller."}
    rows = [{**row, "input": text.format(years)} for years in ("two", "ten", "some")]
    write_jsonl(folder / "alpaca.jsonl", [*rows, {**row, "input": ""}])
    (folder / "r.yaml").write_text(RECIPE.replace("augment: {}", "augment: {rows: kept}"))
    parts = "mix.components=[kept, counterfactual]"
    made = run_recipe(load_recipe("r.yaml", [parts])).mixture
    assert made is not None
    counts = made.manifest.counts
    assert counts["rows:kept"] == 1 + counts["rows:counterfactual"] < 4  # one has no context


TIMES = re.compile(rb'"(?:created_at|updated_at|seconds|command)":\s*("[^"]*"|[\d.e-]+)')
PAGE_TIMES = re.compile(rb"20\d\d-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:\+00:00)?")


def tree(folder: Path) -> dict[str, bytes]:
    """All files of a run with their bytes, time stamps and durations blanked."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            data = TIMES.sub(b"", path.read_bytes())
            text = path.suffix in (".json", ".html", ".md")
            found[str(path.relative_to(folder))] = PAGE_TIMES.sub(b"", data) if text else data
    return found


@pytest.mark.slow
def test_two_runs_of_a_recipe_write_the_same_bytes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees: list[dict[str, bytes]] = []
    for name in ("one", "two"):
        (folder / name).mkdir()
        monkeypatch.chdir(folder / name)
        write_data(folder / name)
        run = run_recipe(load_recipe("r.yaml")).run
        trees.append(tree(run.folder.resolve()))
    assert trees[0].keys() == trees[1].keys()
    assert {"mixture/mixture.parquet", "mixture/README.md", "report.html"} <= trees[0].keys()
    assert [name for name, data in trees[0].items() if trees[1][name] != data] == []


def test_a_plan_counts_and_writes_nothing(folder: Path) -> None:
    write_data(folder)
    before = sorted(folder.iterdir())
    plan = plan_recipe(load_recipe("r.yaml", ["score={engine: hf}", "score.model=pythia-160m"][1:]))
    assert plan.n_rows == 40
    assert plan.n_scored == 16
    assert plan.n_tokens is not None
    assert plan.n_operations == pytest.approx(2 * 160e6 * plan.n_tokens)
    names = [step.name for step in plan.steps]
    assert names == [*SECTIONS[:6], "card", "export", "report"]
    assert sorted(folder.iterdir()) == before
    # The bundled tokenizer has tokens of fewer than four characters, so it counts more of them.
    counted = plan_recipe(load_recipe("r.yaml", ["score.model=pocket"])).n_tokens
    assert counted is not None
    assert counted > plan.n_tokens


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("split.fracton=0.2", "split.fracton: unknown key; did you mean fraction?"),
        ("spilt.fraction=0.2", "spilt: unknown key; did you mean split?"),
        ("data.limit=many", "must be a whole number (found 'many'); for example `limit: 1000`"),
        ("export.trainer=trk", "export.trainer: unknown; known are trl"),
        ("fraction=0.2", "is not SECTION.KEY=VALUE"),
        ("split.fraction=[", "the value is not valid YAML"),
        ("mix=null", "is not SECTION.KEY=VALUE"),
    ],
)
def test_wrong_changes_are_named(change: str, said: str, folder: Path) -> None:
    write_data(folder)
    with pytest.raises(RecipeError, match=re.escape(said)):
        load_recipe("r.yaml", [change])


def test_a_wrong_type_is_named_with_its_line(folder: Path) -> None:
    (folder / "r.yaml").write_text(RECIPE.replace("[alpaca.jsonl]", "[alpaca.jsonl]\n  limit: no"))
    with pytest.raises(RecipeError, match=r"r\.yaml:3: data\.limit: .*for example `limit: 1000`"):
        load_recipe("r.yaml")
    (folder / "r.yaml").write_text(RECIPE.replace("augment: {}\n", "").replace("other=", "x="))
    with pytest.raises(RecipeError, match="there is no augment section"):
        load_recipe("r.yaml", ["mix.components=[kept, counterfactual]"])
    for component, said in (
        ("augmented", "not the result of a step"),
        ("kept:x%", "no.? .*amount"),
    ):
        with pytest.raises(RecipeError, match=said):
            load_recipe("r.yaml", [f"mix.components=['{component}']"])
    value: dict[str, Any] = {
        "data": {"paths": ["a"]},
        "score": {"engine": "toy"},
        "filter": {"keep": "context-critical"},
    }
    with pytest.raises(RecipeError, match="there is no mix section"):
        create_recipe({**value, "export": {"trainer": "trl"}})


def test_a_rendered_recipe_is_the_recipe(folder: Path) -> None:
    for name in list_recipes():
        recipe = load_recipe(name)
        for every in (False, True):
            (folder / "copy.yaml").write_text(render_recipe(recipe, every_key=every))
            assert load_recipe("copy.yaml") == recipe
        text = render_recipe(recipe, every_key=True)
        assert "# n_bootstrap: 200" in text


def app() -> Any:
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="ifcurate")
    from importlib import import_module

    return import_module(script.module).app


@pytest.mark.slow
def test_curate_goes_from_data_to_a_mixture_and_prints_its_recipe(folder: Path) -> None:
    write_data(folder)
    command = ["curate", "alpaca.jsonl", "--model", "pocket", "--to", "alpaca", "--out", "run"]
    command += ["--fail-on-error", "false"]  # some rows have no response
    done = CliRunner().invoke(app(), command)
    assert done.exit_code == 0, done.output
    assert done.stdout.rstrip().endswith("page     run/report.html")
    text = done.stdout.partition("repeats it\n")[2].partition("\n\n")[0]
    (folder / "again.yaml").write_text(text)
    again = CliRunner().invoke(
        app(), ["run", "again.yaml", "--out", "run", "--json", *command[-2:]]
    )
    assert again.exit_code == 0, again.output
    assert len(json.loads(again.stdout)["skipped"]) == 7
    copied = CliRunner().invoke(app(), ["recipes", "copy", "qa", "mine.yaml", "--all"])
    assert copied.exit_code == 0, copied.output
    assert load_recipe("mine.yaml") == load_recipe("qa")
