"""The review sheet: original and counterfactual side by side, with marked differences.

It is one HTML file without external scripts, fonts or pictures. All data is escaped. The sample
depends only on the content of the examples and the seed. A reader marks each example as good or
broken, and the page counts the marks.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from .outcomes import Written


def sample_rank(pair: str, seed: int) -> bytes:
    """8 bytes from a pair's id and the seed; a sheet shows the pairs with the smallest ranks."""
    return hashlib.blake2b(f"{seed}|{pair}".encode(), digest_size=8).digest()


def render_sheet(sample: Sequence[Written], funnel: Mapping[str, Any]) -> str:
    """Return the sheet as one HTML text."""
    cases = "\n".join(_case(n, item) for n, item in enumerate(sample, 1))
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


def _case(number: int, item: Written) -> str:
    made, plan = item.made, item.made.plan
    gender = {"m": "male", "f": "female"}.get(made.gender, "")
    new_type = f"to {plan.new_type}" if plan.new_type else ""
    facts = ", ".join(filter(None, (plan.type, new_type, plan.source, gender)))
    rows = "".join(_row(label, path, item) for label, path in _paths(item))
    name = f"case{number}"
    marks = "".join(
        f"<label><input type=radio name={name} value={v}> {v}</label>" for v in ("good", "broken")
    )
    return (
        f"<section class=case id={name}><div class=head><h2>{number}. "
        f"<del>{html.escape(plan.original)}</del> &rarr; "
        f"<ins>{html.escape(made.substitute)}</ins></h2>"
        f"<span class=soft>{html.escape(facts)} &middot; "
        f"{html.escape(item.original.source.rsplit('/', 1)[-1])} row {item.original.row_number} "
        f"&middot; {html.escape(item.suite['id'])}</span><span class=marks>{marks}</span></div>"
        f"<table>{rows}</table></section>"
    )


def _paths(item: Written) -> Iterable[tuple[str, str]]:
    """Yield the label and the path of each text to show, in the order of the row."""
    context = {p for p, _, _ in item.made.view.context}
    question = {p for p, _, _ in item.made.view.question}
    edited = {e.path for e in item.made.edits}
    for path in item.made.view.texts:
        if path == item.made.view.response_path:
            yield "response", path
        elif path in context:
            yield ("prompt" if path in question else "context"), path
        elif path in question:
            yield "question", path
        elif path in edited:
            yield path, path


def _row(label: str, path: str, item: Written) -> str:
    edits = [e for e in item.made.edits if e.path == path]
    before = _marked(item.made.view.texts[path], [(e.start, e.end) for e in edits], "del")
    after = _marked(item.made.after[path], [(e.new_start, e.new_end) for e in edits], "ins")
    if not edits:
        return f"<tr><th>{html.escape(label)}</th><td colspan=2>{after}</td></tr>"
    return f"<tr><th>{html.escape(label)}</th><td>{before}</td><td>{after}</td></tr>"


def _marked(text: str, spans: Sequence[tuple[int, int]], tag: str) -> str:
    out, last = [], 0
    for start, end in sorted(spans):
        old, marked = html.escape(text[last:start]), html.escape(text[start:end])
        out.append(f"{old}<{tag}>{marked}</{tag}>")
        last = end
    return "".join([*out, html.escape(text[last:])])
