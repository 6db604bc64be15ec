"""What a run has done so far, a line per row: a killed run resumes behind its last whole line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ifcurate.errors import DataError

from .outcomes import Outcome

__all__ = ["Journal", "RowFile"]


class Journal:
    """A file of one JSON line per row, in the input's order, below a line with the identity."""

    def __init__(self, path: Path, identity: str):
        self._path, self._identity = path, identity
        self._size = 0  # bytes of the whole lines of the same identity
        self.known = 0  # rows that are done
        self._stream: IO[bytes] | None = None
        try:
            with path.open("rb") as stream:
                if json.loads(stream.readline()) == {"identity": identity}:
                    self._size = stream.tell()
                    for line in stream:
                        if not line.endswith(b"\n"):
                            break  # cut short when the run was killed
                        self.known += 1
                        self._size += len(line)
        except (OSError, ValueError):
            self.known = 0

    @property
    def resumes(self) -> bool:
        """Whether a run of the same identity stopped here."""
        return self._size > 0

    def __enter__(self) -> Journal:
        """Open the file behind what is known. Raises `DataError` when it cannot be written."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self._path.open("r+b" if self.resumes else "wb")
            self._stream.truncate(self._size)
            self._stream.seek(self._size)
            if not self.resumes:
                self._stream.write(json.dumps({"identity": self._identity}).encode() + b"\n")
        except OSError as error:
            raise self._unwritable(error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file; what was written stays."""
        if self._stream is not None:
            self._stream.close()

    def records(self, outcomes: Iterable[Outcome]) -> Iterator[Mapping[str, Any]]:
        """What is known, then the record of each outcome once it is written down."""
        assert self._stream is not None
        if self.known:
            yield from self.read()
        for outcome in outcomes:
            record = outcome.as_record()
            text = json.dumps(record, ensure_ascii=False, default=str)
            try:
                self._stream.write(text.encode("utf-8", "surrogatepass") + b"\n")
            except OSError as error:
                raise self._unwritable(error) from error
            yield record

    def read(self) -> Iterator[dict[str, Any]]:
        """All records so far."""
        with self._path.open("rb") as stream:
            stream.readline()
            for line in stream:
                yield json.loads(line.decode("utf-8", "surrogatepass"))

    def remove(self) -> None:
        """The run is finished."""
        self._path.unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> DataError:
        return DataError(
            f"{self._path}: cannot be written: {error}; free some space or choose another folder "
            "with --out; the same command resumes where this stopped"
        )


class RowFile:
    """JSON lines, or one JSON array with a row per line."""

    def __init__(self, stream: IO[bytes], *, array: bool = False):
        self._stream = stream
        self._array = array
        self._empty = True

    def write(self, *rows: Mapping[str, Any]) -> None:
        """Add rows."""
        for row in rows:
            text = json.dumps(row, ensure_ascii=False, default=str).encode("utf-8")
            if self._array:
                self._stream.write((b"[\n" if self._empty else b",\n") + text)
            else:
                self._stream.write(text + b"\n")
            self._empty = False

    def finish(self) -> None:
        """Close the array."""
        if self._array:
            self._stream.write(b"[]\n" if self._empty else b"\n]\n")
