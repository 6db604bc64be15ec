"""Run a recipe. A step is skipped when its result exists and was made from the same input.

Every step has an identity: the content it reads, and its options. The result has the identity
and the hashes of its files. If a threshold changes, the split and the steps after it therefore run
again, and no step before it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ifcurate.cards.mixture_card import CARD, render_card, write_card
from ifcurate.counterfactual.write.output import write_counterfactuals
from ifcurate.data.sources import Examples, read_examples
from ifcurate.exports.export import EXPORT, Export, export_mixture
from ifcurate.mixing.components import open_component, parse_components
from ifcurate.mixing.mix import mix_components, mix_identity
from ifcurate.mixing.mixture import MANIFEST, Mixture, read_mixture
from ifcurate.mixing.rows import Component
from ifcurate.options.card import CardOptions
from ifcurate.options.export import ExportOptions
from ifcurate.options.mix import MixOptions
from ifcurate.options.report import ReportOptions
from ifcurate.options.score import ScoreSettings
from ifcurate.options.split import RescoreOptions
from ifcurate.pipeline.planning import check_inputs
from ifcurate.pipeline.recipe import (
    RESULTS,
    AugmentSection,
    MixSection,
    Recipe,
    advise_keys,
    advising_keys,
    read_component,
    render_recipe,
)
from ifcurate.reports.page import write_report
from ifcurate.runs.filling import choose_folder, score_identity, score_run
from ifcurate.runs.folder import refuse_run
from ifcurate.runs.reading import run_examples
from ifcurate.runs.run import Run
from ifcurate.runs.splits import read_split_manifest
from ifcurate.runs.work import Progress
from ifcurate.scoring.opening import open_scorer
from ifcurate.scoring.scorer import Scorer
from ifcurate.split.rules import SplitSummary
from ifcurate.steps.filtering import FilterResult, filter_run
from ifcurate.steps.rescoring import Rescore, check_rescorable
from ifcurate.steps.splitting import split_run
from ifcurate.storage.files import file_digest
from ifcurate.storage.manifest import Manifest, find_manifest, software_versions

AUGMENTED: Final = "augmented"
MIXTURE: Final = "mixture"
_STEP: Final = "step.json"  # identity and hashes of a step that writes no manifest


@dataclass(slots=True)
class RecipeRun:
    """The results of a recipe, and the steps that were skipped."""

    run: Run
    split: SplitSummary | None  # None if the split was skipped
    filtered: FilterResult
    skipped: list[str]
    augmented: Path | None = None
    mixture: Mixture | None = None
    exported: Export | None = None
    report: Path | None = None


def run_recipe(
    recipe: Recipe,
    *,
    folder: Path | None = None,
    name: str = "",
    command: str = "",
    say: Callable[[str], None] = lambda _: None,
    on_read: Callable[[Examples], None] = lambda _: None,
    on_start: Callable[[Examples, Scorer, Path], None] = lambda *_: None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_step: Callable[[str], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> RecipeRun:
    """Run the steps of a recipe in a run folder (default: a folder in `ifcurate-runs/`).

    The name of the default folder begins with `name`, or else with those of data and model.
    `say` gets lines about the engine.

    Raises the errors of the steps, all `IfcurateError`s. The results of the steps before the
    error are kept.
    """
    with advising_keys("data"):
        examples = read_examples(recipe.data.paths, options=recipe.data)
    on_read(examples)
    if folder is not None:
        refuse_run(folder)
    check_inputs(recipe)
    section = recipe.score
    settings = section.part(ScoreSettings)

    def say_keys(text: str) -> None:
        say(advise_keys(text, "score"))

    with (
        advising_keys("score"),
        open_scorer(section, settings, examples, say_keys) as (scorer, checks),
    ):
        identity = score_identity(examples, scorer)
        where = choose_folder(folder, identity, name, tokens=section.tokens)
        if recipe.split.rescore_band is not None:
            check_rescorable(where, identity["engine"])
        on_start(examples, scorer, where)
        done = find_manifest(where / "manifest.json")
        skipped = ["score"] if done is not None and done.finished else []
        run = score_run(
            examples,
            scorer,
            where,
            tokens=section.tokens,
            command=command,
            identity=identity,
            checks=checks,
            on_progress=on_progress,
            stop=stop,
        )
    with _step("split", on_step):
        split = _split(recipe, run, command, stop, skipped)
    with _step("filter", on_step):
        out = Path(recipe.filter.out) if recipe.filter.out else None
        filtered = filter_run(run, out=out, command=command, options=recipe.filter)
        if filtered.skipped:
            skipped.append("filter")
    result = RecipeRun(run, split, filtered, skipped)
    if recipe.augment is not None:
        with _step("augment", on_step):
            result.augmented = _augment(recipe.augment, result, command)
    if recipe.mix is not None:
        with _step("mix", on_step):
            result.mixture = _mix(recipe, recipe.mix, result, command)
    if recipe.export is not None:
        assert result.mixture is not None  # `Recipe` refuses an export without a mixture
        with _step("export", on_step):
            result.exported = _export(recipe, recipe.export, result.mixture, skipped)
    if recipe.report is not None:
        with _step("report", on_step):
            result.report = _report(recipe.report, result)
    return result


@contextlib.contextmanager
def _step(name: str, on_step: Callable[[str], None]) -> Iterator[None]:
    """Announce a step. Its errors name keys of the recipe."""
    on_step(name)
    with advising_keys(name):
        yield


def _split(
    recipe: Recipe, run: Run, command: str, stop: Callable[[], bool], skipped: list[str]
) -> SplitSummary | None:
    done = read_split_manifest(run)
    if done is not None and done.identity.get("asked") == recipe.split.given():
        skipped.append("split")
        return None
    rescore = None
    if recipe.split.rescore_band is not None:
        section = recipe.score
        shared = set(RescoreOptions.model_fields) - {"model", "template"}
        again = RescoreOptions.create(
            rescore_band=recipe.split.rescore_band,
            model=section.model if Path(section.model).is_dir() else None,
            template=section.template if Path(section.template).is_file() else None,
            **{name: value for name, value in section.given().items() if name in shared},
        )
        rescore = Rescore(again, stop=stop).score
    return split_run(run, rescore=rescore, command=command, options=recipe.split)[0]


def _augment(section: AugmentSection, done: RecipeRun, command: str) -> Path:
    """Counterfactual rows of the data, or of the kept rows, in the run's folder."""
    run = done.run
    folder = run.folder / AUGMENTED
    kept = section.rows == "kept"
    avoided = [file_digest(path) for path in section.avoid or ()]
    identity = {
        "inputs": run.manifest.identity["inputs"],
        "limit": run.manifest.identity["limit"],
        "options": {**section.model_dump(mode="json"), "avoid": avoided},
        "filter": done.filtered.manifest.identity if kept else None,
        "versions": {"ifcurate": software_versions().get("ifcurate", "")},
    }
    if _is_done(folder / _STEP, identity):
        done.skipped.append("augment")
        return folder
    examples = _kept_examples(run, done.filtered) if kept else run_examples(run)
    result = write_counterfactuals(examples, section, folder, command=command)
    files = {name: path.name for name, path in result.files.items()}
    _seal(folder / _STEP, "augment", identity, files, command)
    return folder


def _kept_examples(run: Run, filtered: FilterResult) -> Examples:
    """Return the rows that the filter kept, with the contexts that were scored."""
    examples = open_component("kept", str(filtered.folder)).examples
    scored = run_examples(run)
    layouts = {s.name: layout for s, layout in zip(scored.sources, scored.layouts, strict=True)}
    of_file = {str(path): layouts[name] for name, path in filtered.files("kept").items()}
    return replace(examples, layouts=tuple(of_file[s.name] for s in examples.sources))


def _mix(recipe: Recipe, section: MixSection, done: RecipeRun, command: str) -> Mixture:
    """Return the mixture with its card, in the run's folder."""
    run, skipped = done.run, done.skipped
    components = [_component(text, run, done.filtered) for text in section.components]
    options = section.part(MixOptions)
    folder = run.folder / MIXTURE
    if _is_done(folder / MANIFEST, mix_identity(components, options), without=(CARD,)):
        skipped.append("mix")
        mixture = read_mixture(folder)
    else:
        mixture = mix_components(components, folder, options, command=command, overwrite=True)
    card = recipe.card or CardOptions()
    text = render_recipe(recipe)
    rendered = render_card(mixture, recipe=text, options=card).encode("utf-8")
    path = folder / CARD
    if path.is_file() and path.read_bytes() == rendered:
        skipped.append("card")
    else:
        write_card(mixture, folder, recipe=text, options=card)
    return mixture


def _component(text: str, run: Run, filtered: FilterResult) -> Component:
    """Return a component by the name of a step's result, or by `NAME=PATH`."""
    if "=" in text:
        return parse_components([text])[0]
    folders = dict(zip(RESULTS, (filtered.folder, run.folder / AUGMENTED, run.folder), strict=True))
    name, amount = read_component(text)
    return open_component(name, str(folders[name]), amount)


def _export(recipe: Recipe, section: ExportOptions, mixture: Mixture, skipped: list[str]) -> Export:
    assert mixture.folder is not None
    folder = mixture.folder / section.folder_name
    if section.model == "" and recipe.score.model:
        section = section.model_copy(update={"model": recipe.score.model})
    done = find_manifest(folder / EXPORT)
    inputs = {"mixture": mixture.manifest.identity, "options": section.model_dump(mode="json")}
    if done is not None and _is_done(folder / EXPORT, {**done.identity, **inputs}):
        skipped.append("export")
        return Export(folder, done, done.command)
    return export_mixture(mixture, folder, overwrite=True, options=section)


def _report(section: ReportOptions, done: RecipeRun) -> Path:
    run = done.run
    split = read_split_manifest(run)
    identity = {
        "scores": run.manifest.id,
        "split": split.identity if split else None,
        "options": section.model_dump(mode="json"),
    }
    step = run.folder / "report.json"
    path = run.folder / "report.html"
    if _is_done(step, identity):
        done.skipped.append("report")
        return path
    path = write_report(run, path, options=section)
    _seal(step, "report", identity, {"report": path.name}, "")
    return path


def _is_done(path: Path, identity: Mapping[str, Any], without: tuple[str, ...] = ()) -> bool:
    """Return whether a step is finished, has this identity, and its files are unchanged."""
    manifest = find_manifest(path)
    if manifest is None or not manifest.finished or manifest.identity != identity:
        return False
    return manifest.matches_files(path.parent, without=without)


def _seal(
    path: Path, step: str, identity: dict[str, Any], files: dict[str, str], command: str
) -> None:
    Manifest.create(
        step,
        identity=identity,
        outputs=files,
        digests={name: file_digest(path.parent / name) for name in files.values()},
        finished=True,
        command=command,
    ).write(path)
