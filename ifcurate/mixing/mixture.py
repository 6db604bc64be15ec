"""A mixture: rows in training order, the dropped rows with reasons, and a manifest.

On disk a mixture is a folder: `mixture.parquet` (the rows), `dropped.parquet` (every row that
was read and is not in the mixture, with the reason), `mixture.json` (the manifest) and
`README.md` (the card).

A row of a mixture is a conversation in one schema, so that files of different formats
load as one table. The row as it was read is kept beside it, so that nothing is lost.
Columns that ifcurate adds start with `ifcurate_`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from ifcurate.errors import DataError, RunError
from ifcurate.phrases import check_type, first_line
from ifcurate.storage.files import GROUP_ROWS, file_digest, sink_tables, stream_frames, write_table
from ifcurate.storage.manifest import Manifest, read_manifest

DATA: Final = "mixture.parquet"
DROPPED_NAME: Final = "dropped.parquet"
MANIFEST: Final = "mixture.json"

MESSAGE: Final = pl.Struct(
    {"role": pl.String, "content": pl.String, "name": pl.String, "tool_calls": pl.String}
)

#: name -> (type, meaning); a row per row of the mixture, in training order.
COLUMNS: Final[dict[str, tuple[Any, str]]] = {
    "messages": (
        pl.List(MESSAGE),
        "the conversation; the last message is the response; tool_calls is JSON",
    ),
    "tools": (
        pl.String,
        "the tools that the model could call, as the row's JSON; null if there are none",
    ),
    "ifcurate_component": (pl.String, "the component that the row was taken from"),
    "ifcurate_source": (pl.String, "the file (or dataset) that it was read from"),
    "ifcurate_row": (pl.Int64, "its row number there, counted from 0"),
    "ifcurate_copy": (pl.Int32, "0, or the number of the repetition of an up-sampled row"),
    "ifcurate_label": (pl.String, "its label in the split; null if it was not split"),
    "ifcurate_format": (
        pl.String,
        "the format of the row as it was read, with the columns that were mapped",
    ),
    "ifcurate_hash": (pl.String, "hash of the texts that are trained on"),
    "ifcurate_tokens": (pl.Int32, "tokens, of the tokenizer that the manifest names; null if none"),
    "ifcurate_record": (pl.String, "the row as it was read, as JSON"),
}
MIXTURE: Final = pl.Schema({name: kind for name, (kind, _) in COLUMNS.items()})
#: The text of all messages of a row, with tool calls; a blank line between messages.
TEXT: Final = (
    pl.col("messages")
    .list.eval(
        pl.concat_str(
            pl.element().struct.field("content", "tool_calls"), separator="\n", ignore_nulls=True
        )
    )
    .list.join("\n\n")
)
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


def count_rows(
    rows: pl.LazyFrame, dropped: pl.DataFrame, names: Sequence[str], *, tokens: bool
) -> dict[str, int]:
    """Return the counts of a manifest: of the mixture, of each component and of each reason.

    `rows` has a component and its tokens per row, `dropped` a reason. `names` are the
    components. `tokens` is true if tokens were counted.
    """
    sums = rows.group_by("ifcurate_component").agg(
        pl.len().alias("rows"), pl.col("ifcurate_tokens").cast(pl.Int64).sum().alias("tokens")
    )
    units = ["rows", *(["tokens"] * tokens)]
    table = {name: numbers for name, *numbers in sums.collect().iter_rows()}
    of = {name: table.get(name, [0, 0]) for name in dict.fromkeys((*names, *table))}
    counts = {unit: sum(numbers[i] for numbers in of.values()) for i, unit in enumerate(units)}
    for name, numbers in of.items():
        counts |= {f"{unit}:{name}": numbers[i] for i, unit in enumerate(units)}
    reasons = dropped["reason"].value_counts().sort("reason")
    left = {f"dropped:{reason}": n for reason, n in reasons.iter_rows()}
    return {**counts, "dropped": dropped.height, **left}


@dataclass(frozen=True, slots=True, repr=False)
class Mixture:
    """The rows of a mixture in training order, the dropped rows and the manifest."""

    rows: pl.LazyFrame  # columns: MIXTURE
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

    @property
    def reasons(self) -> dict[str, int]:
        """The reasons of the dropped rows, each with their number."""
        counts = self.manifest.counts.items()
        return {k.removeprefix("dropped:"): n for k, n in counts if k.startswith("dropped:")}

    @property
    def origins(self) -> dict[str, dict[str, Any]]:
        """The step that made each component, by its name; empty for a component of files."""
        return {c["name"]: c.get("origin", {}) for c in self.manifest.identity["components"]}

    def frames(self, size: int = GROUP_ROWS) -> Iterator[pl.DataFrame]:
        """Yield the rows, `size` rows at a time."""
        for start in range(0, self.n_rows, size):
            yield self.collect(self.rows.slice(start, size))

    def collect(self, rows: pl.LazyFrame) -> pl.DataFrame:
        """Compute a frame of its rows. Raises `RunError` when the file is damaged."""
        try:
            return rows.collect()
        except (OSError, pl.exceptions.PolarsError) as error:
            where = f"{self.folder / DATA}: " if self.folder else ""
            raise RunError(f"{where}cannot be read: {first_line(error)}; mix again") from error

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


def find_mixture(folder: str | Path) -> tuple[Path, Manifest]:
    """Return the folder of a mixture, and its manifest. Raises `RunError` when there is none."""
    check_type("folder", folder, (str, Path), "give the path of a mixture")
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        raise RunError(
            f"{folder}: {'holds no mixture' if folder.is_dir() else 'is no folder of a mixture'}; "
            f"found no {MANIFEST}; name the folder that `ifcurate mix` wrote, or make one of rows: "
            "ifcurate mix NAME=FILE -o FOLDER"
        )
    return folder, read_manifest(folder / MANIFEST)


def read_mixture(folder: str | Path) -> Mixture:
    """Return the mixture in a folder. Rows are read when they are used.

    Raises `RunError` when there is no mixture, or it is not complete.
    """
    folder, manifest = find_mixture(folder)
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
