"""What a person decided by hand: labels of a run's examples, and verdicts on counterfactual rows.

A label replaces that of the rule in a split. It belongs to an example, by source, row and turn,
and is in `overrides.json` in the run folder. A verdict belongs to the hash of a row's content, so
a new file does not give it to other rows. It is in `verdicts.json` beside the rows. No other step
changes these files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeVar

import polars as pl
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from ifcurate.errors import RunError
from ifcurate.phrases import first_line
from ifcurate.storage.files import write_json
from ifcurate.storage.manifest import fingerprint
from ifcurate.storage.tables import SPLIT

OVERRIDES: Final = "overrides.json"
BY_HAND: Final = "set by hand"  # the start of the reason of such a row
VERDICTS: Final = "verdicts.json"
Verdict = Literal["good", "broken"]
Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)
T = TypeVar("T")
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


#: The objects in the two files.
_LABELS: Final = TypeAdapter(dict[Literal["labels"], list[Override]])
_VERDICTS: Final = TypeAdapter(dict[Literal["verdicts"], dict[str, Verdict]])  # by the row's hash


def _read(path: Path, kind: TypeAdapter[T], what: str) -> T:
    """Return the object in a file, empty without a file. Raises `RunError`."""
    try:
        return kind.validate_json(path.read_bytes() if path.exists() else b"{}")
    except (OSError, ValidationError) as error:
        raise RunError(
            f"{path}: not a file of {what}: {first_line(error)}; repair it, or move it away to "
            "continue without them"
        ) from error


def read_overrides(folder: Path) -> dict[Key, Override]:
    """Return the overrides of a run folder, empty without a file. Raises `RunError`."""
    labels = _read(folder / OVERRIDES, _LABELS, "labels set by hand").get("labels", [])
    return {item.key: item for item in labels}


def read_verdicts(folder: Path) -> dict[str, Verdict]:
    """Return the verdicts of a folder by the hash of the row, empty without a file.

    Raises `RunError`.
    """
    return _read(folder / VERDICTS, _VERDICTS, "verdicts").get("verdicts", {})


def write_verdicts(folder: Path, verdicts: Mapping[str, Verdict]) -> None:
    """Replace the verdicts of a folder. Raises `DataError`."""
    write_json(folder / VERDICTS, {"verdicts": dict(sorted(verdicts.items()))})


def write_overrides(folder: Path, overrides: Mapping[Key, Override]) -> None:
    """Write `overrides.json` atomically. Raises `DataError`."""
    labels = [overrides[key].model_dump() for key in sorted(overrides)]
    write_json(folder / OVERRIDES, {"labels": labels})


def fingerprint_overrides(overrides: Mapping[Key, Override]) -> str:
    """Return a fingerprint of the labels, without the times; "" for no label."""
    if not overrides:
        return ""
    return fingerprint({json.dumps(key): item.label for key, item in overrides.items()}, 8)


def apply_overrides(table: Frame, overrides: Mapping[Key, Override]) -> Frame:
    """Return a SPLIT table where labels set by hand replace those of the rule.

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
