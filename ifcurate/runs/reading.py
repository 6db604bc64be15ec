"""Read the inputs and the examples of a finished run again, and name its model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from ifcurate.data.readers.files import RawRow, Source
from ifcurate.data.readers.rows import fingerprint_source
from ifcurate.data.row_formats import RowLayout
from ifcurate.data.sources import Examples, read_row
from ifcurate.errors import RunError
from ifcurate.prompts.pairs import PromptPair
from ifcurate.prompts.rules import rules_version
from ifcurate.runs.run import Run
from ifcurate.scoring.scorer import Scorer

Place = tuple[str, int, int]  # source, row, turn
Rows = list[tuple[dict[str, Any], PromptPair]]  # rows of the scores with their prompts
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


def run_sources(run: Run) -> list[Source]:
    """Return the run's inputs, after a check that they have not changed.

    Raises `RunError` when a file has changed or is gone.
    """
    sources = []
    for known in run.manifest.identity["inputs"]:
        inputs = {key: value for key, value in known.items() if key != "layout"}
        names = (field.name for field in fields(Source))
        source = Source(**{name: inputs[name] for name in names if name in inputs})
        if source.format != "hub" and not source.path.exists():
            raise RunError(
                f"{source.name}: the scored data is gone (seen from {Path.cwd()}); "
                "put it back, or run from the folder that you scored in"
            )
        if fingerprint_source(source) != inputs:
            raise RunError(
                f"{source.name}: has changed since it was scored; score it again, "
                "or put the old file back"
            )
        sources.append(source)
    return sources


def run_examples(run: Run) -> Examples:
    """Return the run's examples, read in the same way again. Raises as `run_sources`."""
    identity = run.manifest.identity
    layouts = [known["layout"] for known in identity["inputs"]]
    return Examples(
        tuple(run_sources(run)), tuple(map(RowLayout.from_record, layouts)), identity["limit"]
    )


def run_model(run: Run, model: str | None = None) -> tuple[str, str | None]:
    """Return the name of the run's model and its revision on the Hub, to load it again.

    `model` names the folder of a model that has moved. Raises `RunError` when the run was scored
    by a local model whose folder is gone.
    """
    known = run.manifest.identity["engine"]
    name = known["model"]
    if model or known["engine"] == "toy" or name == "pocket" or Path(name).is_dir():
        return model or name, None
    if not _COMMIT.fullmatch(known["revision"]):
        raise RunError(
            f"{run.folder}: scored by the local model {name!r}, and there is no such folder; "
            "name the folder with --model"
        )
    return name, known["revision"]


def read_again(
    run: Run, examples: Examples, scorer: Scorer, rows: Iterable[dict[str, Any]]
) -> Iterator[Rows]:
    """Yield some rows of the scores with their prompts, those of one piece of the data together.

    `rows` are in the order of the table. Raises `RunError` for a row that is not there any more.
    """
    left = iter(rows)
    row = next(left, None)
    for piece in examples.raw_chunks(scorer.settings.chunk_rows, scorer.piece_bytes):
        if row is None:
            return
        here = {(raw.source, raw.number) for raw, _ in piece}
        wanted: dict[Place, dict[str, Any]] = {}
        while row and (row["source"], row["row"]) in here:
            wanted[row["source"], row["row"], row["turn"]] = row
            row = next(left, None)
        if wanted:
            yield _find_pairs(run, scorer, piece, wanted)
    if row is not None:
        raise row_changed(run, row, "no such row")


def _find_pairs(
    run: Run,
    scorer: Scorer,
    piece: Iterable[tuple[RawRow, RowLayout]],
    wanted: Mapping[Place, dict[str, Any]],
) -> Rows:
    """Return the wanted rows with their prompts. Raises `RunError` for one that is not there."""
    # With `shuffle`, a row's context comes from another row of its piece.
    together = scorer.settings.ablation == "shuffle"
    near = {place[:2] for place in wanted}
    chosen = [read_row(*row) for row in piece if together or (row[0].source, row[0].number) in near]
    pairs = scorer.prepare([example for row in chosen for example in row.examples])
    found = {(p.example.source, p.example.row_number, p.example.turn): p for p in pairs}
    for place, row in wanted.items():
        if place not in found:
            raise row_changed(run, row, "no such example")
    return [(row, found[place]) for place, row in wanted.items()]


def row_changed(run: Run, row: Mapping[str, Any], change: str) -> RunError:
    """Return the error for a row that is not as it was scored."""
    reason = f"the data, its format or the tokenizer has changed since {run.folder}: restore it"
    if run.manifest.identity.get("rules") != rules_version():
        by = run.manifest.made_by
        reason = f"{run.folder} was scored by {by}, with other rules: use that version"
    return RunError(
        f"{row['source']}: row {row['row']} is not what was scored; found {change}; {reason}, "
        "or score it again"
    )
