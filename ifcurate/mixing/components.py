"""The components of a mixture: files, known datasets, and folders that steps wrote.

=========================  ====================================================
path                       rows
=========================  ====================================================
file, folder, glob, Hub    all of them; labels are unknown
run folder                 the rows that were scored, with the labels of the split
folder of `filter`         the kept rows, with their labels
folder of `augment`        the counterfactual rows
=========================  ====================================================
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from ifcurate.data.sources import Examples, read_examples
from ifcurate.errors import DataError, RunError
from ifcurate.mixing.amounts import Amount, split_component
from ifcurate.mixing.rows import Component, LabelOf
from ifcurate.models import model_folder
from ifcurate.runs.reading import run_examples
from ifcurate.runs.run import Run, find_run
from ifcurate.runs.splits import read_split
from ifcurate.steps.decisions import decide_rows
from ifcurate.storage.by_hand import Verdict, read_verdicts
from ifcurate.storage.files import read_table
from ifcurate.storage.manifest import Manifest, read_manifest
from ifcurate.storage.tables import KEPT, KEPT_LABELS


def parse_components(texts: Sequence[str], **reading: Any) -> list[Component]:
    """Components from `NAME=PATH[:AMOUNT]`; `reading` goes to `read_examples`.

    Raises `DataError` for a text without a name, a name that is used twice, or a missing
    file.
    """
    components: list[Component] = []
    for text in texts:
        name, path, amount = split_component(text)
        if any(component.name == name for component in components):
            raise DataError(f"component {name}: occurs twice; give each component its own name")
        try:
            components.append(open_component(name, path, amount, **reading))
        except DataError as error:
            what, unknown, _ = str(error).partition("; map them: --columns")
            advice = "; score it with --columns, and mix the folder of that run" if unknown else ""
            raise DataError(f"component {name}: {what}{advice}") from error
    if not components:
        raise DataError("mix: no component was given; write NAME=PATH, for example a=a.jsonl")
    return components


def open_component(name: str, path: str, amount: Amount | None = None, **reading: Any) -> Component:
    """Return the component at a path. Raises `DataError` or `RunError` when it cannot be read."""
    amount = amount or Amount()
    folder = Path(path)
    if (folder / "filter.json").is_file():
        return _filtered(name, folder, amount)
    if (folder / "augment.json").is_file():
        return _augmented(name, folder, amount)
    if (folder / "manifest.json").is_file():
        return _scored(name, find_run(folder), amount)
    if (folder / "mixture.json").is_file():
        raise DataError(
            f"{path}: is a mixture; mix its components again together with the new ones"
        )
    examples = read_examples(path, **{"context": (), **reading})
    place = folder if folder.is_dir() else folder.parent
    broken, stale = _find_broken(place), _find_stale(place.parent)
    return Component(name, examples, amount, broken=broken, stale=stale)


def _scored(name: str, run: Run, amount: Amount) -> Component:
    """Return all rows of a run with the labels of its split."""
    examples = run_examples(run)
    split = read_split(run)
    labels: dict[str, LabelOf] = {}
    if split is not None:
        decided = decide_rows(split[0], {"context-critical"})
        for (source,), rows in decided.group_by("source", maintain_order=True):
            labels[str(source)] = dict(rows.select("row", "label").iter_rows()).get
    by_hand = split[1].checks.get("set_by_hand", 0) if split is not None else 0
    folder = model_folder(run.manifest.identity["engine"], run.manifest.command)
    more = {"set_by_hand": by_hand, "model_folder": folder}
    origin = {**_score_origin(run), **{name: value for name, value in more.items() if value}}
    return Component(name, examples, amount, labels, origin)


def _score_origin(run: Run) -> dict[str, Any]:
    identity = run.manifest.identity
    return {
        "step": "score",
        "sources": [item["name"] for item in identity["inputs"]],
        "scores": run.manifest.id,
        "engine": identity["engine"],
        "template": identity.get("template"),
        "settings": identity.get("settings"),
    }


def _filtered(name: str, folder: Path, amount: Amount) -> Component:
    """Return the kept rows of a filter folder, with the labels of the run that the folder is in."""
    manifest = read_manifest(folder / "filter.json")
    files = _kept_files(folder, manifest)
    layouts = {item["name"]: item["layout"] for item in manifest.identity["scores"]["inputs"]}
    examples = _join(
        _read_written(path, layouts[source]["format"], layouts[source]["columns"])
        for source, path in files.items()
    )
    labels = _label_kept(folder, files, manifest)
    origin, stale = _filter_origin(manifest), _find_stale(folder)
    return Component(name, examples, amount, labels, origin, stale=stale)


def _find_stale(folder: Path) -> str:
    """Return the reason why the files that a filter wrote are out of date; "" if they are not."""
    path = folder / "filter.json"
    made = read_manifest(path) if path.is_file() else None
    if made is None or not made.stale:
        return ""
    return f"{folder} is stale: {made.stale}"


def _kept_files(folder: Path, manifest: Manifest) -> dict[str, str]:
    """Source -> the file of its kept rows, for each source that has some."""
    files = {
        output.removeprefix("kept:"): folder / file
        for output, file in manifest.outputs.items()
        if output.startswith("kept:")
    }
    for path in files.values():
        if not path.is_file():
            raise RunError(f"{path}: is missing, and the filter wrote it; filter again")
    filled = {source: str(path) for source, path in files.items() if path.stat().st_size}
    if not filled:
        raise DataError(f"{folder}: the filter kept no row; nothing to mix")
    return filled


def _filter_origin(manifest: Manifest) -> dict[str, Any]:
    scores = manifest.identity["scores"]
    return {
        "step": "filter",
        "sources": [item["name"] for item in scores["inputs"]],
        "keep_labels": manifest.identity["keep_labels"],
        "counts": manifest.counts,
        "formula": manifest.formula,
        "split": manifest.identity["split"].get("asked"),
        "engine": scores["engine"],
        "template": scores.get("template"),
        "settings": scores.get("settings"),
        **manifest.checks,
    }


def _join(parts: Iterable[Examples]) -> Examples:
    """Return the rows of several readings as one."""
    parts = list(parts)
    return Examples(
        tuple(source for part in parts for source in part.sources),
        tuple(layout for part in parts for layout in part.layouts),
    )


def _read_written(path: str, format: str, columns: Mapping[str, str] | None) -> Examples:
    """Return the rows of a file that a step wrote, in the format of the data that the step read."""
    format = "auto" if format == "columns" else format
    return read_examples(path, format=format, columns=columns, context=())


def _label_kept(folder: Path, files: Mapping[str, str], made: Manifest) -> dict[str, LabelOf]:
    """Return the labels of each file's rows, by the split that the filter used."""
    kept = made.identity["keep_labels"]
    if len(kept) == 1:
        return {path: lambda _: str(kept[0]) for path in files.values()}
    grouped = read_table(folder / KEPT_LABELS, KEPT).group_by("source", maintain_order=True)
    return {files[str(s)]: dict(enumerate(rows["label"])).get for (s,), rows in grouped}


def _augmented(name: str, folder: Path, amount: Amount) -> Component:
    """Return the counterfactual rows that an augment step wrote."""
    path = folder / "augment.json"
    try:
        manifest = json.loads(path.read_bytes())
    except ValueError as error:
        raise RunError(f"{path}: is damaged: {error}; augment again with --overwrite") from error
    inputs = manifest["inputs"]
    files = {source: folder / file for source, file in manifest["files"].items()}
    filled = {s: path for s, path in files.items() if s in inputs and _has_rows(path)}
    if not filled:
        raise DataError(f"{folder}: no counterfactual row was written; rejected.jsonl says why")
    columns = manifest.get("columns", {})
    examples = _join(
        _read_written(str(path), inputs[source], columns.get(source))
        for source, path in filled.items()
    )
    origin = {
        "step": "augment",
        "sources": list(inputs),
        "settings": manifest["settings"],
        "funnel": manifest["funnel"],
    }
    verdicts = list(read_verdicts(folder).values())
    if verdicts:
        origin["judged"] = {name: verdicts.count(name) for name in get_args(Verdict)}
    return Component(name, examples, amount, origin=origin, broken=_find_broken(folder))


def _find_broken(folder: Path) -> frozenset[str]:
    """Return the rows of a folder of counterfactuals that a person judged broken."""
    return frozenset(name for name, said in read_verdicts(folder).items() if said == "broken")


def _has_rows(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > len("[\n]\n")
