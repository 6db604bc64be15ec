"""Write a mixture for a trainer: its data file, its configuration, a manifest, the command."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl
import yaml

from ifcurate.errors import DataError
from ifcurate.exports import models
from ifcurate.exports.rows import (
    WEIGHT,
    Row,
    UnfitError,
    add_rejected,
    add_weights,
    count_trained,
    remove_end_markers,
)
from ifcurate.exports.trainers import CHAT_TEMPLATE, TRAINERS, ExportPlan
from ifcurate.mixing.mixture import Mixture
from ifcurate.options.base import takes_options
from ifcurate.options.export import ExportOptions
from ifcurate.phrases import check_type, count
from ifcurate.storage.files import RowFile, atomic_file, file_digest, write_json_lines, write_text
from ifcurate.storage.manifest import Manifest, read_manifest
from ifcurate.storage.replacing import refuse_other, remove_partials

EXPORT: Final = "export.json"
_LEFT_OUT: Final = "left_out.jsonl"


@dataclass(frozen=True, slots=True, repr=False)
class Export:
    """What was written for a trainer."""

    folder: Path
    manifest: Manifest
    command: str  # the command that trains on it; "" for a plain format

    def __repr__(self) -> str:
        return f"Export({self.folder}: {count(self.manifest.counts['written'], 'row')})"

    @property
    def data(self) -> Path:
        """The file to train on."""
        return self.folder / self.manifest.outputs["data"]


@takes_options(ExportOptions)
def export_mixture(
    mixture: Mixture, folder: str | Path, *, overwrite: bool = False, options: ExportOptions
) -> Export:
    """Write a mixture for a trainer.

    The columns that ifcurate added are left out. `left_out.jsonl` lists the rows that do not
    fit the format, with the reason.

    Raises:
        DataError: no row fits, the folder holds other files or another export (unless
            `overwrite`), or queries and keys of the model cannot be trained alone.
        ModelError: the model's weights cannot be read (`qk_only`).
    """
    check_type("mixture", mixture, Mixture, "give mix_examples(...), or read_mixture(FOLDER)")
    folder = Path(folder)
    find = models.scored_by if options.is_plain else models.find_scored_model
    model = options.model or find(mixture)
    if not options.is_plain and not model:
        raise DataError(
            f"export {options.trainer}: no model is named, and none scored the data; "
            "name the model that you will train: --model MODEL"
        )
    if options.qk_only:
        models.check_separate_projections(model, models.list_weights(model))
    if options.indicator:
        _check_labels(mixture)
    remove_partials(folder)
    _refuse_foreign(folder)
    plan = _plan(mixture, folder, models.locate_model(model) if model else "", options)
    identity = {
        "mixture": mixture.manifest.identity,
        "options": options.model_dump(mode="json"),
        "model": plan.model,
    }
    refuse_other(folder / EXPORT, identity, overwrite=overwrite)
    is_new = not (folder / EXPORT).exists()
    # After a kill, the folder is known as that of an export.
    Manifest.create("export", identity=identity).write(folder / EXPORT)
    try:
        counts, markers = _write_rows(mixture, plan)
    except DataError:
        if is_new:
            (folder / EXPORT).unlink()
            with contextlib.suppress(OSError):  # it contains a file that no export wrote
                folder.rmdir()
        raise
    names, stale = _write_config(plan), mixture.manifest.stale
    trainer = TRAINERS[options.trainer]
    command = trainer.command(plan)
    files = [trainer.data, *names, *([_LEFT_OUT] if counts["left_out"] else [])]
    manifest = Manifest.create(
        "export",
        identity=identity,
        counts=counts,
        outputs={"data": trainer.data, **{name: name for name in files[1:]}},
        digests={name: file_digest(folder / name) for name in files},
        notes=[
            *([f"rows are of a filter that was out of date; {stale}"] if stale else []),
            *_notes(plan, counts["left_out"]),
            *_describe_markers(markers),
        ],
        finished=True,
        command=command,
    )
    manifest.write(folder / EXPORT)
    return Export(folder, manifest, command)


def _check_labels(mixture: Mixture) -> None:
    labels = mixture.collect(mixture.rows.select(pl.col("ifcurate_label").unique()))[:, 0]
    if "context-critical" not in labels.to_list():
        raise DataError(
            "indicator: no row is labelled context-critical, so nothing would be marked; "
            "mix what `ifcurate split` or `ifcurate filter` labelled"
        )


def _refuse_foreign(folder: Path) -> None:
    if (folder / EXPORT).exists():
        if read_manifest(folder / EXPORT).step != "export":
            raise DataError(f"{folder / EXPORT}: belongs to another step; choose another folder")
    elif folder.is_dir() and any(folder.iterdir()):
        raise DataError(f"{folder}: holds other files; choose an empty folder with -o")


def _plan(mixture: Mixture, folder: Path, model: str, options: ExportOptions) -> ExportPlan:
    roles = pl.col("messages").list.eval(pl.element().struct.field("role") == "assistant")
    seen = (
        (roles.list.sum() > 1).any().alias("multi"),
        pl.col("tools").is_not_null().any(),
        pl.col("ifcurate_record").str.contains(WEIGHT).any(),
    )
    multi, tools, weighted = mixture.collect(mixture.rows.select(seen)).row(0)
    if weighted:
        multi = any(count_trained(row) > 1 for row, _ in _rows(mixture, options))
    templates = {o["template"]["name"] for o in mixture.origins.values() if o.get("template")}
    alpaca = templates == {"alpaca"} and models.scored_by(mixture) in (model, Path(model).name)
    problem: str | None = ""
    if options.trainer == "trl" and options.objective == "sft" and not alpaca:
        problem = models.template_problem(model, several=bool(multi))
    return ExportPlan(
        folder, model, options, bool(multi), bool(weighted), bool(tools), alpaca, problem
    )


def _write_rows(mixture: Mixture, plan: ExportPlan) -> tuple[dict[str, int], Counter[str]]:
    """Write the data file and the rows that do not fit.

    Returns the counts of both, and of the written rows that lost an end-of-text marker.
    """
    trainer = TRAINERS[plan.options.trainer]
    to_row = trainer.to_row(plan)
    markers = Counter[str]()
    n_written = 0
    left: list[dict[str, Any]] = []
    with atomic_file(plan.folder / trainer.data) as stream:
        rows = RowFile(stream, array=trainer.data.endswith(".json"))
        for row, removed in _rows(mixture, plan.options):
            try:
                made = to_row(row)
            except UnfitError as reason:
                place = {name: row[f"ifcurate_{name}"] for name in ("component", "source", "row")}
                left.append({**place, "reason": str(reason)})
                continue
            rows.write(made)
            n_written += 1
            markers.update(removed)
        rows.finish()
        if not n_written:
            why = f"the first {left[0]['reason']}" if left else "the mixture is empty"
            advice = "choose another trainer" if left else "dropped.parquet says why"
            if left and plan.options.objective == "dpo":
                advice = "export preference rows, or leave out --objective dpo"
            raise DataError(
                f"export {plan.options.trainer}: no row can be written: {why}; {advice}"
            )
    if left:
        write_json_lines(plan.folder / _LEFT_OUT, left)
    return {"rows": n_written + len(left), "written": n_written, "left_out": len(left)}, markers


def _rows(mixture: Mixture, options: ExportOptions) -> Iterator[tuple[Row, list[str]]]:
    """Yield the rows as they are exported, each with the end-of-text markers that it lost."""
    for frame in mixture.frames(size=8192):
        for read in frame.iter_rows(named=True):
            row = add_rejected(read) if options.objective == "dpo" else read
            row = add_weights(row)
            if options.indicator and row["ifcurate_label"] == "context-critical":
                row = {**row, "indicator": options.indicator}
            yield (row, []) if options.keep_end_markers else remove_end_markers(row)


def _write_config(plan: ExportPlan) -> list[str]:
    files = TRAINERS[plan.options.trainer].config(plan)
    for name, content in files.items():
        if name.endswith(".json"):
            text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        elif isinstance(content, str):
            text = content
        else:
            text = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True)
        write_text(plan.folder / name, text)
    return list(files)


def _describe_markers(markers: Counter[str]) -> list[str]:
    if not markers:
        return []
    shown = [f"{name} ({count(n, 'row')})" for name, n in markers.most_common(5)]
    more = ["..."] * (len(markers) > 5)
    return [
        f"taken off the end of responses, as in scoring: {', '.join([*shown, *more])}; "
        "--keep-end-markers exports them"
    ]


def _notes(plan: ExportPlan, n_left_out: int) -> list[str]:
    notes = []
    options = plan.options
    masks_earlier = options.trainer in ("trl", "llama-factory") and plan.weighted
    if options.trainer == "llama-factory":
        notes.append("template: default suits base models; name your chat model's own template")
    if options.trainer == "trl" and options.objective == "sft":
        marks = ""
        if plan.multi_turn:
            notes.append("rows have several answers; the loss is on all (assistant_only_loss)")
            marks = " that marks the answers"
        if plan.alpaca:
            notes.append(
                f"the rows were scored with the template alpaca; {CHAT_TEMPLATE} is like it"
            )
        elif plan.template_problem:
            notes.append(f"{plan.template_problem}, so the command names {CHAT_TEMPLATE}")
        elif plan.template_problem is None:
            notes.append(
                f"TRL needs a chat template{marks}; if the model has none (a base model), or TRL "
                f"refuses it, add --chat_template_path {shlex.quote(plan.path(CHAT_TEMPLATE))}"
            )
    if masks_earlier and plan.multi_turn and n_left_out:
        notes.append(
            "some rows have several answers to train on, so rows with an answer of weight 0 are "
            "left out; a mixture of such rows alone keeps those whose last answer is trained on"
        )
    if options.indicator and options.trainer not in ("axolotl", "llama-factory"):
        notes.append(
            f"{options.indicator} is plain text to the tokenizer unless you add it as a token"
        )
    return notes
