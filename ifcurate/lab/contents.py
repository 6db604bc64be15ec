"""The rows and questions in a laboratory's folder, read and written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ifcurate.data.sources import read_examples
from ifcurate.evaluation.questions import Question
from ifcurate.lab.plan import Laboratory
from ifcurate.records import Example
from ifcurate.storage.files import atomic_file

__all__ = ["read_exam", "read_mixture", "write_rows"]


def read_exam(lab: Laboratory) -> list[Question]:
    """All questions of the evaluation."""
    return [
        Question(
            q["id"], q["suite"], q["context"], q["question"],
            tuple(q["context_answers"]), tuple(q["memory_answers"]),
        )
        for own in lab.read_json(lab.exam).values()
        for q in own
    ]  # fmt: skip


def read_mixture(lab: Laboratory) -> list[Example]:
    """The mixture's examples, read like any other file."""
    return list(read_examples(str(lab.mixture)))


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write JSON Lines atomically."""
    with atomic_file(path) as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n")
