"""Labels that a person set by hand, in `overrides.json` in the run folder.

The file has one entry for each example, identified by source, row and turn. In a split, these
labels replace those of the rule. No step changes the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeVar

import polars as pl
from pydantic import BaseModel, ConfigDict, ValidationError

from ifcurate.errors import RunError
from ifcurate.phrases import first_line
from ifcurate.storage.files import write_json
from ifcurate.storage.manifest import fingerprint
from ifcurate.storage.tables import SPLIT

OVERRIDES: Final = "overrides.json"
BY_HAND: Final = "set by hand"  # the start of the reason of such a row
Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)
Key = tuple[str, int, int]  # source, row, turn


class Override(BaseModel):
    """One label that was set by hand."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    row: int
    turn: int
    id: str
    label: Literal["context-critical", "non-context-critical"]
    at: str  # UTC, ISO 8601

    @property
    def key(self) -> Key:
        """The example that has this label."""
        return self.source, self.row, self.turn


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    labels: list[Override]


def read_overrides(folder: Path) -> dict[Key, Override]:
    """The overrides of a run folder, empty without a file. Raises `RunError`."""
    path = folder / OVERRIDES
    if not path.exists():
        return {}
    try:
        file = _File.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise RunError(
            f"{path}: not a file of labels set by hand: {first_line(error)}; repair "
            "it, or move it away to continue without it"
        ) from error
    return {item.key: item for item in file.labels}


def write_overrides(folder: Path, overrides: Mapping[Key, Override]) -> None:
    """Write `overrides.json` atomically. Raises `DataError`."""
    labels = [overrides[key].model_dump() for key in sorted(overrides)]
    write_json(folder / OVERRIDES, {"labels": labels})


def fingerprint_overrides(overrides: Mapping[Key, Override]) -> str:
    """A fingerprint of the labels, without the times; "" for no label."""
    if not overrides:
        return ""
    return fingerprint({json.dumps(key): item.label for key, item in overrides.items()}, 8)


def apply_overrides(table: Frame, overrides: Mapping[Key, Override]) -> Frame:
    """A SPLIT table where labels set by hand replace those of the rule.

    Their confidence is 1, and the reason keeps that of the rule. Applying the same overrides
    again changes nothing. Only rows with a score can have such a label.
    """
    if not overrides:
        return table
    frame = _as_frame(overrides)
    other = frame.lazy() if isinstance(table, pl.LazyFrame) else frame
    joined = table.join(other, on=["source", "row", "turn"], how="left", maintain_order="left")
    labelled = pl.col("label").is_in(["context-critical", "non-context-critical"])
    changed = pl.col("by_hand").is_not_null() & labelled
    words = pl.format(BY_HAND + "; the rule: {}", pl.col("reason").fill_null("no reason"))
    already = pl.col("reason").str.starts_with(BY_HAND).fill_null(False)
    return joined.with_columns(
        pl.when(changed).then("by_hand").otherwise("label").alias("label"),
        pl.when(changed).then(1.0).otherwise("confidence").alias("confidence"),
        pl.when(changed & ~already).then(words).otherwise("reason").alias("reason"),
    ).drop("by_hand")


def _as_frame(overrides: Mapping[Key, Override]) -> pl.DataFrame:
    """Columns source, row, turn (as in SPLIT) and by_hand."""
    place = {name: SPLIT[name] for name in ("source", "row", "turn")}
    rows = [(*key, item.label) for key, item in overrides.items()]
    return pl.DataFrame(rows, schema={**place, "by_hand": pl.String}, orient="row")
