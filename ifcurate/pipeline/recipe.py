"""A recipe: one section for each step, with the options of that step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

import yaml
from pydantic import AfterValidator, Field
from pydantic.fields import FieldInfo

from ifcurate.errors import DataError, IfcurateError
from ifcurate.mixing.amounts import Amount, check_amounts, parse_amount, split_component
from ifcurate.options.augment import AugmentOptions
from ifcurate.options.base import Options, option, read_extra, same_as
from ifcurate.options.card import CardOptions
from ifcurate.options.data import DataOptions
from ifcurate.options.export import ExportOptions
from ifcurate.options.filter import FilterOptions
from ifcurate.options.mix import MixOptions
from ifcurate.options.report import ReportOptions
from ifcurate.options.score import EngineOptions, RunOptions, ScoreSettings
from ifcurate.options.split import RescoreOptions, SplitOptions
from ifcurate.phrases import rename_options


class DataSection(DataOptions):
    """The data, and the options of reading it."""

    paths: list[str] = option(
        ..., "Files, globs, Hub names, or names of `ifcurate cards list`.", min_length=1
    )


class ScoreSection(EngineOptions, ScoreSettings):
    """The model, and the options of scoring."""

    tokens: bool = same_as(RunOptions, "tokens")

    def _refuse(self) -> None:
        if self.missing:
            raise ValueError(self.missing)


class SplitSection(SplitOptions):
    """Which rows are context-critical."""

    rescore_band: float | None = same_as(RescoreOptions, "rescore_band")


class FilterSection(FilterOptions):
    """Which rows are kept, and where they are written."""

    out: str | None = option(None, "Folder of the files; in the run's folder by default.")


class AugmentSection(AugmentOptions):
    """Counterfactual examples from the rows of the data."""

    rows: Literal["data", "kept"] = option(
        "data", "Make them from all rows of the data, or from the rows that the filter kept."
    )


#: The results of steps that can be components of a mixture.
RESULTS: Final = ("kept", "counterfactual", "scored")


@contextlib.contextmanager
def _problem_of_recipe() -> Iterator[None]:
    """Report a `DataError` as a problem of the recipe, with its line."""
    try:
        yield
    except DataError as error:
        raise ValueError(str(error).removeprefix("mix: ")) from error


def read_component(text: str) -> tuple[str, Amount]:
    """Return the name and the amount of a component. Raises `DataError`."""
    if "=" in text:
        name, _, amount = split_component(text)
        return name, amount
    name, colon, given = text.partition(":")
    if name not in RESULTS:
        raise DataError(
            f"{name!r}: is not the result of a step; known are {', '.join(RESULTS)}; "
            f"for other data write {name}=PATH"
        )
    return name, parse_amount(given) if colon else Amount()


def _check_components(components: list[str]) -> list[str]:
    with _problem_of_recipe():
        names = [read_component(text)[0] for text in components]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name}: occurs twice; give each component its own name")
    return components


class MixSection(MixOptions):
    """The mixture."""

    components: Annotated[list[str], AfterValidator(_check_components)] = option(
        ["kept"],
        "kept (what the filter kept), counterfactual (what augment wrote), scored (all rows), "
        "or NAME=PATH; each with :AMOUNT, such as 10%-of-kept.",
        min_length=1,
    )

    def _refuse(self) -> None:
        with _problem_of_recipe():
            check_amounts(dict(map(read_component, self.components)), self)


class Recipe(Options):
    """One recipe file."""

    step: ClassVar[str] = "recipe"

    description: str = option("", "One line about the recipe.")
    data: DataSection
    score: ScoreSection
    split: SplitSection = Field(default_factory=SplitSection)
    filter: FilterSection
    augment: AugmentSection | None = None
    mix: MixSection | None = None
    export: ExportOptions | None = None
    card: CardOptions | None = None
    report: ReportOptions | None = None

    def _refuse(self) -> None:
        self._refuse_mixture()
        if self.split.cuts_attention and self.score.method != "attention":
            raise ValueError(
                "split cuts the attention, and score does not measure it; "
                "set score.method: attention"
            )
        export = self.export
        if export and not (export.is_plain or export.model or self.score.model):
            raise ValueError(
                "export needs the model that will be trained, and the section score names none; "
                "set export.model"
            )

    def _refuse_mixture(self) -> None:
        if self.mix is None:
            for name in ("export", "card"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"{name} needs a mixture, and there is no mix section; add mix: {{}}"
                    )
            return
        made = any(part.partition(":")[0] == "counterfactual" for part in self.mix.components)
        if made and self.augment is None:
            raise ValueError(
                "mix.components names counterfactual, and there is no augment section; "
                "add augment: {}"
            )


#: The sections of a recipe, in the order in which they run.
SECTIONS = tuple(name for name in Recipe.model_fields if name != "description")


def section_class(name: str) -> type[Options]:
    """Return the options of a section."""
    annotation: Any = Recipe.model_fields[name].annotation
    members = getattr(annotation, "__args__", (annotation,))
    return next(m for m in members if isinstance(m, type) and issubclass(m, Options))


def advise_keys(text: str, section: str) -> str:
    """Return a message with options as keys of recipes: `--keep LABEL` is `filter.keep: LABEL`.

    A key is looked for in the section first, then in the others. Other options are those of `run`.
    """

    def find(name: str) -> str:
        for place in dict.fromkeys((section, *SECTIONS)):
            for key, field in section_class(place).model_fields.items():
                flag = f"--{name.replace('_', '-')}"
                known = name == key or flag in read_extra(field)["flags"]
                if known and (place == section or name not in _OF_RUN):
                    return f"{place}.{key}"
        return ""

    return rename_options(text, find, ": ")


_OF_RUN: Final = ("out", "model")


@contextlib.contextmanager
def advising_keys(section: str) -> Iterator[None]:
    """Name keys of the recipe in the errors of a section's step, not options of a command."""
    try:
        yield
    except IfcurateError as error:
        error.args = (advise_keys(str(error), section),)
        raise


def render_recipe(recipe: Recipe, *, every_key: bool = False) -> str:
    """Return a recipe as YAML: the keys that are set, or all with their defaults."""
    lines = [f"description: {_value(recipe.description)}"] if recipe.description else []
    for name in SECTIONS:
        section = getattr(recipe, name)
        if section is None and not every_key:
            continue
        lines += _render_section(name, section, every_key=every_key)
    return "\n".join(lines) + "\n"


def _render_section(name: str, section: Options | None, *, every_key: bool) -> list[str]:
    given = section.model_dump(mode="json", exclude_unset=True) if section is not None else {}
    head = f"{name}:" if given else f"{name}: {{}}"
    lines = [head if section is not None else f"# {name}:"]
    for key, field in section_class(name).model_fields.items():
        if every_key or key in given:
            lines.append(_render_key(key, field, given, with_help=every_key))
    return lines


def _render_key(key: str, field: FieldInfo, given: Mapping[str, Any], *, with_help: bool) -> str:
    """One line: the value if it is set, otherwise the default in a comment."""
    default = "" if field.is_required() else field.get_default(call_default_factory=True)
    help = field.description or ""
    if key not in given:
        return f"  # {key}: {_value(default)}  # {help}"
    comment = f"  # {help} [{_value(default)}]" if with_help and help else ""
    return f"  {key}: {_value(given[key])}{comment}"


def _value(value: Any) -> str:
    """Return a value on one line of YAML."""
    if isinstance(value, tuple):
        value = list(value)
    if value is None:
        return "null"
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...").strip()
