"""Augmented examples under review: the original beside its counterfactual, good or broken.

`ifcurate augment` writes the rows into the run's folder. Verdicts are saved in
``verdicts.json`` beside them, by a hash of the row's content, so a new file does not
give them to other rows. `mix` leaves out the rows that are broken.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args

from ifcurate.counterfactual.edit.edits import row_texts
from ifcurate.data.parse_rows import row_hash
from ifcurate.errors import DataError
from ifcurate.reports.examples import Segments, slice_segments
from ifcurate.storage.by_hand import Verdict, read_verdicts, write_verdicts
from ifcurate.storage.files import read_json_rows

CHARACTERS: Final = 20_000
MOST_ROWS: Final = 100_000
PLAIN, NEW, GAP = 0, 1, 3  # the same numbers as in the page's script


class Counterfactuals:
    """The counterfactual rows of a folder, in the files' order."""

    def __init__(self, folder: Path) -> None:
        """Read them. Raises `DataError` for a damaged file, `RunError` for damaged verdicts."""
        self._folder = folder
        self._lock = threading.Lock()
        self._rows: dict[str, dict[str, Any]] = {}  # hash -> row
        for row in _read_rows(folder):
            if row.get("ifcurate_role") == "counterfactual" and len(self._rows) < MOST_ROWS:
                self._rows[row_hash(row)] = row
        self._hashes = list(self._rows)
        self._verdicts = read_verdicts(folder)

    def __len__(self) -> int:
        return len(self._rows)

    def counts(self) -> dict[str, int]:
        """Return the number of rows, and of verdicts of each kind."""
        verdicts = [self._verdicts[name] for name in self._hashes if name in self._verdicts]
        counts = {verdict: verdicts.count(verdict) for verdict in get_args(Verdict)}
        return {"total": len(self), **counts}

    def show(self, place: int) -> dict[str, Any] | None:
        """One pair with its edits marked; None where there is no such row."""
        if not 0 <= place < len(self):
            return None
        name = self._hashes[place]
        row = self._rows[name]
        fields = [
            (path, *_undo(text, [e for e in _edits(row) if e.get("field") == path]))
            for path, text in row_texts(row).items()
            if not path.startswith("ifcurate_") and path not in ("answer", "memory_answer")
        ]
        return {
            "place": place,
            "hash": name,
            "verdict": self._verdicts.get(name),
            "original": row.get("ifcurate_original"),
            "substitute": row.get("ifcurate_substitute"),
            "type": row.get("ifcurate_type"),
            "fields": fields,
            "counts": self.counts(),
        }

    def judge(self, name: str, verdict: Verdict | None) -> bool:
        """Save a verdict, or remove it with None; False where there is no such row."""
        if name not in self._rows:
            return False
        with self._lock:
            verdicts = read_verdicts(self._folder)  # another window may have saved some
            if verdict is None:
                verdicts.pop(name, None)
            else:
                verdicts[name] = verdict
            write_verdicts(self._folder, verdicts)
            self._verdicts = verdicts
        return True

    def decisions(self) -> list[dict[str, Any]]:
        """Return every verdict with its row's hash, original and substitute."""
        return [
            {
                "hash": name,
                "verdict": self._verdicts[name],
                "original": self._rows[name].get("ifcurate_original"),
                "substitute": self._rows[name].get("ifcurate_substitute"),
            }
            for name in self._hashes
            if name in self._verdicts
        ]


def _read_rows(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.counterfactual.json*")):
        try:
            yield from (row for row in read_json_rows(path) if isinstance(row, dict))
        except (OSError, ValueError) as error:
            raise DataError(
                f"{path}: not readable as rows of `ifcurate augment`: {error}; make it again, or "
                "move it away"
            ) from error


def _edits(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    edits = row.get("ifcurate_edits")
    return [e for e in edits if isinstance(e, dict)] if isinstance(edits, list) else []


def _undo(text: str, edits: list[dict[str, Any]]) -> tuple[Segments, Segments]:
    """Return the text before and after its edits, in segments.

    Unmarked where the edits do not fit.
    """
    before: Segments = []
    after: Segments = []
    at = 0
    for edit in sorted(edits, key=lambda e: int(e["new_start"])):
        start, end = int(edit["new_start"]), int(edit["new_end"])
        if start < at or text[start:end] != edit["new"]:
            return _cut([(text, PLAIN)]), _cut([(text, PLAIN)])
        before += [(text[at:start], PLAIN), (str(edit["old"]), NEW)]
        after += [(text[at:start], PLAIN), (text[start:end], NEW)]
        at = end
    return _cut([*before, (text[at:], PLAIN)]), _cut([*after, (text[at:], PLAIN)])


def _cut(segments: Segments) -> Segments:
    """Return the segments up to the limit of a page."""
    rest = [(" … the rest is not shown ", GAP)]
    is_whole = sum(len(text) for text, _ in segments) <= CHARACTERS
    return slice_segments(segments, 0, CHARACTERS) + ([] if is_whole else rest)
