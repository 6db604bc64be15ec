"""Verdicts of a person on counterfactual rows: a file beside them, `verdicts.json`.

A verdict belongs to the hash of a row's content, so a new file does not give it to other rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ifcurate.errors import RunError
from ifcurate.phrases import first_line
from ifcurate.storage.files import write_json

VERDICTS: Final = "verdicts.json"
Verdict = Literal["good", "broken"]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    verdicts: dict[str, Verdict]  # hash of the row -> verdict


def read_verdicts(folder: Path) -> dict[str, Verdict]:
    """The verdicts of a folder by the hash of the row; none where there is no file.

    Raises `RunError` for a damaged file.
    """
    path = folder / VERDICTS
    if not path.exists():
        return {}
    try:
        return _File.model_validate_json(path.read_bytes()).verdicts
    except (OSError, ValidationError) as error:
        raise RunError(
            f"{path}: not a file of verdicts: {first_line(error)}; repair it, or "
            "move it away to continue without them"
        ) from error


def write_verdicts(folder: Path, verdicts: Mapping[str, Verdict]) -> None:
    """Replace the verdicts of a folder."""
    write_json(folder / VERDICTS, {"verdicts": dict(sorted(verdicts.items()))})
