"""A review sheet: original and counterfactual side by side, every difference marked.

One self-contained HTML file: no script from elsewhere, no font, no picture.
All data is escaped. Which examples are shown depends on their content and the
seed alone. A reader marks each as good or broken; the counts stay in the page
and can be copied.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..edit.edits import Edit
from .outcomes import Written

__all__ = ["choose_sample", "render_sheet", "sample_rank"]

_STYLE = """
:root{color-scheme:light dark;--line:#c9ccd1;--old:#ffd9d6;--new:#cdeccb;--soft:#6a737d}
@media(prefers-color-scheme:dark){:root{--line:#444;--old:#6b2a25;--new:#23512a;--soft:#9aa4ad}}
body{font:15px/1.5 system-ui,sans-serif;max-width:1200px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem}h2{font-size:1rem;margin:0}
.case{border:1px solid var(--line);border-radius:8px;margin:1.2rem 0;overflow:hidden}
.head{display:flex;gap:1rem;align-items:baseline;flex-wrap:wrap;padding:.6rem .9rem;
border-bottom:1px solid var(--line)}
.soft{color:var(--soft);font-size:.85rem}
table{width:100%;border-collapse:collapse;table-layout:fixed}
th{width:6.5rem;text-align:left;font-weight:600;color:var(--soft);font-size:.8rem}
th,td{vertical-align:top;padding:.5rem .9rem;border-top:1px solid var(--line)}
tr:first-child th,tr:first-child td{border-top:0}
td{white-space:pre-wrap;overflow-wrap:anywhere}
td+td{border-left:1px solid var(--line)}
del{background:var(--old);text-decoration:none;border-radius:3px;padding:0 .15em}
ins{background:var(--new);text-decoration:none;border-radius:3px;padding:0 .15em}
label{margin-left:.6rem}.marks{margin-left:auto}
.funnel{width:auto}.funnel td,.funnel th{width:auto;padding:.15rem .9rem}
.funnel td{text-align:right}.funnel .why{font-weight:400}
#count{position:sticky;top:0;background:Canvas;padding:.5rem 0;z-index:1}
"""
_SCRIPT = """
const total=document.querySelectorAll('.case').length;
function tell(){const b=document.querySelectorAll('input[value=broken]:checked').length;
const g=document.querySelectorAll('input[value=good]:checked').length;
document.getElementById('count').textContent=
`${g+b} of ${total} read: ${g} good, ${b} broken`;}
document.addEventListener('change',tell);tell();
"""


def sample_rank(pair: str, seed: int = 0) -> bytes:
    """8 bytes from a pair's id and the seed; a sheet shows those with the smallest."""
    return hashlib.blake2b(f"{seed}|{pair}".encode(), digest_size=8).digest()


def choose_sample(written: Sequence[Written], size: int, seed: int = 0) -> list[Written]:
    """`size` examples, chosen by a hash of their content and the seed, in the input's order."""
    chosen = {id(w) for w in sorted(written, key=lambda w: sample_rank(w.suite["id"], seed))[:size]}
    return [w for w in written if id(w) in chosen]


def render_sheet(
    sample: Sequence[Written], funnel: Mapping[str, Any], *, title: str = "Counterfactual review"
) -> str:
    """The sheet as one HTML text."""
    cases = "\n".join(_case(n, item) for n, item in enumerate(sample, 1))
    return (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>{html.escape(title)}</h1>\n"
        "<p>Left the original, right the counterfactual. Broken is: the new text contradicts "
        "itself, is not grammatical where it was, still names the original, or no longer "
        "answers its question from its context.</p>\n"
        f"{_funnel(funnel)}\n<p id=count role=status></p>\n{cases}\n"
        f"<script>{_SCRIPT}</script></body></html>\n"
    )


def _funnel(funnel: Mapping[str, Any]) -> str:
    rows = [
        (label, funnel.get(key, 0))
        for key, label in (
            ("read", "rows read"),
            ("has_context", "have a context"),
            ("entity", "share an entity of these types with the response"),
            ("written", "rows written"),
            ("examples", "counterfactuals"),
        )
    ]
    cells = "".join(f"<tr><th>{html.escape(a)}</th><td>{b:,}</td></tr>" for a, b in rows)
    for name, found in funnel.get("checks", {}).items():
        why = html.escape(f"not written: {found['meaning']} ({name})")
        cells += f"<tr><th class=why>{why}</th><td>{found['rows']:,}</td></tr>"
    return f"<table class=funnel>{cells}</table>"


def _case(number: int, item: Written) -> str:
    made, plan = item.made, item.made.plan
    facts = ", ".join(
        x
        for x in (
            plan.type,
            plan.new_type and f"to {plan.new_type}",
            plan.source,
            {"m": "male", "f": "female"}.get(made.gender, ""),
        )
        if x
    )
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
    """The texts of the row that matter, in its own order, with what they are."""
    context = {p for p, _, _ in item.view.context}
    question = {p for p, _, _ in item.view.question}
    edited = {e.path for e in item.made.edits}
    for path in item.view.texts:
        if path == item.view.response_path:
            yield "response", path
        elif path in context:
            yield ("prompt" if path in question else "context"), path
        elif path in question:
            yield "question", path
        elif path in edited:
            yield path, path


def _row(label: str, path: str, item: Written) -> str:
    edits = [e for e in item.made.edits if e.path == path]
    before = _marked(item.view.texts[path], [(e.start, e.end) for e in edits], "del")
    after = _marked(item.made.texts[path], _new(edits), "ins")
    if not edits:
        return f"<tr><th>{html.escape(label)}</th><td colspan=2>{after}</td></tr>"
    return f"<tr><th>{html.escape(label)}</th><td>{before}</td><td>{after}</td></tr>"


def _new(edits: Iterable[Edit]) -> list[tuple[int, int]]:
    return [(e.new_start, e.new_end) for e in edits]


def _marked(text: str, spans: Sequence[tuple[int, int]], tag: str) -> str:
    out, last = [], 0
    for start, end in sorted(spans):
        out += [
            html.escape(text[last:start]),
            f"<{tag}>",
            html.escape(text[start:end]),
            f"</{tag}>",
        ]
        last = end
    return "".join([*out, html.escape(text[last:])])
