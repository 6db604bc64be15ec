"""The folder that `ifcurate augment` writes: rows, suite, rejections, funnel, review sheet.

========================  =====================================================
NAME.counterfactual.*     the rows, in the format of the input
suite.jsonl               context, question, answer, memory_answer: for evaluation
rejected.jsonl            all other rows, with stage and reason
augment.json              settings, identity of recogniser and lexicon, the funnel
review.html               a sample, side by side (`sample` above 0)
========================  =====================================================

Every file is written atomically. The same input and settings give the same bytes,
so a command with another `sample` adds the review sheet.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ifcurate.data.parse_rows import ReadRow
from ifcurate.data.readers.files import Source
from ifcurate.data.sources import Examples
from ifcurate.data.writing import name_outputs, refuse_inputs
from ifcurate.engines.base import EngineIdentity
from ifcurate.options.augment import AugmentOptions
from ifcurate.storage.files import (
    RowFile,
    atomic_file,
    file_digest,
    refuse_unwritable,
    write_json,
    write_text,
)
from ifcurate.storage.manifest import fingerprint, software_versions
from ifcurate.storage.replacing import refuse_replacing, remove_partials

from ..augment import Augmenter, in_order, load_recogniser
from ..avoided import read_avoided
from ..checks import Check
from ..lexicon.tables import LEXICON
from .journal import Journal
from .model_check import ModelJudge, judged, open_judge
from .outcomes import Funnel, Outcome
from .sheet import render_sheet, sample_rank


@dataclass(slots=True)
class AugmentResult:
    """What was written, and where."""

    folder: Path
    funnel: Funnel = field(default_factory=Funnel)
    files: dict[str, Path] = field(default_factory=dict)  # source name, "suite", ... -> file
    n_bad: int = 0  # rows that could not be read
    broken: list[str] = field(
        default_factory=list
    )  # sources that were not read completely, with the reason

    def count(self, record: Mapping[str, Any]) -> None:
        """Count one row of the journal."""
        self.funnel.add(record)
        self.n_bad += bool(record["bad"])
        self.broken += [record["loss"]] if record["loss"] else []


@dataclass(frozen=True)
class _Run:
    """The inputs of a run: its identity and its manifest."""

    examples: Examples
    augmenter: Augmenter
    judge: ModelJudge | None

    @cached_property
    def decides(self) -> dict[str, Any]:
        """Everything that the rows depend on; the review sheet shows some of them."""
        return {
            "inputs": [
                [s.name, s.format, file_digest(s.path) if _is_local(s) else ""]
                for s in self.examples.sources
            ],
            "layouts": [layout.as_record() for layout in self.examples.layouts],
            "limit": self.examples.limit,
            "settings": self.augmenter.as_record(),
            "recogniser": self.augmenter.recogniser.name,
            "lexicon": LEXICON.sha256,
            "judge": None if self.judge is None else self.judge.as_dict(),
        }

    def outcomes(self, known: int) -> Iterator[Outcome]:
        """Yield the outcome of each row after the first `known` ones."""
        augmenter = self.augmenter.prepared(self.examples)
        rows = itertools.islice(self.examples.read(), known, None)
        outcomes = in_order(lambda row: _outcome(row, augmenter), rows, augmenter.threads)
        yield from outcomes if self.judge is None else judged(outcomes, self.judge)

    def manifest(self, result: AugmentResult, command: str) -> dict[str, Any]:
        """Return the content of `augment.json`."""
        settings = dict(self.decides["settings"])
        avoided = len(settings.pop("avoid"))
        return {
            "step": "augment",
            "identity": fingerprint(self.decides, 16),
            "inputs": self.examples.formats,
            "columns": {
                source.name: dict(layout.columns)
                for source, layout in zip(self.examples.sources, self.examples.layouts, strict=True)
                if layout.columns
            },
            "settings": {**settings, "avoided": avoided},
            "recogniser": self.augmenter.recogniser.name,
            "lexicon": self.decides["lexicon"],
            "model_check": self.decides["judge"],
            "plans_refused": getattr(self.augmenter.recogniser, "refused", {}),
            "funnel": result.funnel.as_dict(),
            "broken_inputs": result.broken,
            "files": {name: path.name for name, path in result.files.items()},
            "command": command,
            "versions": software_versions(),
        }


def _is_local(source: Source) -> bool:
    return source.format != "hub" and source.path.is_file()


def write_counterfactuals(
    examples: Examples,
    options: AugmentOptions,
    folder: Path,
    *,
    overwrite: bool = False,
    command: str = "",
    on_row: Callable[[Funnel], None] = lambda _: None,
    on_model: Callable[[EngineIdentity], None] = lambda _: None,
) -> AugmentResult:
    """Write the counterfactuals of all rows into `folder`.

    A killed run of the same data and settings is resumed. `on_row` gets the counts after each row,
    `on_model` the model of `verify` once it is loaded. Raises `DataError` if a source cannot be
    read, a file cannot be written, or the folder has files of other data or settings (unless
    `overwrite`), and `ModelError` if the recogniser or the model cannot be loaded.
    """
    refuse_unwritable(folder)
    avoid = read_avoided(options.avoid or ())
    recogniser = load_recogniser(options, folder / "plans.jsonl")
    with open_judge(options, on_model) as judge:
        augmenter = Augmenter(recogniser, options, avoid)
        run = _Run(examples, augmenter, judge)
        identity = fingerprint(run.decides, 16)
        files = _name_files(examples.sources, folder, options.sample)
        journal = Journal(folder / ".augment.partial.jsonl", identity)
        ours = files.values() if journal.resumes or _is_same(folder, identity) else ()
        refuse_replacing(files.values(), ours=ours, command="augment", overwrite=overwrite)
        remove_partials(folder)
        result = AugmentResult(folder, files=files)
        with contextlib.closing(journal.records(run.outcomes(journal.known))) as records:
            for record in records:
                result.count(record)
                on_row(result.funnel)
    _write_rows(journal, examples.sources, files)
    if options.sample:
        chosen = heapq.nsmallest(
            options.sample,
            (
                row
                for record in journal.read()
                for row in record["rows"]
                if row["ifcurate_role"] == "counterfactual"
            ),
            key=lambda row: sample_rank(row["ifcurate_pair"], options.seed),
        )
        write_text(files["review"], render_sheet(chosen, result.funnel.as_dict()))
    write_json(files["manifest"], run.manifest(result, command))
    journal.remove()
    return result


def _name_files(sources: Sequence[Source], folder: Path, sample: int) -> dict[str, Path]:
    """Return the path of each file of a run; raises `DataError` if one is an input."""
    stems = {name: stem for name, (stem, _) in name_outputs(sources).items()}
    files = {}
    for source in sources:
        ending = "json" if source.format == "json" else "jsonl"
        files[source.name] = folder / f"{stems[source.name]}.counterfactual.{ending}"
    files["suite"], files["rejected"] = folder / "suite.jsonl", folder / "rejected.jsonl"
    if sample:
        files["review"] = folder / "review.html"
    files["manifest"] = folder / "augment.json"
    refuse_inputs(files.values(), sources)
    return files


def _is_same(folder: Path, identity: str) -> bool:
    """Return whether the folder has the result of the same data and settings."""
    try:
        known = json.loads((folder / "augment.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(known, dict) and known.get("identity") == identity


def _write_rows(journal: Journal, sources: Sequence[Source], files: Mapping[str, Path]) -> None:
    """Write the rows, one file at a time: the journal is in the order of the sources."""
    with (
        atomic_file(files["suite"]) as suite_stream,
        atomic_file(files["rejected"]) as rejected_stream,
    ):
        suite, rejected = RowFile(suite_stream), RowFile(rejected_stream)
        records = journal.read()
        record = next(records, None)
        for source in sources:
            with atomic_file(files[source.name]) as stream:
                rows = RowFile(stream, array=source.format == "json")
                while record is not None and record["source"] == source.name:
                    rows.write(*record["rows"])
                    suite.write(*record["suites"])
                    rejected.write(*record["rejected"])
                    record = next(records, None)
                rows.finish()


def _outcome(row: ReadRow, augmenter: Augmenter) -> Outcome:
    if row.bad is not None:
        bad = row.bad
        return Outcome(
            "", bad.source, bad.number, check=Check.ROW, reason=bad.error, bad=True, loss=bad.loss
        )
    if not row.examples:
        reason = "no response in it"
        return Outcome("", row.raw.source, row.raw.number, check=Check.ROW, reason=reason)
    return augmenter.row(row.examples)
