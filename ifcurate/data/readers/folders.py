"""The data files of a folder, and of a folder that `datasets.save_to_disk` wrote."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, Field, ValidationError

from ifcurate.errors import DataError
from ifcurate.phrases import first_line

__all__ = ["folder_files"]

_Model = TypeVar("_Model", bound=BaseModel)


class _File(BaseModel):
    filename: str


class _State(BaseModel):
    """`state.json` of a saved dataset."""

    data_files: list[_File] = Field(alias="_data_files")
    indices: list[_File] | None = Field(None, alias="_indices_data_files")


class _Splits(BaseModel):
    """`dataset_dict.json` of several saved datasets."""

    splits: list[str]


def folder_files(name: str, *, split: str, endings: Collection[str]) -> list[str]:
    """The paths of the files to read, in order.

    A folder of saved datasets gives the files of `split`. Any other folder gives its files
    with one of these endings, sorted by name. Raises `DataError` when there are none.
    """
    folder = Path(name)
    if (folder / "dataset_dict.json").is_file():
        folder = _split_folder(folder, split)
    if _is_saved_dataset(folder):
        return _saved_files(folder)
    if (folder / "manifest.json").is_file():
        raise DataError(
            f"{name}: the folder of a run, not of data; found manifest.json; name the data files"
        )
    visible = _visible_files(folder)
    files = [str(p) for p in visible if p.name.lower().endswith(tuple(endings))]
    if not files:
        raise DataError(f"{name}: {_why_none(folder, visible, endings)}")
    return files


def _is_saved_dataset(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("state.json", "dataset_info.json"))


def _visible_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))


def _split_folder(folder: Path, split: str) -> Path:
    splits = _load(folder / "dataset_dict.json", _Splits).splits
    if split not in splits:
        raise DataError(
            f"{folder}: no split {split!r}; found {', '.join(splits) or 'none'}; "
            "choose one with --hub-split"
        )
    return _inside(folder, split)


def _saved_files(folder: Path) -> list[str]:
    state = _load(folder / "state.json", _State)
    if state.indices:
        raise DataError(
            f"{folder}: has a selection of rows beside the data (from an old version of "
            "datasets); save it again: dataset.flatten_indices().save_to_disk(NEW)"
        )
    return [str(_inside(folder, file.filename)) for file in state.data_files]


def _load(path: Path, model: type[_Model]) -> _Model:
    try:
        return model.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataError(
            f"{path}: not what datasets.save_to_disk writes; found "
            f"{first_line(error)}; save the dataset again"
        ) from error


def _inside(folder: Path, name: str) -> Path:
    """A member of the folder. The name comes from a file, so it is checked."""
    if name != Path(name).name or name in ("", ".", ".."):
        raise DataError(f"{folder}: names a file outside the folder; found {name!r}; do not use it")
    return folder / name


def _why_none(folder: Path, visible: list[Path], endings: Collection[str]) -> str:
    if not visible:
        below = next((p for p in sorted(folder.iterdir()) if p.is_dir()), None)
        if below is None:
            return "the folder is empty; nothing to read"
        return f"no file in it, only folders; name one of them, for example '{below}'"
    names = ", ".join(p.name for p in visible[:4])
    return f"no data file in it; found {names}; known endings are {', '.join(endings)}"
