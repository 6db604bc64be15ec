"""The review sheet: original and counterfactual side by side, with marked differences.

It is one HTML file without external scripts, fonts or pictures. All data is escaped. The sample
depends only on the content of the examples and the seed. A reader marks each example as good or
broken, and the page counts the marks.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

from ..edit.edits import row_texts


def sample_rank(pair: str, seed: int) -> bytes:
    """8 bytes from a pair's id and the seed; a sheet shows the pairs with the smallest ranks."""
    return hashlib.blake2b(f"{seed}|{pair}".encode(), digest_size=8).digest()


def render_sheet(rows: Iterable[Mapping[str, Any]], funnel: Mapping[str, Any]) -> str:
    """Return the sheet of counterfactual rows as one HTML text."""
    cases = "\n".join(_case(n, row) for n, row in enumerate(rows, 1))
    parts = {"funnel": _funnel(funnel), "cases": cases}
    page = files(__package__).joinpath("review.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda field: parts[field[1]], page)


def _funnel(funnel: Mapping[str, Any]) -> str:
    cells = ""
    for key, label in (
        ("read", "rows read"),
        ("has_context", "have a context"),
        ("entity", "share an entity of these types with the response"),
        ("written", "rows written"),
        ("examples", "counterfactuals"),
    ):
        cells += f"<tr><th>{label}</th><td>{funnel.get(key, 0):,}</td></tr>"
    for name, failed in funnel.get("checks", {}).items():
        why = html.escape(f"not written: {failed['meaning']} ({name})")
        cells += f"<tr><th class=why>{why}</th><td>{failed['rows']:,}</td></tr>"
    return f"<table class=funnel>{cells}</table>"


def _case(number: int, row: Mapping[str, Any]) -> str:
    kind, new_kind, original, new, source, gender, pair = (
        html.escape(row[f"ifcurate_{name}"])
        for name in ("type", "new_type", "original", "substitute", "source", "gender", "pair")
    )
    new_kind = f"to {new_kind}" if new_kind != kind else ""
    gender = {"m": "male", "f": "female"}.get(gender, "")
    facts = ", ".join(filter(None, (kind, new_kind, source, gender)))
    name = f"case{number}"
    marks = "".join(
        f"<label><input type=radio name={name} value={v}> {v}</label>" for v in ("good", "broken")
    )
    return (
        f"<section class=case id={name}><div class=head><h2>{number}. "
        f"<del>{original}</del> &rarr; <ins>{new}</ins></h2>"
        f"<span class=soft>{facts} &middot; {pair}</span><span class=marks>{marks}</span></div>"
        f"<table>{_texts(row)}</table></section>"
    )


def _texts(row: Mapping[str, Any]) -> str:
    """Return a line of the table for each text of a row that has a space or an edit."""
    lines = ""
    for path, text in row_texts(row).items():
        edits = [e for e in row["ifcurate_edits"] if e["field"] == path]
        if not edits and (" " not in text or path.startswith("ifcurate_")):
            continue
        old = new = ""
        last = 0
        for edit in edits:
            same = html.escape(text[last : edit["new_start"]])
            old += f"{same}<del>{html.escape(edit['old'])}</del>"
            new += f"{same}<ins>{html.escape(edit['new'])}</ins>"
            last = edit["new_end"]
        rest = html.escape(text[last:])
        cells = (
            f"<td>{old}{rest}</td><td>{new}{rest}</td>" if edits else f"<td colspan=2>{rest}</td>"
        )
        lines += f"<tr><th>{html.escape(path)}</th>{cells}</tr>"
    return lines
