"""The data files of a folder, and of a folder that `datasets.save_to_disk` wrote."""

from __future__ import annotations

import contextlib
import glob
import itertools
import json
import os
import shlex
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

from ifcurate.errors import DataError
from ifcurate.phrases import count, first_line

_MOST_LISTED: Final = 20_000  # files below a folder that are looked at
_MOST_PATTERNS: Final = 4  # most patterns in a message
#: Manifest of a step -> pattern of the files with the rows of its result.
_RESULTS: Final = {
    "mixture.json": "mixture.parquet",
    "filter.json": "kept/[!.]*",
    "augment.json": "*.counterfactual.json*",
}


def folder_files(name: str, *, split: str, endings: Collection[str]) -> list[str]:
    """Return the paths of the files to read, in order.

    A folder of saved datasets gives the files of `split`, and one that mix, filter or augment
    wrote gives the rows of the result. Any other folder gives its files with one of these
    endings, sorted by name. Raises `DataError` when there are none.
    """
    folder = Path(name)
    if result := _result_files(folder):
        return result
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


def _result_files(folder: Path) -> list[str]:
    """Return the rows of a step's result, without the step's other files.

    [] in any other folder.
    """
    patterns = [pattern for name, pattern in _RESULTS.items() if (folder / name).is_file()]
    return [str(path) for pattern in patterns[:1] for path in sorted(folder.glob(pattern))]


def describe_below(name: str, endings: Collection[str], read: Collection[Path] = ()) -> str:
    """Return how many data files in a folder's subfolders are not in `read`, with patterns, or "".

    `read` are absolute paths. Hidden folders, those of runs, and those of a saved dataset are
    left out.
    """
    folder = Path(name)
    saved = (folder / "dataset_dict.json").is_file() or _is_saved_dataset(folder)
    if saved or _result_files(folder):
        return ""
    n, patterns = 0, dict[str, None]()
    for path in itertools.islice(_files_below(folder), _MOST_LISTED):
        ending = max((e for e in endings if path.name.lower().endswith(e)), key=len, default="")
        if ending and path.parent != folder and path.resolve() not in read:
            below = glob.escape(str(folder / path.relative_to(folder).parts[0]))
            patterns[shlex.quote(f"{below}/**/*{path.name[-len(ending) :]}")] = None
            n += 1
    if not n:
        return ""
    shown = " ".join(list(patterns)[:_MOST_PATTERNS])
    more = f" and {len(patterns) - _MOST_PATTERNS} more" * (len(patterns) > _MOST_PATTERNS)
    are, them = ("is", "it") if n == 1 else ("are", "them")
    found = f"{count(n, 'data file')} in subfolders {are} not read"
    return f"{found}; to read {them}, name {shown}{more}"


def _files_below(folder: Path) -> Iterator[Path]:
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(
            f
            for f in folders
            if not f.startswith(".")
            and f != "ifcurate-runs"
            and not Path(where, f, "manifest.json").is_file()
        )
        yield from (Path(where, file) for file in sorted(files) if not file.startswith("."))


def _is_saved_dataset(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("state.json", "dataset_info.json"))


def _visible_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))


def _split_folder(folder: Path, split: str) -> Path:
    with _load(folder / "dataset_dict.json") as saved:
        splits = [str(name) for name in saved["splits"]]
    if split not in splits:
        raise DataError(
            f"{folder}: no split {split!r}; found {', '.join(splits) or 'none'}; "
            "choose one with --hub-split"
        )
    return _inside(folder, split)


def _saved_files(folder: Path) -> list[str]:
    with _load(folder / "state.json") as state:
        if state.get("_indices_data_files"):
            raise DataError(
                f"{folder}: has a selection of rows beside the data (from an old version of "
                "datasets); save it again: dataset.flatten_indices().save_to_disk(NEW)"
            )
        return [str(_inside(folder, str(file["filename"]))) for file in state["_data_files"]]


@contextlib.contextmanager
def _load(path: Path) -> Iterator[dict[str, Any]]:
    """The object in a file of a saved dataset. Raises `DataError` if it lacks what is read."""
    try:
        yield json.loads(path.read_bytes())
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: not what datasets.save_to_disk writes; found {type(error).__name__}: "
            f"{first_line(error)}; save the dataset again"
        ) from error


def _inside(folder: Path, name: str) -> Path:
    """Return a member of the folder. The name comes from a file, so it is checked."""
    if name != Path(name).name or name in ("", ".", ".."):
        raise DataError(f"{folder}: names a file outside the folder; found {name!r}; do not use it")
    return folder / name


def _why_none(folder: Path, visible: list[Path], endings: Collection[str]) -> str:
    if told := describe_below(str(folder), endings):
        return f"no data file in it; {told}"
    if not visible:
        below = next((p for p in sorted(folder.iterdir()) if p.is_dir()), None)
        if below is None:
            return "the folder is empty; nothing to read"
        return f"no file in it, only folders; name one of them, for example '{below}'"
    names = ", ".join(p.name for p in visible[:4])
    return f"no data file in it; found {names}; known endings are {', '.join(endings)}"
