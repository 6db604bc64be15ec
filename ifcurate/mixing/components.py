"""The components of a mixture: files, sets that are known, and folders that steps wrote.

=========================  ====================================================
path                       rows
=========================  ====================================================
file, glob, Hub dataset    all of them; labels are unknown
run folder                 the rows that were scored, with the labels of the split
folder of `filter`         the kept rows, with their labels
folder of `augment`        the counterfactual rows
=========================  ====================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from ifcurate.data.sources import Examples, fingerprint_source, read_examples
from ifcurate.errors import DataError, RunError
from ifcurate.mixing.amounts import Amount, split_component
from ifcurate.mixing.rows import Batch, read_batches
from ifcurate.runs.reading import read_split, run_examples
from ifcurate.runs.run import Run, find_run
from ifcurate.steps.filtering import Decision, decide_rows
from ifcurate.storage.manifest import read_manifest

__all__ = ["Component", "open_component", "parse_components"]


@dataclass(frozen=True, slots=True)
class Component:
    """One named part of a mixture."""

    name: str
    examples: Examples
    amount: Amount = field(default_factory=Amount)
    labels: Mapping[str, Sequence[str | None]] = field(default_factory=dict)  # source -> rows'
    origin: Mapping[str, Any] = field(default_factory=dict)  # the step that made it, for the card

    def batches(self, size: int, stratify: str) -> Iterator[Batch]:
        """All its rows. Those of files that are read for their context are labelled by it."""
        return read_batches(self.name, self.examples, size, labels=self.labels, stratify=stratify)

    def identity(self) -> dict[str, Any]:
        """What decides its rows: files by content, layouts, amount."""
        pairs = zip(self.examples.sources, self.examples.layouts, strict=True)
        return {
            "name": self.name,
            "amount": {
                "kind": self.amount.kind,
                "value": self.amount.value,
                "of": self.amount.of,
            },
            "inputs": [{**fingerprint_source(s), "layout": layout.format} for s, layout in pairs],
            **({"origin": dict(self.origin)} if self.origin else {}),
        }


def parse_components(texts: Sequence[str], **reading: Any) -> list[Component]:
    """Components from `NAME=PATH[:AMOUNT]`; `reading` goes to `read_examples`.

    Raises `DataError` for a text that is none, a name that stands twice, a missing file.
    """
    found: list[Component] = []
    for text in texts:
        name, path, amount = split_component(text)
        if any(component.name == name for component in found):
            raise DataError(f"component {name}: stands twice; give each component its own name")
        try:
            found.append(open_component(name, path, amount, **reading))
        except DataError as error:
            raise DataError(f"component {name}: {error}") from error
    if not found:
        raise DataError("mix: no component was given; write NAME=PATH, for example a=a.jsonl")
    return found


def open_component(name: str, path: str, amount: Amount | None = None, **reading: Any) -> Component:
    """The component at a path. Raises `DataError`, `RunError`."""
    amount = amount or Amount()
    folder = Path(path)
    if not folder.is_dir():
        examples = read_examples(path, **{"context": (), **reading})
        return Component(name, examples, amount)
    if (folder / "filter.json").is_file():
        return _filtered(name, folder, amount)
    if (folder / "augment.json").is_file():
        return _augmented(name, folder, amount)
    if (folder / "manifest.json").is_file():
        return _scored(name, find_run(folder), amount)
    if (folder / "mixture.json").is_file():
        raise DataError(
            f"{path}: is a mixture; mix its own components again, with this one beside them"
        )
    raise DataError(f"{path}: is a folder that no step wrote; name its files: '{path}/*.jsonl'")


def _scored(name: str, run: Run, amount: Amount) -> Component:
    """All rows of a run with the labels of its split."""
    examples = run_examples(run)
    found = read_split(run)
    labels: dict[str, list[str | None]] = {}
    if found is not None:
        decided = decide_rows(found[0], Decision(frozenset({"context-critical"})))
        for (source,), rows in decided.group_by("source", maintain_order=True):
            last = int(rows["row"].max() or 0)  # type: ignore[arg-type]
            column: list[str | None] = [None] * (last + 1)
            for number, label in rows.select("row", "label").iter_rows():
                column[number] = label
            labels[str(source)] = column
    return Component(name, examples, amount, labels, _score_origin(run))


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
    """The kept rows of a filter folder; labels from the run that it lies in."""
    manifest = read_manifest(folder / "filter.json")
    outputs = manifest.outputs.items()
    kept = {k.removeprefix("kept:"): f for k, f in outputs if k.startswith("kept:")}
    scores = manifest.identity["scores"]
    layouts = {item["name"]: item["layout"] for item in scores["inputs"]}
    paths = {source: str(folder / file) for source, file in kept.items()}
    missing = [path for path in paths.values() if not Path(path).is_file()]
    if missing:
        raise RunError(f"{missing[0]}: is missing, and the filter wrote it; filter again")
    full = {source: path for source, path in paths.items() if Path(path).stat().st_size}
    if not full:
        raise DataError(f"{folder}: the filter kept no row; nothing to mix")
    parts = [_read_kept(path, layouts[source]) for source, path in full.items()]
    examples = Examples(
        tuple(s for part in parts for s in part.sources),
        tuple(layout for part in parts for layout in part.layouts),
    )
    keep_labels = manifest.identity["keep_labels"]
    labels = _kept_labels(folder, keep_labels)
    named: dict[str, Sequence[str | None]]
    named = {path: labels[source] for source, path in full.items() if source in labels}
    if not labels and len(keep_labels) == 1:
        named = {path: _Constant(keep_labels[0]) for path in full.values()}
    origin = {
        "step": "filter",
        "sources": list(layouts),
        "keep_labels": keep_labels,
        "counts": manifest.counts,
        "formula": manifest.formula,
        "split": manifest.identity["split"].get("asked"),
        "engine": scores["engine"],
        "template": scores.get("template"),
        "settings": scores.get("settings"),
    }
    return Component(name, examples, amount, named, origin)


class _Constant(Sequence[str | None]):
    """The same label for every row."""

    def __init__(self, label: str) -> None:
        self._label = label

    def __len__(self) -> int:
        return 1 << 62

    def __getitem__(self, index: Any) -> Any:
        return self._label


def _read_kept(path: str, layout: Mapping[str, Any]) -> Examples:
    return read_examples(
        path,
        format="auto" if layout["columns"] else layout["format"],
        columns=layout["columns"],
        context=(),
    )


def _kept_labels(folder: Path, keep_labels: Sequence[str]) -> dict[str, list[str | None]]:
    """The labels of each source's kept rows, in order; empty where the run is not found."""
    run_folder = folder.parent.parent
    if not (run_folder / "manifest.json").is_file():
        return {}
    found = read_split(find_run(run_folder))
    if found is None:
        return {}
    decided = decide_rows(found[0], Decision(frozenset(keep_labels))).filter(pl.col("keep"))
    grouped = decided.group_by("source", maintain_order=True)
    return {str(source): rows["label"].to_list() for (source,), rows in grouped}


def _augmented(name: str, folder: Path, amount: Amount) -> Component:
    """The counterfactual rows that an augment step wrote."""
    import json

    manifest = json.loads((folder / "augment.json").read_text("utf-8"))
    inputs = manifest["inputs"]
    files = [(folder / f, source) for source, f in manifest["files"].items() if source in inputs]
    full = [(path, inputs[source]) for path, source in files if _has_rows(path)]
    if not full:
        raise DataError(f"{folder}: no counterfactual row was written; rejected.jsonl says why")
    parts = [
        read_examples(str(path), format="auto" if format == "columns" else format, context=())
        for path, format in full
    ]
    examples = Examples(
        tuple(s for part in parts for s in part.sources),
        tuple(layout for part in parts for layout in part.layouts),
    )
    origin = {
        "step": "augment",
        "sources": list(inputs),
        "settings": manifest["settings"],
        "funnel": manifest["funnel"],
    }
    labels = {source.name: _Constant("context-critical") for source in examples.sources}
    return Component(name, examples, amount, labels, origin)


def _has_rows(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 4
