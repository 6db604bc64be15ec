"""The review sheet: original and counterfactual side by side, with marked differences.

It is one HTML file without external scripts, fonts or pictures. All data is escaped. The sample
depends only on the content of the examples and the seed. A reader marks each example as good or
broken, and the page counts the marks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from typing import Any

from ..edit.edits import row_texts


def sample_rank(pair: str, seed: int) -> bytes:
    """8 bytes from a pair's id and the seed; a sheet shows the pairs with the smallest ranks."""
    return hashlib.blake2b(f"{seed}|{pair}".encode(), digest_size=8).digest()


def render_sheet(rows: Iterable[Mapping[str, Any]], funnel: Mapping[str, Any]) -> str:
    """Return the sheet of counterfactual rows as one HTML text."""
    from jinja2 import Environment, StrictUndefined

    template = files(__package__).joinpath("review.html.jinja").read_text("utf-8")
    page = Environment(autoescape=True, undefined=StrictUndefined).from_string(template)
    return page.render(rows=rows, funnel=funnel, split_texts=_split_texts)


def _split_texts(
    row: Mapping[str, Any],
) -> Iterator[tuple[str, list[tuple[str, str, str]], str]]:
    """Yield each text of a row that has a space or an edit, with its path.

    It is divided at its edits: the text before each, the old and the new text, and the rest.
    """
    for path, text in row_texts(row).items():
        edits = [e for e in row["ifcurate_edits"] if e["field"] == path]
        if not edits and (" " not in text or path.startswith("ifcurate_")):
            continue
        ends = [0, *(edit["new_end"] for edit in edits)]
        edited = [
            (text[end : edit["new_start"]], edit["old"], edit["new"])
            for end, edit in zip(ends, edits, strict=False)
        ]
        yield path, edited, text[ends[-1] :]
