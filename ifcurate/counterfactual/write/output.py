"""The folder that `ifcurate augment` writes: rows, suite, rejections, funnel, review sheet.

========================  =====================================================
NAME.counterfactual.*     the rows, in the input's own layout
suite.jsonl               context, question, answer, memory_answer: to evaluate on
rejected.jsonl            every row without a counterfactual, with stage and reason
augment.json              settings, identity of recogniser and lexicon, the funnel
review.html               a sample, side by side (`sample` above 0)
========================  =====================================================

Every file takes its place only when it is whole; the same input and settings
give the same bytes.
"""

from __future__ import annotations

import contextlib
import heapq
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from ifcurate.data.readers.rows import Source
from ifcurate.data.sources import Examples, ReadRow
from ifcurate.data.writing import name_outputs, refuse_inputs
from ifcurate.storage.files import atomic_file, write_json
from ifcurate.storage.manifest import software_versions

from ..augment import Augmenter, AugmentSettings, freeze_pools
from ..checks import Check
from ..lexicon.tables import load_lexicon
from ..recognise.names import LexiconRecogniser
from ..recognise.spans import Recogniser
from .model_check import PairScorer, check_with_model
from .outcomes import Funnel, Outcome, Written
from .sheet import render_sheet, sample_rank

__all__ = ["AugmentResult", "ModelJudge", "write_counterfactuals"]


@dataclass(frozen=True, slots=True)
class ModelJudge:
    """The model check of a run: `scorer` scores, `threshold` is in nats."""

    scorer: PairScorer
    threshold: float
    identity: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class AugmentResult:
    """What was written, and where."""

    folder: Path
    funnel: Funnel = field(default_factory=Funnel)
    files: dict[str, Path] = field(default_factory=dict)  # source name, "suite", ... -> file
    n_bad: int = 0  # rows that could not be read
    broken: list[str] = field(default_factory=list)  # sources that were not read whole, with why


def write_counterfactuals(
    examples: Examples,
    settings: AugmentSettings,
    folder: Path,
    *,
    recogniser: Recogniser | None = None,
    judge: ModelJudge | None = None,
    sample: int = 0,
    command: str = "",
    on_row: Callable[[Funnel], None] = lambda _: None,
) -> AugmentResult:
    """Write the counterfactuals of all rows into `folder`.

    Raises `DataError` when a source cannot be read or a file not be written.
    """
    recogniser = recogniser or LexiconRecogniser(settings.types)
    pools = freeze_pools(examples, recogniser) if settings.policy == "corpus" else None
    augmenter = Augmenter.create(settings, recogniser, pools)
    result = AugmentResult(folder)
    outcomes: Iterator[Outcome] = (_outcome(row, augmenter, result) for row in examples.read())
    if judge is not None:
        outcomes = _judged(outcomes, judge)
    shown: list[tuple[bytes, int, Written]] = []
    with contextlib.ExitStack() as stack:
        streams = _Streams(stack, folder, examples.sources, result.files)
        for number, outcome in enumerate(outcomes):
            result.funnel.add(outcome)
            on_row(result.funnel)
            if not outcome.written:
                streams.rejected(outcome.as_record())
            for item in outcome.written:
                streams.written(outcome.source, item)
                if sample:
                    _keep(shown, sample, number, item, settings.seed)
    if sample:
        ordered = [w for _, _, w in sorted(shown, key=lambda s: s[1])]
        page = render_sheet(ordered, result.funnel.as_dict())
        result.files["review"] = folder / "review.html"
        with atomic_file(result.files["review"]) as stream:
            stream.write(page.encode("utf-8"))
    result.files["manifest"] = folder / "augment.json"
    write_json(
        result.files["manifest"],
        _manifest(examples, settings, recogniser, judge, result, command),
    )
    return result


def _outcome(row: ReadRow, augmenter: Augmenter, result: AugmentResult) -> Outcome:
    if row.bad is not None:
        result.n_bad += 1
        result.broken += [row.bad.loss] if row.bad.loss else []
        return Outcome("", row.bad.source, row.bad.number, check=Check.ROW, reason=row.bad.reason)
    if not row.examples:
        return Outcome(
            "", row.raw.source, row.raw.number, check=Check.ROW, reason="no response in it"
        )
    return augmenter.row(row.examples)


def _keep(
    shown: list[tuple[bytes, int, Written]], size: int, number: int, item: Written, seed: int
) -> None:
    """Keep the `size` smallest ranks seen so far (the heap holds the largest on top)."""
    rank = bytes(255 - b for b in sample_rank(item, seed))
    entry = (rank, number * 1000 + len(shown) % 1000, item)
    if len(shown) < size:
        heapq.heappush(shown, entry)
    elif rank > shown[0][0]:
        heapq.heapreplace(shown, entry)


def _judged(outcomes: Iterable[Outcome], judge: ModelJudge) -> Iterator[Outcome]:
    """Outcomes after the model check, in order; scored in batches."""
    batch: list[Outcome] = []
    for outcome in outcomes:
        batch.append(outcome)
        if sum(len(o.written) for o in batch) >= 64 or len(batch) >= 4096:
            yield from _judge(batch, judge)
            batch = []
    yield from _judge(batch, judge)


def _judge(batch: list[Outcome], judge: ModelJudge) -> Iterator[Outcome]:
    items = [w for o in batch for w in o.written]
    checked = iter(check_with_model(items, judge.scorer, threshold=judge.threshold))
    for outcome in batch:
        if not outcome.written:
            yield outcome
            continue
        kept, reason = [], ""
        for _ in outcome.written:
            item, check, why = next(checked)
            if why or check is None:
                reason = reason or why
                continue
            columns = check.columns()
            rows = tuple(
                {**row, **columns} if row.get("ifcurate_role") == "counterfactual" else row
                for row in item.rows
            )
            kept.append(replace(item, rows=rows))
        if kept:
            yield replace(outcome, written=tuple(kept))
        else:
            yield replace(outcome, written=(), check=Check.MODEL, reason=reason)


class _Streams:
    """The files under way: one per source, the suite, the rejections."""

    def __init__(
        self,
        stack: contextlib.ExitStack,
        folder: Path,
        sources: Iterable[Source],
        files: dict[str, Path],
    ):
        self._rows: dict[str, _RowFile] = {}
        sources = list(sources)
        stems = {name: stem for name, (stem, _) in name_outputs(sources).items()}
        for source in sources:
            array = source.format == "json"
            ending = "json" if array else "jsonl"
            files[source.name] = folder / f"{stems[source.name]}.counterfactual.{ending}"
        files["suite"], files["rejected"] = folder / "suite.jsonl", folder / "rejected.jsonl"
        refuse_inputs(files.values(), sources)
        for source in sources:
            path, array = files[source.name], source.format == "json"
            self._rows[source.name] = _RowFile(stack.enter_context(atomic_file(path)), array=array)
            stack.callback(self._rows[source.name].finish)
        self._suite = _RowFile(stack.enter_context(atomic_file(files["suite"])))
        self._rejected = _RowFile(stack.enter_context(atomic_file(files["rejected"])))

    def written(self, source: str, item: Written) -> None:
        for row in item.rows:
            self._rows[source].write(row)
        self._suite.write(item.suite)

    def rejected(self, record: Mapping[str, Any]) -> None:
        self._rejected.write(record)


class _RowFile:
    """JSON lines, or one JSON array with a row per line."""

    def __init__(self, stream: IO[bytes], *, array: bool = False):
        self._stream = stream
        self._array = array
        self._empty = True

    def write(self, row: Mapping[str, Any]) -> None:
        text = json.dumps(row, ensure_ascii=False, default=str).encode("utf-8")
        if self._array:
            self._stream.write((b"[\n" if self._empty else b",\n") + text)
        else:
            self._stream.write(text + b"\n")
        self._empty = False

    def finish(self) -> None:
        if self._array:
            self._stream.write(b"[]\n" if self._empty else b"\n]\n")


def _manifest(
    examples: Examples,
    settings: AugmentSettings,
    recogniser: Recogniser,
    judge: ModelJudge | None,
    result: AugmentResult,
    command: str,
) -> dict[str, Any]:
    return {
        "step": "augment",
        "inputs": examples.formats,
        "settings": {
            "policy": settings.policy,
            "types": list(settings.types),
            "seed": settings.seed,
            "variants": settings.variants,
            "emit": settings.emit,
            "avoided": len(settings.avoid),
        },
        "recogniser": recogniser.name,
        "lexicon": load_lexicon().sha256,
        "model_check": None
        if judge is None
        else {"threshold": judge.threshold, **dict(judge.identity)},
        "funnel": result.funnel.as_dict(),
        "broken_inputs": result.broken,
        "files": {name: path.name for name, path in result.files.items()},
        "command": command,
        "versions": software_versions(),
    }
