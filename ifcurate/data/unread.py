"""The columns of rows that the examples do not use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ifcurate.data.cells import CONTEXTS
from ifcurate.data.chats import Draft
from ifcurate.data.row_formats import READERS, Layout
from ifcurate.errors import RowError

__all__ = ["Unread", "describe_unread", "list_unread", "unread_columns"]

_NOT_TEXTS: Final = ("id", "uid", "uuid", "prompt_id", "is_impossible")
# Another response, or a rendering of the whole row.
_NOT_CONTEXTS: Final = ("rejected", "chosen", "text")

_KEPT: Final = "rejected is kept for DPO and not scored"


@dataclass(frozen=True, slots=True)
class Unread:
    """The columns of some rows that the examples do not use."""

    columns: tuple[str, ...]
    likely_contexts: tuple[str, ...] = ()  # those of the columns that look like a context
    read_from: tuple[str, str] = ("", "")  # the columns of the instruction and the response
    kept: str = ""  # what becomes of `rejected` in rows of preferences

    @property
    def advice(self) -> list[str]:
        """A line for each likely context, with the option to paste."""
        instruction, response = self.read_from
        if not (instruction and response) or "[" in instruction + response:
            return [f"{name} looks like a context" for name in self.likely_contexts]
        return [
            f"{name} looks like a context; to read it: "
            f"--columns instruction={instruction},context={name},response={response}"
            for name in self.likely_contexts
        ]


def unread_columns(rows: Sequence[Mapping[str, Any]], layout: Layout) -> Unread:
    """The columns that are not read, from the rows that have the format.

    A column looks like a context by its name, or because most of its values have more than
    30 words.
    """
    fitting = list(_with_drafts(rows, layout))
    drafts = [draft for _, of_row in fitting for draft in of_row]
    seen = dict.fromkeys(str(name) for row, _ in fitting for name in row)
    read = set(_NOT_TEXTS).union(*map(_columns_of, drafts))
    unread = [name for name in seen if name not in read]
    kept = _KEPT if "chosen" in seen and "rejected" in unread else ""
    if kept:
        unread.remove("rejected")
    read_from = (drafts[-1].instruction.path, drafts[-1].response.path) if drafts else ("", "")
    has_context = any(draft.context.text.strip() for draft in drafts)
    likely = () if has_context else _find_likely(unread, [row for row, _ in fitting])
    return Unread(tuple(unread), likely, read_from, kept)


def _find_likely(unread: list[str], rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(name for name in unread if _may_be_context(name, rows))


def _may_be_context(name: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a column looks like a context by its name or its length."""
    if name in _NOT_CONTEXTS:
        return False
    return name.lower() in CONTEXTS or _mostly_long(row.get(name) for row in rows)


def _with_drafts(
    rows: Sequence[Mapping[str, Any]], layout: Layout
) -> Iterator[tuple[Mapping[str, Any], list[Draft]]]:
    """The rows that have the format, each with its drafts."""
    for row in rows:
        try:
            drafts = READERS[layout.format](row, layout)
        except RowError:
            continue
        yield row, drafts


def describe_unread(columns: Mapping[str, Unread], most: int = 12) -> list[str]:
    """The lines of `list_unread` and the advice for each source, after the source's name."""
    return [
        f"{name}: {line}"
        for name, unread in columns.items()
        for line in (*list_unread(unread, most), *unread.advice)
    ]


def list_unread(unread: Unread, most: int = 12) -> list[str]:
    """A line with the first `most` columns that are not read, and one about `rejected`."""
    more = ", …" * (len(unread.columns) > most)
    shown = f"columns not read: {', '.join(unread.columns[:most])}{more}"
    return [line for line in (shown * bool(unread.columns), unread.kept) if line]


def _mostly_long(values: Iterable[Any]) -> bool:
    sizes = [len(v.split(None, 30)) for v in values if isinstance(v, str) and v.strip()]
    return bool(sizes) and sum(size > 30 for size in sizes) > len(sizes) / 2


def _columns_of(draft: Draft) -> set[str]:
    """The top-level columns that a draft uses."""
    parts = (draft.instruction, draft.response, draft.context, draft.system)
    paths = [part.path for part in parts] + [t.path for t in (*draft.history, *draft.trailing)]
    columns = {path.split("[")[0].split(".")[0] for path in paths} | set(paths)
    return columns | ({"tools"} if draft.tools else set())
