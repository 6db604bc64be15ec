"""The options of `run` and `curate`: changes of the recipe, and where its run goes."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ifcurate.options.base import Options, option
from ifcurate.options.export import Trainer


class RecipeOptions(Options):
    """The options of both commands."""

    changes: list[str] | None = option(
        None,
        "Change a key of the recipe: split.fraction=0.3. The value is YAML.",
        flags=("--set",),
        metavar="SECTION.KEY=VALUE",
        common=True,
    )
    dry_run: bool = option(False, "Show the plan and its cost. Write nothing.", common=True)
    out: Path | None = option(
        None, "Run folder. By default a folder in ifcurate-runs/.", common=True
    )


class RunRecipeOptions(RecipeOptions):
    """Run a recipe."""

    step: ClassVar[str] = "run"

    model: str = option("", "Score with this model instead.", metavar="NAME", common=True)


class CurateOptions(RecipeOptions):
    """Run all steps without a recipe file."""

    step: ClassVar[str] = "curate"

    model: str = option(..., "The model that scores.", metavar="NAME", common=True)
    to: Trainer | None = option(None, "Also write the mixture for this trainer.", common=True)
