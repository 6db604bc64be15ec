"""A mixture: rows in training order, the dropped rows with reasons, and a manifest.

On disk a mixture is a folder: `mixture.parquet` (the rows), `dropped.parquet` (every row that
was read and is not in the mixture, with the reason), `mixture.json` (the manifest) and
`README.md` (the card).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from ifcurate.errors import DataError, RunError
from ifcurate.mixing.schema import MIXTURE
from ifcurate.storage.files import GROUP_ROWS, file_digest, sink_tables, stream_frames, write_table
from ifcurate.storage.manifest import Manifest, read_manifest

DATA: Final = "mixture.parquet"
DROPPED_NAME: Final = "dropped.parquet"
MANIFEST: Final = "mixture.json"

#: The rows that are not in the mixture.
DROPPED: Final = pl.Schema(
    {
        "component": pl.String(),
        "source": pl.String(),
        "row": pl.Int64(),
        "label": pl.String(),
        "reason": pl.String(),
        "detail": pl.String(),
    }
)


@dataclass(frozen=True, slots=True, repr=False)
class Mixture:
    """The rows of a mixture in training order, the dropped rows and the manifest."""

    rows: pl.LazyFrame  # columns: ifcurate.mixing.schema.MIXTURE
    dropped: pl.DataFrame  # columns: DROPPED
    manifest: Manifest
    folder: Path | None = None  # None if the mixture is in memory

    def __repr__(self) -> str:
        return f"Mixture({self.n_rows:,} rows, {self.dropped.height:,} left out)"

    @property
    def n_rows(self) -> int:
        """How many rows it has, copies included."""
        return self.manifest.counts["rows"]

    @property
    def n_tokens(self) -> int | None:
        """How many tokens it has, by the manifest; None when they were not counted."""
        return self.manifest.counts.get("tokens")

    def frames(
        self, columns: Sequence[str] | None = None, size: int = GROUP_ROWS
    ) -> Iterator[pl.DataFrame]:
        """The rows, or some of their columns, `size` rows at a time."""
        rows = self.rows if columns is None else self.rows.select(columns)
        for start in range(0, self.n_rows, size):
            yield rows.slice(start, size).collect()

    def save(self, folder: str | Path) -> Mixture:
        """Write the mixture to a folder. Raises `DataError` when it cannot be written."""
        return save_mixture(self.frames(), self.dropped, self.manifest, Path(folder))


def save_mixture(
    frames: Iterator[pl.DataFrame], dropped: pl.DataFrame, manifest: Manifest, folder: Path
) -> Mixture:
    """Write rows, dropped rows and manifest. The manifest is finished last.

    Raises `DataError` when a file cannot be written, or the folder has files of these names
    that are not of a mixture.
    """
    refuse_foreign(folder)
    identity = {"id": manifest.id, **manifest.identity}
    # After a kill, the folder is known as that of a mixture.
    manifest.model_copy(update={"finished": False}).write(folder / MANIFEST)
    sink_tables({folder / DATA: stream_frames(frames, MIXTURE)}, identity)
    write_table(dropped, folder / DROPPED_NAME, identity)
    files = (DATA, DROPPED_NAME)
    manifest = manifest.model_copy(
        update={
            "outputs": {"rows": DATA, "dropped": DROPPED_NAME},
            "digests": {name: file_digest(folder / name) for name in files},
            "finished": True,
        }
    )
    manifest.write(folder / MANIFEST)
    return read_mixture(folder)


def refuse_foreign(folder: Path) -> None:
    """Raise `DataError` when the folder has files of these names that are not of a mixture."""
    if (folder / MANIFEST).exists():
        if read_manifest(folder / MANIFEST).step == "mix":
            return
        raise DataError(f"{folder / MANIFEST}: belongs to another step; choose another folder")
    names = [name for name in (DATA, DROPPED_NAME, "README.md") if (folder / name).exists()]
    if names:
        raise DataError(
            f"{folder}: holds {', '.join(names)} and no {MANIFEST}; they would be replaced; "
            "choose another folder with -o, or move them away"
        )


def read_mixture(folder: str | Path) -> Mixture:
    """The mixture in a folder. Rows are read when they are used.

    Raises `RunError` when there is no mixture, or it is not complete.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        raise RunError(
            f"{folder}: holds no mixture; found no {MANIFEST}; name the folder that "
            "`ifcurate mix` wrote"
        )
    manifest = read_manifest(folder / MANIFEST)
    missing = [n for n in manifest.outputs.values() if not (folder / n).is_file()]
    if manifest.step != "mix" or missing or not manifest.finished:
        what = f"{missing[0]} is missing" if missing else f"its manifest is of {manifest.step}"
        what = what if manifest.finished else "it was stopped"
        raise RunError(f"{folder}: holds no complete mixture; {what}; mix again")
    try:
        # Open files, because polars reads names like `exp[1]` and `s3:` as patterns and URLs.
        with (folder / DROPPED_NAME).open("rb") as stream:
            dropped = pl.read_parquet(stream)
        with (folder / DATA).open("rb") as stream:
            columns = list(pl.read_parquet_schema(stream))
            rows = pl.scan_parquet(stream)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise RunError(f"{folder}: cannot be read: {error}; mix again") from error
    if columns != list(MIXTURE):
        raise RunError(f"{folder / DATA}: has other columns than this version writes; mix again")
    return Mixture(rows, dropped, manifest, folder)
