"""How right found contexts are, against what a person marked.

A row is right when the context found overlaps the true one by 0.9 (shared characters
by all characters of either) and no character of the request is cut. A row without a
context is right when nothing is found. Where a person could say either ("o" in a
template's pattern), nothing found is right, and so is a part of that stretch.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

HERE = Path(__file__).resolve().parent


class Stretch(Protocol):
    """What a finder gives: characters that are context, and those that are cut."""

    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def outer_start(self) -> int: ...
    @property
    def outer_end(self) -> int: ...


def load_templates() -> dict[str, dict[str, Any]]:
    """The truth of each template by its name."""
    lines = (HERE / "templates.jsonl").read_text(encoding="utf-8").splitlines()
    return {truth["template"]: truth for truth in map(json.loads, lines)}


def divide_unseen(families: Iterable[str]) -> dict[str, str]:
    """The parts "a" and "b" of families: every other one, in the order of their hashes.

    The rules were not written on either. Part a was read later, when part b had been
    measured; of part b nothing but totals was ever printed.
    """
    ordered = sorted(
        families, key=lambda name: hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
    )
    return {name: "ba"[i % 2] for i, name in enumerate(ordered)}


def judge(text: str, pattern: str, found: Sequence[Stretch]) -> dict[str, bool]:
    """Whether the context is right and the request is intact, for one row."""
    match = re.fullmatch(pattern, text, re.S)
    assert match, f"the pattern does not fit: {text[:80]!r}"
    groups = match.re.groupindex
    spans = {name: match.span(name) for name in groups if match[name] and match[name].strip()}
    kinds = {kind: [s for name, s in spans.items() if name[0] == kind] for kind in "cqo"}
    return judge_spans(text, kinds["c"], kinds["q"], kinds["o"], found)


def judge_spans(
    text: str,
    truth: Sequence[Sequence[int]],
    request: Sequence[Sequence[int]],
    either: Sequence[Sequence[int]],
    found: Sequence[Stretch],
) -> dict[str, bool]:
    """The same for marked characters: the context, what must remain, and what may be either."""
    asked = {i for span in request for i in range(*span)}
    cut = {i for f in found for i in range(f.outer_start, f.outer_end)}
    solid = {i for i in asked & cut if not text[i].isspace()}
    inner = {i for f in found for i in range(f.start, f.end)}
    if truth:
        # Two facts may be marked apart, or as one stretch with the words between them.
        apart = {i for span in truth for i in range(*span)}
        whole = set(range(truth[0][0], truth[-1][1]))
        right = max(len(inner & t) / len(inner | t) for t in (apart, whole)) >= 0.9
    elif either:
        allowed = {i for span in either for i in range(*span)}
        right = not inner or len(inner & allowed) >= 0.9 * len(inner)
    else:
        right = not inner
    return {
        "right": right and not solid,
        "context": right,
        "intact": not solid,
        "false_alarm": bool(inner) and not truth and not either,
    }


def load_collections(half: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of own templates in the manner of public collections, by template.

    A form has the request between ‹ and ›, and the texts of a bank in braces; those whose
    name begins with c are context. Halves were drawn at random before any template was read by
    the rules. Of "second unseen" and "third unseen" only totals were printed.
    """
    return {
        template["name"]: fill_form(template["form"], template["bank"])
        for template in _read_collections()["templates"]
        if template["half"] == half
    }


def fill_form(form: str, bank: str) -> list[dict[str, Any]]:
    """The rows of one form with the texts of a bank."""
    return [_fill(form, item) for item in _read_collections()["banks"][bank]]


def _read_collections() -> dict[str, Any]:
    data: dict[str, Any] = json.loads((HERE / "collections.json").read_text(encoding="utf-8"))
    return data


def _fill(form: str, item: dict[str, str]) -> dict[str, Any]:
    text = ""
    contexts: list[tuple[int, int]] = []
    request: list[tuple[int, int]] = []
    opened = 0
    for token in re.findall(r"\{\w+\}|‹|›|[^{}‹›]+", form):
        if token == "‹":
            opened = len(text)
        elif token == "›":
            request.append((opened, len(text)))
        elif token[0] == "{":
            value = item[token[1:-1]]
            if token[1] == "c":
                contexts.append((len(text), len(text) + len(value)))
            text += value
        else:
            text += token
    return {"text": text, "contexts": contexts, "request": request, "response": item["r"]}


def score_templates(
    rows: Sequence[tuple[str, str, Sequence[Stretch]]], part: str
) -> dict[str, dict[str, float]]:
    """The share of right rows by template, of one part; rows are (template, text, found)."""
    truths = load_templates()
    verdicts: dict[str, list[dict[str, bool]]] = {}
    for template, text, found in rows:
        truth = truths[template]
        if truth["part"] == part:
            verdicts.setdefault(template, []).append(judge(text, truth["pattern"], found))
    return {
        template: {
            "rows": len(several),
            **{k: sum(v[k] for v in several) / len(several) for k in several[0]},
        }
        for template, several in sorted(verdicts.items())
    }


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95% interval of a share, as Wilson gives it."""
    z, share = 1.96, right / n
    middle = share + z * z / (2 * n)
    width = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (middle - width) / (1 + z * z / n), (middle + width) / (1 + z * z / n)
