"""The plan of a recipe: steps, rows, and the cost of scoring. Nothing is written.

The cost is an estimate: two floating-point operations per weight and token, and both variants
of each row. Tokens are counted by the model's tokenizer where it is on this machine. Otherwise
four characters are a token.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ifcurate.counterfactual.avoided import read_avoided
from ifcurate.data.sources import Examples, read_examples
from ifcurate.mixing.choosing import require_semhash
from ifcurate.mixing.components import parse_components
from ifcurate.mixing.overlap import read_names
from ifcurate.mixing.tokens import load_counter
from ifcurate.models import MODELS
from ifcurate.pipeline.recipe import MixSection, Recipe, advising_keys
from ifcurate.records import Example
from ifcurate.runs.run import find_run
from ifcurate.storage.files import refuse_unwritable

_SAMPLE: Final = 200  # rows in the average
_CHARACTERS: Final = 4  # per token, roughly, for English
_SCALE: Final = {"M": 1e6, "B": 1e9}


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step in words."""

    name: str
    what: str


@dataclass(frozen=True, slots=True)
class RecipePlan:
    """All steps, and the cost of scoring."""

    steps: tuple[PlannedStep, ...]
    n_rows: int | None  # None if all rows would have to be read
    n_scored: int | None  # rows with a context, estimated from the first rows
    n_tokens: int | None  # tokens that the model computes, in both variants
    n_operations: float | None  # floating-point; None for a model of unknown size


def plan_recipe(recipe: Recipe) -> RecipePlan:
    """Return the plan of a recipe. Reads the first rows. Raises `DataError`."""
    with advising_keys("data"):
        examples = read_examples(recipe.data.paths, options=recipe.data)
    check_inputs(recipe)
    n_rows = examples.count_rows()
    n_scored, n_tokens = _estimate_tokens(examples, n_rows, recipe.score.model)
    weights = _count_weights(recipe.score.model)
    n_operations = 2 * weights * n_tokens if weights and n_tokens else None
    return RecipePlan(tuple(_list_steps(recipe, n_rows)), n_rows, n_scored, n_tokens, n_operations)


def check_inputs(recipe: Recipe) -> None:
    """Raise the errors of later steps that can be seen before rows are scored.

    These are files, a tokenizer and a run that cannot be read.
    """
    if recipe.filter.out:
        with advising_keys("filter"):
            refuse_unwritable(Path(recipe.filter.out))
    if recipe.augment is not None:
        with advising_keys("augment"):
            read_avoided(recipe.augment.avoid or ())
    if recipe.mix is not None:
        with advising_keys("mix"):
            _check_mixing(recipe.mix)
    if recipe.report is not None and recipe.report.compare is not None:
        find_run(recipe.report.compare)


def _check_mixing(section: MixSection) -> None:
    others = [part for part in section.components if "=" in part]
    if others:
        parse_components(others)
    read_names(section.avoid_overlap)
    if section.tokenizer:
        load_counter(section.tokenizer)
    if section.near_duplicates is not None:
        require_semhash()


def _estimate_tokens(
    examples: Examples, n_rows: int | None, model: str
) -> tuple[int | None, int | None]:
    first = list(itertools.islice(examples, _SAMPLE))
    if not first or n_rows is None:
        return None, None
    scored = [e for e in first if e.has_context and e.response]
    whole = _count_tokens([_all_texts(example) for example in scored], model)
    contexts = _count_tokens([example.context_text for example in scored], model)
    per_row = n_rows / len(first)
    return round(len(scored) * per_row), round((2 * whole - contexts) * per_row)


def _all_texts(example: Example) -> str:
    turns = (turn.content for turn in (*example.history, *example.trailing))
    texts = (example.system, example.instruction, example.context, *turns, example.response)
    return "\n".join(texts)


def _count_tokens(texts: Sequence[str], model: str) -> float:
    """Return the tokens of these texts. Nothing is downloaded."""
    if model == "pocket" or (model and Path(model).is_dir()):
        return sum(load_counter(model).count(texts))
    return sum(map(len, texts)) / _CHARACTERS


def _count_weights(model: str) -> float | None:
    """Return how many weights a model has, by its short name or Hub id; None for other models."""
    named = next((m for m in MODELS if model.lower() in (m.name, m.hub_id.lower())), None)
    match = re.search(r"([\d.]+)([MB])", named.parameters) if named else None
    return float(match[1]) * _SCALE[match[2]] if match else None


def _list_steps(recipe: Recipe, n_rows: int | None) -> list[PlannedStep]:
    rows = f"{n_rows:,} rows" if n_rows is not None else "a number of rows that is not known yet"
    model = recipe.score.model or recipe.score.engine
    kept = f"keep {recipe.filter.keep}" if recipe.filter.keep else f"drop {recipe.filter.drop}"
    steps = [
        PlannedStep("data", f"{rows} from {', '.join(recipe.data.paths)}"),
        PlannedStep("score", f"with {model}, template {recipe.score.template}"),
        PlannedStep("split", f"by rule {recipe.split.rule}"),
        PlannedStep("filter", kept),
    ]
    if recipe.augment is not None:
        steps.append(PlannedStep("augment", f"counterfactuals of the {recipe.augment.rows} rows"))
    if recipe.mix is not None:
        steps.append(PlannedStep("mix", " + ".join(recipe.mix.components)))
        steps.append(PlannedStep("card", "README.md of the mixture"))
    if recipe.export is not None:
        qk = ", queries and keys only" if recipe.export.qk_only else ""
        steps.append(PlannedStep("export", f"for {recipe.export.trainer}{qk}"))
    if recipe.report is not None:
        steps.append(PlannedStep("report", "report.html of the run"))
    return steps
