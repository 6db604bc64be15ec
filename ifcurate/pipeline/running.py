"""Recipes: data, score, split and filter from one YAML file.

A recipe has fixed sections and no logic. A step whose result is there, made
from the same data with the same options, is not done again.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

import yaml
from pydantic import Field, ValidationError

from ifcurate.data.sources import Examples, read_examples
from ifcurate.errors import RecipeError
from ifcurate.options.base import Options, explain_problem, option
from ifcurate.options.data import DataOptions
from ifcurate.options.filter import FilterOptions
from ifcurate.options.score import EngineOptions, ScoreSettings
from ifcurate.options.split import SplitOptions
from ifcurate.runs.reading import read_split_manifest
from ifcurate.runs.run import RUNS_FOLDER, Progress, Run, run_name, score_identity, score_run
from ifcurate.scoring.scorer import Scorer
from ifcurate.split.rules import SplitSummary
from ifcurate.steps.rescoring import Rescore, check_band
from ifcurate.steps.run_steps import FilterResult, filter_run, split_run
from ifcurate.storage.manifest import read_manifest

__all__ = ["Recipe", "RecipeRun", "list_recipes", "load_recipe", "run_recipe"]


class DataSection(DataOptions):
    """What is read, and how."""

    paths: list[str] = option(..., "Files, globs or Hub names.", min_length=1)


class ScoreSection(EngineOptions, ScoreSettings):
    """The model, and how it is asked."""

    tokens: bool = option(False, "Also write the losses of every token.")


class SplitSection(SplitOptions):
    """The rule."""

    rescore_band: float | None = option(
        None, "Score rows within so many nats of a cut again in float32.", gt=0
    )


class FilterSection(FilterOptions):
    """What is kept, and where it is written."""

    out: str | None = option(None, "Folder of the files.")


class Recipe(Options):
    """One recipe file."""

    step: ClassVar[str] = "recipe"

    description: str = ""
    data: DataSection
    score: ScoreSection
    split: SplitSection = Field(default_factory=SplitSection)
    filter: FilterSection


@dataclass(frozen=True, slots=True)
class RecipeRun:
    """What a recipe made, and which steps were found done."""

    run: Run
    split: SplitSummary | None  # None when it was there already
    filtered: FilterResult
    skipped: tuple[str, ...]


def list_recipes() -> dict[str, str]:
    """The recipes that come with the package: name -> description."""
    found = {}
    for file in resources.files("ifcurate.recipes").iterdir():
        if file.name.endswith(".yaml"):
            value = yaml.safe_load(file.read_text(encoding="utf-8"))
            found[file.name.removesuffix(".yaml")] = str(value.get("description", ""))
    return dict(sorted(found.items()))


def load_recipe(name: str) -> Recipe:
    """A recipe by file, or by the name of one that comes with the package.

    Raises `RecipeError` with the place, what was found and the nearest known name.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"{name}: cannot be read: {error}; check the path") from error
    else:
        known = list_recipes()
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise RecipeError(
                f"recipe {name!r}: unknown; {hint}known are {', '.join(known)}, "
                "or give the path of a YAML file"
            )
        text = (resources.files("ifcurate.recipes") / f"{name}.yaml").read_text(encoding="utf-8")
    value = _parse_yaml(text, name)
    if not isinstance(value, dict):
        raise RecipeError(f"{name}: a recipe must be a mapping of sections; see recipes/demo.yaml")
    try:
        return Recipe.model_validate(value)
    except ValidationError as error:
        problems = "; ".join(_describe(e) for e in error.errors())
        raise RecipeError(f"{name}: {problems}") from error


def _parse_yaml(text: str, name: str) -> Any:
    """The file's value. Raises `RecipeError`, also for what YAML allows and no recipe needs."""
    try:
        # An alias can stand for itself many times over: a small file becomes a huge value.
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise RecipeError(f"{name}: aliases (*name) are not taken; write the value out")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        _refuse_repeated_keys(node, name)
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise RecipeError(f"{name}: nested too deeply; see recipes/demo.yaml") from error


def _refuse_repeated_keys(node: Any, name: str) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                line = key.start_mark.line + 1
                raise RecipeError(f"{name}:{line}: {key.value} stands twice; leave one")
            seen.add(key.value)
            _refuse_repeated_keys(value, name)


def _describe(error: Any) -> str:
    """One problem of a recipe, with the nearest known key for an unknown one."""
    if error["type"] != "extra_forbidden":
        return explain_problem(error)
    model: Any = Recipe
    for step in error["loc"][:-1]:
        model = model.model_fields[step].annotation
    known = list(model.model_fields)
    near = difflib.get_close_matches(str(error["loc"][-1]), known, 1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
    return f"{'.'.join(map(str, error['loc']))}: unknown key; {hint}"


def recipe_examples(recipe: Recipe) -> Examples:
    """The examples that the recipe's data section names."""
    return read_examples(recipe.data.paths, options=recipe.data)


def recipe_scorer(recipe: Recipe) -> Scorer:
    """The engine of the recipe's score section, loaded, with its settings."""
    from ifcurate.engines.load import load_engine

    section = recipe.score
    engine = load_engine(section.engine, **section.for_engine())
    settings = ScoreSettings.create(**section.model_dump(include=set(ScoreSettings.model_fields)))
    return Scorer.create(engine, settings)


def _rescore(recipe: Recipe, band: float, stop: Callable[[], bool]) -> Rescore:
    """How rows near the cut are scored again: with the recipe's own model."""
    section = recipe.score
    return Rescore(
        band,
        model=section.model if Path(section.model).is_dir() else None,
        template=section.template if Path(section.template).is_file() else None,
        device=section.device,
        batch_size=section.batch_size,
        threads=section.threads,
        stop=stop,
    )


def _score(
    recipe: Recipe,
    folder: Path | None,
    command: str,
    on_start: Callable[[Examples, Scorer, Path], None],
    on_progress: Callable[[Progress], None],
    stop: Callable[[], bool],
) -> tuple[Run, list[str]]:
    """The run, and what was done before. The engine is let go of at the end."""
    skipped = []
    examples = recipe_examples(recipe)
    scorer = recipe_scorer(recipe)
    identity = score_identity(examples, scorer)
    where = folder or Path(RUNS_FOLDER) / run_name(identity)
    if recipe.split.rescore_band is not None:
        check_band(recipe.split.rescore_band, where, identity["engine"])
    on_start(examples, scorer, where)
    if (where / "manifest.json").exists() and read_manifest(where / "manifest.json").finished:
        skipped.append("score")
    with scorer.engine:
        run = score_run(
            examples,
            scorer,
            where,
            tokens=recipe.score.tokens,
            command=command,
            identity=identity,
            on_progress=on_progress,
            stop=stop,
        )
    return run, skipped


def run_recipe(
    recipe: Recipe,
    *,
    folder: Path | None = None,
    command: str = "",
    on_start: Callable[[Examples, Scorer, Path], None] = lambda *_: None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> RecipeRun:
    """Do what the recipe says, in a run folder (default: one of `ifcurate-runs/`).

    Raises the errors of the steps, all `IfcurateError`s; a step done before one
    fails stays done.
    """
    run, skipped = _score(recipe, folder, command, on_start, on_progress, stop)
    band = recipe.split.rescore_band
    asked = recipe.split.given()
    options = SplitOptions.create(**{k: v for k, v in asked.items() if k != "rescore_band"})
    split = None
    done = read_split_manifest(run)
    if done is not None and done.identity.get("asked") == asked:
        skipped.append("split")
    else:
        again = None if band is None else _rescore(recipe, band, stop)
        split, _ = split_run(run, rescore=again, command=command, options=options)
    out = Path(recipe.filter.out) if recipe.filter.out else None
    filtered = filter_run(run, out=out, command=command, options=recipe.filter)
    if filtered.skipped:
        skipped.append("filter")
    return RecipeRun(run, split, filtered, tuple(skipped))
